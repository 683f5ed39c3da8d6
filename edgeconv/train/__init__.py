"""Fit networks under an honest protocol: repeats, split by subject."""
