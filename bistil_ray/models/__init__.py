"""Teachers and students: what differs between families, how a student is cut, what is seen inside."""
