"""The command line of bistil-ray, installed as ``bistil_ray.cli``; nothing in the library imports it."""
