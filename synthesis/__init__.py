"""Teachers, strategies that ask them, and verification of what they write."""
