"""The embedded example: small corpora, entity-labelled sentences and tiny teachers, all made by this package."""
