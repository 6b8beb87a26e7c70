"""What is measured on a model: task scores, bits per character, size and speed."""
