"""Launcher files: filled in from the shipped ones, and checked, without Ray and without a cloud."""
