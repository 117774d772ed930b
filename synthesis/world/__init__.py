"""A world of mathematical skills in words, each with exact answers."""
