"""The commands, one module each; a module holds ``app`` and imports what is heavy inside its functions."""
