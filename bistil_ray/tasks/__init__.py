"""What a student is for: one module per family of tasks, behind one seam (``task.py``)."""
