"""The errors a user can cause or meet; each says what was wrong, the value seen, what is allowed and what to change."""

from __future__ import annotations

from .credentials import masked

# Characters of a message that are looked at, and that are shown: it may quote a value of any size.
_READ, _SHOWN = 20_000, 2_000


class BistilError(Exception):
    """A user's mistake or a condition they can mend: shown as one ``error:`` line, exit code 2, no traceback."""

    def __init__(self, message: str) -> None:
        """Say ``message``, wherever the error ends up, without the credentials that it may repeat, and not too long."""
        text = masked(message[:_READ])
        super().__init__(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 305]} ... {text[-300:]}")


def first_line(problem: BaseException) -> str:
    """Say what went wrong in one line, as another library's error puts it; by its class where it has no words."""
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]


class ConfigError(BistilError):
    """A configuration key, value or command-line flag that cannot be used."""


class DataError(BistilError):
    """A corpus or task file that is missing, unreadable or does not hold what it should."""


class ModelError(BistilError):
    """A teacher, student or tokenizer that cannot be loaded or does not fit its use."""


class TrainingError(BistilError):
    """A training that cannot go on: numbers that are not finite, or too little memory."""


class StorageError(BistilError):
    """A storage place that cannot be read or written, or that holds something else already."""


class ClusterError(BistilError):
    """A Ray cluster that does not start or cannot be used."""
