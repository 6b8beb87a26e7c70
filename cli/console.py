"""Tables, JSON and consoles: results go to stdout, everything else to stderr, colour only to a terminal.

What comes from data is shown as it is: neither rich's markup nor a terminal's own codes in it are obeyed.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bistil_ray.terminal import visible

_PLAIN_WIDTH = 10_000
"""Where there is no terminal to ask: wide enough that a row is a line."""
PLAIN_SECONDS = 15
"""Where there is no terminal, lines of progress are so far apart."""
_GAP = 2
_FOLDED = 16
"""Words are folded to so many characters at most; figures never are."""
_HALVES = re.compile("[\ud800-\udfff]")
"""Names of files have them for bytes that are no UTF-8; streams refuse them."""


def stdout() -> Console:
    """Give the console for what a command was asked for; it styles nothing under NO_COLOR or without a terminal."""
    return _console(stderr=False)


def stderr() -> Console:
    """Give the console for progress and remarks, under the same rules."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False, color_system=colours)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


@contextmanager
def working(words: str, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Say on stderr what goes on while the block runs: a spinner on a terminal, lines elsewhere if it takes long.

    Gives a function that says how far it is: a terminal shows it at once, elsewhere it is a line now and then.
    """
    console, spoke = stderr(), time.monotonic()
    if quiet:
        yield lambda progress: None
    elif console.is_terminal:
        with console.status(Text(visible(words))) as status:
            yield lambda progress: status.update(Text(visible(progress)))
    else:

        def say(progress: str) -> None:
            nonlocal spoke
            if time.monotonic() - spoke > PLAIN_SECONDS:
                console.print(visible(progress))
                spoke = time.monotonic()

        # Not at once: what is quick needs no words, and a mistake that is noticed then is the only line.
        opening = threading.Timer(PLAIN_SECONDS, console.print, [visible(words)])
        opening.daemon = True
        opening.start()
        try:
            yield say
        finally:
            opening.cancel()


def print_json(data: object) -> None:
    """Print on stdout what ``--json`` asks for, to be read by people too: indented, with letters of every script."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    typer.echo(_HALVES.sub(lambda found: json.dumps(found[0])[1:-1], text))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    right: Iterable[str] = (),
    console: Console | None = None,
    spare: Sequence[str] = (),
) -> None:
    """Print a table of plain words, on stdout if no console is given; columns named in ``right`` are figures.

    Where the terminal is too narrow, columns in ``spare`` are left out, the first of them first, and words are folded;
    where that is not enough, each row becomes a list. Figures are never cut. What was left out is said.
    """
    console = console or stdout()
    columns, numbers = [*map(visible, columns)], {*map(visible, right)}
    cells = [dict(zip(columns, map(visible, row), strict=True)) for row in rows]
    shown, left_out = list(columns), []
    for name in spare:
        if _least_width(shown, cells, numbers) <= console.width:
            break
        shown.remove(name)
        left_out.append(name)
    if _least_width(shown, cells, numbers) > console.width:
        for row in cells:
            console.print(*(f"{name}: {row[name]}" for name in columns), "", sep="\n")
        return
    console.print(_table(shown, cells, numbers))
    if left_out:
        console.print(f"Left out on this narrow terminal: {', '.join(left_out)}", style="dim")


def _least_width(columns: Sequence[str], rows: Sequence[dict[str, str]], numbers: set[str]) -> int:
    widths = {name: max(cell_len(word) for word in (name, *(row[name] for row in rows))) for name in columns}
    least = (width if name in numbers else min(width, _FOLDED) for name, width in widths.items())
    return sum(least) + _GAP * max(0, len(columns) - 1)


def _table(columns: Sequence[str], rows: Sequence[dict[str, str]], numbers: set[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for name in columns:
        figure = name in numbers
        table.add_column(name, justify="right" if figure else "left", overflow="fold", no_wrap=figure)
    for row in rows:
        table.add_row(*(Text(row[name]) for name in columns))
    return table
