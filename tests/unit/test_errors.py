"""What another library's error says becomes the end of one line."""

from __future__ import annotations

import pytest

from bistil_ray.errors import first_line


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (ValueError("no header\nat byte 7"), "no header"),
        (OSError("\n  disk is gone \n"), "disk is gone"),
        (AssertionError(), "AssertionError"),
        (RuntimeError(" \n"), "RuntimeError"),
    ],
)
def test_an_error_is_told_in_its_first_words_or_by_its_name(problem: Exception, said: str) -> None:
    assert first_line(problem) == said
