"""Strategies: what to ask a teacher for, and how to read the reply."""
