"""Tables and consoles: results go to stdout, everything else to stderr, colour only to a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Where there is no terminal to ask: wide enough that no cell is folded in a file or a pipe.
_PLAIN_WIDTH = 200


def stdout() -> Console:
    """Give the console for what a command was asked for; it styles nothing under NO_COLOR or without a terminal."""
    return _console(stderr=False)


def stderr() -> Console:
    """Give the console for progress and remarks, under the same rules."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=_PLAIN_WIDTH)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    right: Iterable[str] = (),
    console: Console | None = None,
) -> None:
    """Print a table of plain words, on stdout if no console is given; columns named in ``right`` are flush right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    numbers = set(right)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    (console or stdout()).print(table)
