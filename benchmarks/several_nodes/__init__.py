"""A tiny sweep on clusters of several nodes."""
