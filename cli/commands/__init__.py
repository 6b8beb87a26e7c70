"""The commands, one module each, as ``COMMANDS`` in ``main.py`` says; what is heavy is imported inside functions."""
