"""Launcher files for clusters, as YAML."""
