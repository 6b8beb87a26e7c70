"""Credentials found in what is given, and hidden in what is said: they belong in the environment, not in a run.

A run writes down where its inputs lie, in its configuration, plan, report and cards, and errors repeat it; those of
libraries may repeat what the environment holds.
"""

from __future__ import annotations

import logging
import re

# scheme://user:password@ or scheme://token@. A key may hold a slash, a port is digits; ``gs://anonymous@bucket`` and
# ``abfss://container@account`` name nobody.
_USER = re.compile(
    r"(?P<kept>\b[a-z][a-z0-9+.-]*://)(?!anonymous@)"
    r"(?:(?<!abfs://)(?<!abfss://)[^/\s:@?#'\"]+@|[^/\s:@?#'\"]*:(?!\d+(?:[/?#\s'\"]|$))[^\s'\"]*@)",
    re.IGNORECASE,
)
_OPTION = re.compile(
    r"(?P<kept>[?&][\w-]*(?:secret|token|passw|credential|signature|access_?key|api_?key|\bsig)[\w-]*=)[^&\s'\"]+",
    re.IGNORECASE,
)
# As libraries show their settings and headers: secret_key='...', AccountKey=...;, "Authorization": "Bearer ...".
_SETTING = re.compile(
    r"(?P<kept>(?:(?:secret_?)?access_?key|secret_?key|account_?key|private_?key|api_?key|client_?secret|passw(?:or)?d"
    r"|(?:access|auth|session|security|hf)_?token)(?:_?id)?['\"]?\s*[=:]\s*['\"]?"
    r"|\bauthorization['\"]?\s*[=:]\s*b?['\"]?(?:[a-z][\w-]*\s+)?)[^\s'\",;&)}]+",
    re.IGNORECASE,
)
# Tokens of the hub, key ids of AWS.
_TOKEN = re.compile(r"(?P<kept>\b(?:hf_|AKIA|ASIA))[A-Za-z0-9]{16,}")

ENVIRONMENT = "give them by the environment, such as AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS or HF_TOKEN"
"""Where credentials belong, for errors."""


def masked(text: str) -> str:
    """Put ``***`` in the place of every password, key and token in ``text``."""
    for pattern in (_USER, _OPTION, _SETTING, _TOKEN):
        text = pattern.sub(lambda found: f"{found['kept']}***{'@' if found[0].endswith('@') else ''}", text)
    return text


def holds_credentials(text: str) -> bool:
    """Tell whether ``text`` holds what ``masked`` would hide."""
    return masked(text) != text


class MaskingFormatter(logging.Formatter):
    """Writes records of logs without the credentials that they may repeat."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line as any formatter would, but masked."""
        return masked(super().format(record))
