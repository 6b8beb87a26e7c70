"""``bistil-ray doctor``: what works on this machine and what does not."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ..console import print_table

EPILOG = "Example: bistil-ray doctor --storage runs"


def doctor(
    storage: Annotated[str, typer.Option(help="Where runs will be kept: a folder, s3:// or gs://.")] = "runs",
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Report what works on this machine and what does not."""
    from ..checks import examine

    findings = examine(storage)
    if as_json:
        typer.echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        print_table(("check", "state", "found"), findings)
