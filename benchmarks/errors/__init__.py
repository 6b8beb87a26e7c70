"""What is lost between teacher and student."""
