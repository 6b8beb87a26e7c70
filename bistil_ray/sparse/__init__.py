"""Sparse fine-tunings: which parameters may change, what changed, and the files it is kept in."""
