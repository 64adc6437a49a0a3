"""Checks of a training run: its records, and what its detector says about a few images."""
