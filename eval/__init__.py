"""Engines, benchmarks, grading, measurement and statistics."""
