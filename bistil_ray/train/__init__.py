"""The one training loop, what it minimises, and its checkpoints. Knows no task and no ray."""
