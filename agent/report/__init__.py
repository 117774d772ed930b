"""What a run tells: terminal tables and JSON."""
