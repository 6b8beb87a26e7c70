"""The page: one HTML file with its styles, scripts, data and Plotly in it, which asks for nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..storage import write_text
from .contents import page_data
from .files import open_run_files
from .gather import RunReader

SCRIPTS = (
    "data.js", "look.js", "filters.js", "status.js", "best.js", "tradeoff.js", "settings.js", "curves.js",
    "step_table.js", "step_panel.js", "page.js",
)  # fmt: skip
"""The page's own scripts, in the order in which they are read; Plotly comes last, so that words are there before it."""


def write_report(place: str | Path, out: Path) -> None:
    """Write the page of the run at ``place`` to ``out``; raises StorageError where there is no run."""
    write_text(out, render_page(page_data(RunReader(open_run_files(str(place))).read())))


def render_page(data: Mapping[str, Any], live: bool = False) -> str:
    """Give the page as HTML; a ``live`` one asks the server that it came from for newer data."""
    scripts = [*(_part(name) for name in SCRIPTS), _plotly()]
    fields = {
        "policy": _policy(scripts, live),
        "title": html.escape(f"{data['run']['name']} · bistil-ray"),
        "style": _part("style.css"),
        "mode": "live" if live else "file",
        "data": to_script(data),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    # In one pass, so that nothing in the data is taken for a place to fill.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: fields[place[1]], _part("page.html"))


def to_script(data: Mapping[str, Any]) -> str:
    """Write ``data`` as JSON that may stand in a script element: nothing in it can end the element or begin another."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(scripts: list[str], live: bool) -> str:
    """Allow the page's scripts by their hashes, its pictures, any styles, since Plotly sets those, and nothing else."""
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    connect = "'self'" if live else "'none'"
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


@cache
def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _part(name: str) -> str:
    return (files(__package__) / "page" / name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    return (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
