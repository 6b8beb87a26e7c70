"""The errors a user can cause or meet; each says what was wrong, the value seen, what is allowed and what to change."""

from __future__ import annotations


class BistilError(Exception):
    """A user's mistake or a condition they can mend: shown as one ``error:`` line, exit code 2, no traceback."""


class ConfigError(BistilError):
    """A configuration key, value or command-line flag that cannot be used."""


class DataError(BistilError):
    """A corpus or task file that is missing, unreadable or does not hold what it should."""


class ModelError(BistilError):
    """A teacher, student or tokenizer that cannot be loaded or does not fit its use."""


class StorageError(BistilError):
    """A storage place that cannot be read or written, or that holds something else already."""


class ClusterError(BistilError):
    """A Ray cluster that does not start or cannot be used."""
