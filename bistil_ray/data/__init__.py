"""Corpora, blocks of ids and labelled data: found, checked, read and prepared."""
