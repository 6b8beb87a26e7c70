"""The command line: which commands there are, and how every one of them ends.

Exit codes: 0 done; 1 done but some steps failed; 2 the user's mistake, told in one line; 130 interrupted.
"""

from __future__ import annotations

import difflib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from bistil_ray import __version__
from bistil_ray.errors import BistilError, ConfigError

# Each name is a module of commands/ that holds ``app``; the module is imported when the command is asked for.
COMMANDS = ("configs", "results", "doctor")

USER_MISTAKE = 2
INTERRUPTED = 130


class Commands(TyperGroup):
    """The group of all commands, each imported only when it is needed."""

    def list_commands(self, ctx: typer.Context) -> list[str]:
        """Give the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | TyperGroup:
        """Import the command ``cmd_name``."""
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the commands are {', '.join(COMMANDS)}"
            raise ConfigError(f"no command {cmd_name!r}: {hint}")
        return typer.main.get_command(import_module(f".commands.{cmd_name}", __package__).app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bistil-ray {__version__}")
        raise typer.Exit()


app = typer.Typer(cls=Commands, add_completion=False, rich_markup_mode=None)


@app.callback(epilog="Example: bistil-ray sweep --langs sw,yo,ha")
def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")
    ] = False,
) -> None:
    """Distil massively multilingual encoders into small bilingual students, many languages at once."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code; every mistake of the user ends in one ``error:`` line on stderr."""
    given = list(sys.argv[1:] if args is None else args)
    words = [word for word in given if word != "--debug"]
    try:
        code = typer.main.get_command(app)(words or ["--help"], prog_name="bistil-ray", standalone_mode=False)
    except (BistilError, typer.TyperException) as error:
        if len(words) < len(given):
            traceback.print_exc()
        typer.echo(f"error: {_one_line(error)}", err=True)
        return USER_MISTAKE
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (``| head``); nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def _one_line(error: Exception) -> str:
    if isinstance(error, typer.TyperException):
        text = error.format_message()
        return text[:1].lower() + text[1:].rstrip(".")
    return " ".join(str(error).split())
