"""``bistil-ray cluster``: the launcher files that come with the package, filled in and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bistil_ray import __version__

from ..console import print_json, print_table
from ..options import AsJson

app = typer.Typer(rich_markup_mode=None, add_completion=False)

RENDER_EPILOG = (
    "Example: bistil-ray cluster render local --set head=10.0.0.5 --set workers=10.0.0.6 --max-workers 1 "
    "--storage /srv/runs --out mine.yaml"
)


@app.callback(epilog="Example: bistil-ray cluster ls")
def cluster() -> None:
    """List, fill in and check files that start a Ray cluster."""


@app.command("ls", epilog="Example: bistil-ray cluster ls")
def list_launchers(as_json: AsJson = False) -> None:
    """List the launcher files that come with the package, and what can be set in each."""
    from bistil_ray.launching.render import placeholders, shipped_launchers

    shipped = shipped_launchers()
    about = {name: text.splitlines()[0].lstrip("# ") for name, text in shipped.items()}
    settings = {name: placeholders(text) for name, text in shipped.items()}
    if as_json:
        files = [{"name": name, "about": about[name], "settings": settings[name]} for name in shipped]
        print_json(files)
        return
    print_table(("name", "about"), about.items())
    print_table(("name", "to be given [or left]"), [(name, _shown(settings[name])) for name in shipped])


def _shown(settings: dict[str, str | None]) -> str:
    """Settings in a line: those that have a default in brackets, with it."""
    return " ".join(key if default is None else f"[{key}={default}]" for key, default in settings.items())


@app.command(epilog=RENDER_EPILOG)
def render(
    name: Annotated[str, typer.Argument(help="A name that `cluster ls` lists.")],
    region: Annotated[str | None, typer.Option(help="Region of the cloud.")] = None,
    instance: Annotated[str | None, typer.Option(help="Type of the workers' machines.")] = None,
    image: Annotated[str | None, typer.Option(help="Image of the machines, as the cloud names it.")] = None,
    max_workers: Annotated[int | None, typer.Option(help="At most so many workers.", min=0)] = None,
    storage: Annotated[
        str | None, typer.Option(help="Shared by all nodes: an NFS export, a claim, a mounted folder, s3:// or gs://.")
    ] = None,
    version: Annotated[str, typer.Option(help="Version of bistil-ray that nodes install.")] = __version__,
    wheel: Annotated[str | None, typer.Option(help="URL of its wheel, if not from the package index.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: anything else to be filled in.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of stdout.")] = None,
) -> None:
    """Fill in a launcher file: prints it, or writes it to --out."""
    from bistil_ray.errors import ConfigError
    from bistil_ray.launching.render import package
    from bistil_ray.launching.render import render as fill_in
    from bistil_ray.storage import local_path, told_when_full, write_text

    count = None if max_workers is None else str(max_workers)
    flags = {"region": region, "instance": instance, "image": image, "max-workers": count, "storage": storage}
    given = {key: value for key, value in flags.items() if value is not None}
    for setting in settings or []:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting!r} has no '=': write --set key=value, such as --set cpus=16")
        given[key] = value
    text = fill_in(name, given, package(version, wheel))
    if out is None:
        typer.echo(text, nl=False)
        return
    with told_when_full(out):
        write_text(local_path(out), text)


@app.command(epilog="Example: bistil-ray cluster validate mine.yaml")
def validate(
    file: Annotated[Path, typer.Argument(help="A file for `ray up`, or a RayJob for KubeRay.")],
    as_json: AsJson = False,
) -> None:
    """Check a launcher file without a cloud: Ray's schema, exposure, token, versions, storage, scaling."""
    from bistil_ray.distributed.launcher_files import check_launcher_file

    findings = check_launcher_file(file)
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        print_table(("check", "found"), findings)
