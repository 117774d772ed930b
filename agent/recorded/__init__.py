"""Recorded outputs of any model, from any of several files: one file here for each format."""
