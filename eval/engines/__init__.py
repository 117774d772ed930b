"""Engines: batches of prompts in, samples out."""
