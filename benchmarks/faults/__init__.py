"""A tiny sweep to which bad things are done."""
