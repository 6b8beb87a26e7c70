"""What a teacher is to a language: itself, or itself with that language's sparse fine-tuning."""
