"""One module per kind of step: what is done. Where it is done is the business of ``distributed/``."""
