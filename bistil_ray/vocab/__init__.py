"""Vocabulary: how often each token occurs, and the cut to the tokens that a language pair needs."""
