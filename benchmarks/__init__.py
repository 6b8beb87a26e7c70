"""Measurements of bistil-ray that can be repeated; no part of the installed package."""
