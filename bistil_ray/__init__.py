"""bistil-ray: small bilingual students distilled from massively multilingual encoders, many at once."""

__version__ = "0.1.0"
