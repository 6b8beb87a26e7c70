"""The product's phase-1 step and a plain one, side by side."""
