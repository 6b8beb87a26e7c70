"""``bistil-ray configs``: the run configurations that come with the package, and checking one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from ..console import print_json, print_table
from ..options import AsJson

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.callback(epilog="Example: bistil-ray configs show sample > mine.yaml")
def configs() -> None:
    """List, show and check run configurations."""


@app.command("ls", epilog="Example: bistil-ray configs ls")
def list_configs(as_json: AsJson = False) -> None:
    """List the configurations that come with the package.

    Each name can be given to --config.
    """
    from bistil_ray.config_sources import shipped_configs

    about = {name: _first_comment(text) for name, text in sorted(shipped_configs().items())}
    if as_json:
        print_json([{"name": name, "about": line} for name, line in about.items()])
    else:
        print_table(("name", "about"), about.items())


@app.command(epilog="Example: bistil-ray configs show sample > mine.yaml")
def show(name: Annotated[str, typer.Argument(help="A name that `configs ls` lists.")]) -> None:
    """Print a shipped configuration, comments included."""
    from bistil_ray.config_sources import shipped_configs
    from bistil_ray.errors import ConfigError

    shipped = shipped_configs()
    if name not in shipped:
        raise ConfigError(f"no configuration {name!r}: the shipped ones are {', '.join(sorted(shipped))}")
    typer.echo(shipped[name], nl=False)


@app.command(epilog="Example: bistil-ray configs validate mine.yaml --set distil.steps=1000")
def validate(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A YAML file, or a name that `configs ls` lists.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, on top of the file.")] = None,
) -> None:
    """Check a configuration without running it.

    What is valid is printed with every default filled in; what a sweep still has to be given is named on stderr.
    """
    from bistil_ray.config import to_yaml
    from bistil_ray.config_sources import load_draft

    draft = load_draft(source, settings or [])
    typer.echo(to_yaml(draft), nl=False)
    if draft.still_to_give:
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in draft.still_to_give)
        typer.echo(f"Valid; a sweep still has to be given {flags}.", err=True)


def _first_comment(text: str) -> str:
    """Give the sentence that a configuration file opens with."""
    first = text.lstrip().splitlines()[0] if text.strip() else ""
    return first.lstrip("# ") if first.startswith("#") else ""
