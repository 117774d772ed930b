"""Mixing, annealing with LoRA, and pretraining of the base student."""
