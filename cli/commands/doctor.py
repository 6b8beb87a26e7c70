"""``bistil-ray doctor``: what works on this machine and what does not."""

from __future__ import annotations

from typing import Annotated

import typer

from ..console import print_json, print_table
from ..options import AsJson

EPILOG = "Example: bistil-ray doctor --storage runs"


def doctor(
    storage: Annotated[str, typer.Option(help="Where runs will be kept: a folder, s3:// or gs://.")] = "runs",
    as_json: AsJson = False,
) -> None:
    """Report what works on this machine and what does not."""
    from ..checks import examine

    findings = examine(storage)
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        print_table(("check", "state", "found"), findings)
