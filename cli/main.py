"""The command line: which commands there are, and how every one of them ends.

Exit codes: 0 done; 1 done but some steps failed, or a fault, with its traceback; 2 the user's mistake, told in one
line; 130 interrupted.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from bistil_ray import __version__
from bistil_ray.credentials import masked
from bistil_ray.errors import BistilError
from bistil_ray.terminal import visible

# The modules of commands/. A module holds the function of its own name and EPILOG or, for a command that has commands
# of its own, ``app``. All are imported at every call: what is heavy is imported inside the functions.
COMMANDS = (
    "sweep",
    "adapt",
    "distill",
    "finetune",
    "merge",
    "pretrain",
    "trim",
    "evaluate",
    "bench",
    "export",
    "results",
    "dashboard",
    "corpus",
    "configs",
    "cluster",
    "doctor",
)

UNWRAPPED = "\b\n"
"""What an example in a ``--help`` begins with, so that it stays on one line and can be copied."""
FAULT = 1
USER_MISTAKE = 2
INTERRUPTED = 130
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""What the system says of places that a user may not read or write, and of full ones."""


def make_app() -> typer.Typer:
    """Put the commands together."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.callback(epilog="Example: bistil-ray sweep --langs sw,yo,ha")(_everywhere)
    for name in COMMANDS:
        module = import_module(f".commands.{name}", __package__)
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name, epilog=module.EPILOG)(getattr(module, name))
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bistil-ray {__version__}")
        raise typer.Exit()


def _everywhere(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")] = False,
) -> None:
    """Distil massively multilingual encoders into small bilingual students, many languages at once."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code; a user's mistake ends in one ``error:`` line on stderr."""
    given = list(sys.argv[1:] if args is None else args)
    words = [word for word in given if word != "--debug"]
    debug = len(words) < len(given)
    try:
        command = typer.main.get_command(make_app())
        _keep_examples_whole(command)
        code = command.main(words or ["--help"], prog_name="bistil-ray", standalone_mode=False)
    except (BistilError, typer.TyperException) as error:
        return _mistake(_one_line(error), debug)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except OSError as error:
        if error.errno not in REFUSED:
            return _fault()
        return _mistake(visible(f"{error.filename or 'the output'}: {error.strerror}"), debug)
    except Exception:
        return _fault()
    return code if isinstance(code, int) else 0


def _keep_examples_whole(command: Any) -> None:  # noqa: ANN401
    if command.epilog:
        command.epilog = UNWRAPPED + command.epilog.removeprefix(UNWRAPPED)
    for inner in getattr(command, "commands", {}).values():
        _keep_examples_whole(inner)


def _mistake(words: str, debug: bool) -> int:
    if debug:
        typer.echo(masked(traceback.format_exc()), err=True)
    typer.echo(f"error: {words}", err=True)
    return USER_MISTAKE


def _fault() -> int:
    """Show the traceback of a fault of ours or of a library, whose words may repeat anything."""
    typer.echo(visible(masked(traceback.format_exc())), err=True)
    return FAULT


def _one_line(error: BistilError | typer.TyperException) -> str:
    cause = error.__cause__
    if isinstance(error, typer.BadParameter) and error.param is not None and isinstance(cause, ValidationError):
        from bistil_ray.config_sources import told_plainly

        text = masked(told_plainly(error.param.opts[0], cause.errors()[0]))
    elif isinstance(error, typer.TyperException):
        text = masked(error.format_message())
        text = text[:1].lower() + text[1:].rstrip(".")
    else:
        text = str(error)
    return visible(" ".join(text.split()))
