"""The documents; what writes two of them (``reference.py``), and what runs the commands in all (``run.py``)."""
