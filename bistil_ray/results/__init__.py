"""What a run found: its records and the tables made of them, read without ray or torch."""
