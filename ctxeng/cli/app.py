"""All commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ctxeng.cli import output
from ctxeng.cli.ask import ask
from ctxeng.cli.chat import chat
from ctxeng.cli.index import index, reindex, remove
from ctxeng.cli.models import models
from ctxeng.cli.search import context, search
from ctxeng.cli.status import doctor, status
from ctxeng.cli.trace import diff, replay, trace
from ctxeng.errors import BackendError, CtxengError

app = typer.Typer(
    name="ctxeng",
    help="Index files, find passages, and answer questions with the exact place of every sentence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (index, search, context, ask, chat, status, remove, reindex, doctor, replay, diff):
    app.command()(command)
app.add_typer(models, name="models")
app.add_typer(trace, name="trace")

UsageError: type = typer.BadParameter.__bases__[0]
"""Of click, which newer versions of typer carry inside and older ones import."""


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        output.say(f"ctxeng {version('ctxeng')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Index files, find passages, and answer questions with the exact place of every sentence."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit code. A user's mistake is a message, never a trace."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of few characters is no reason to die
    as_json = "--json" in arguments
    try:
        code = app(list(arguments), prog_name="ctxeng", standalone_mode=False)
    except CtxengError as error:
        output.complain(str(error), as_json=as_json)
        return output.SOME_FAILED if isinstance(error, BackendError) else output.MISUSED
    except OSError as error:
        output.complain(_told(error), as_json=as_json)
        return output.MISUSED
    except Exception as error:
        if not isinstance(error, UsageError):
            raise  # a bug: its trace is wanted
        return _misused(error, as_json=as_json)
    return code if isinstance(code, int) else output.OK


def _told(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}."


def _misused(error: Any, *, as_json: bool) -> int:
    if as_json:
        output.emit({"error": error.format_message()})
    error.show()  # usage and message, on standard error
    return output.MISUSED
