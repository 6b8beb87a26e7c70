"""``bistil-ray dashboard``: a run as a page to look at."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from ..console import stderr

EPILOG = "Example: bistil-ray dashboard runs/mine --serve"


def dashboard(
    run: Annotated[str, typer.Argument(help="A run's folder, here or behind s3:// or gs://, or its results.jsonl.")],
    out: Annotated[
        str | None, typer.Option(help="The file to write, from the folder you are in; report.html if not given.")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Show the page on this machine and follow the run.")] = False,
    port: Annotated[int, typer.Option(help="Where to serve: http://127.0.0.1:<port>/.", min=0, max=65535)] = 8270,
) -> None:
    """Write a run as one HTML file that asks for nothing from outside, or serve it while the run goes on."""
    from bistil_ray.dashboard.page import write_report
    from bistil_ray.errors import ConfigError
    from bistil_ray.storage import local_path

    if serve and out is not None:
        raise ConfigError(f"--serve writes no file, and --out {out!r} asks for one: leave one of them out")
    if serve:
        _serve(run, port)
        return
    out = out or "report.html"
    write_report(run, local_path(out))
    typer.echo(out)


def _serve(run: str, port: int) -> None:
    from bistil_ray.dashboard.files import open_run_files
    from bistil_ray.dashboard.gather import RunReader
    from bistil_ray.dashboard.server import Dashboard

    with Dashboard(RunReader(open_run_files(run)), port) as server:
        stderr().print(f"Serving {run} at {server.address} (Ctrl+C ends it)")
        with suppress(KeyboardInterrupt):
            server.serve_forever()
