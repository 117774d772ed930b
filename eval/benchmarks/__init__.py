"""Benchmarks: one file per family of problem files."""
