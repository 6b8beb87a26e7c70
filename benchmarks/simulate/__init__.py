"""Sweeps played through without their work."""
