"""``index``, ``remove``, ``reindex``: what changes a workspace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctxeng.cli import output
from ctxeng.cli.options import (
    DEFAULT_WORKSPACE,
    AsJson,
    Config,
    WaitForWriter,
    Workspace,
    open_engine,
)
from ctxeng.errors import ConfigError

if TYPE_CHECKING:
    from ctxeng.engine import Engine
    from ctxeng.types import Failure, IndexReport

SHOWN_SKIPPED = 5

Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH…", exists=True, help="Files and folders.")
]


def index(
    paths: Paths,
    *,
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help="Only files like this; may be given again.", show_default=False
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help="No files like this; may be given again.", show_default=False
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on following the paths until Ctrl-C.")
    ] = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="Stop when all is searchable; no slower vectors.")
    ] = False,
    wait_for_writer: WaitForWriter = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Make files and folders searchable.

    Running it again costs work for what changed, and removes what is gone.
    Slower, better vectors follow once all is searchable.
    Ctrl-C loses nothing: the next run goes on from there.

    For example:

      ctxeng index handbook

      ctxeng index src docs --include '*.py' --include '*.md'

      ctxeng index notes --watch
    """
    if watch and as_json:
        raise ConfigError("--watch never ends, so it has no one JSON value: leave --json out.")
    with open_engine(workspace, config, create=True, wait_for_writer=wait_for_writer) as engine:
        bars = output.Bars(lambda: engine.status().vectors)
        with _continued_next_time(), bars:
            report = engine.index(
                paths, include=include or (), exclude=exclude or (), fast=fast, on_progress=bars
            )
        if not as_json:
            _print_report(report)
            output.note(f"Searchable now: {engine.status().chunks} chunks.")
        if watch:
            _follow(engine, paths, include or (), exclude or (), report.failed, fast=fast)
        with _continued_next_time(), bars:
            engine.wait_vectors()
        if as_json:
            status = engine.status().model_dump(mode="json")
            output.emit({**report.model_dump(mode="json"), "status": status})
    return output.SOME_FAILED if report.failed else output.OK


def _print_report(report: IndexReport) -> None:
    _print_failures(report)
    counts = {
        name: getattr(report, name)
        for name in ("added", "changed", "renamed", "removed", "unchanged")
    }
    counts["failed"], counts["skipped"] = len(report.failed), len(report.skipped)
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    output.say(f"{said or 'nothing to index'} ({report.seconds:.1f} s)")
    output.note_usage(report.usage)


def _print_failures(report: IndexReport) -> None:
    for failure in report.failed:
        hint = f" {failure.hint}." if failure.hint else ""
        output.say(f"{output.place(failure.uri)}: {failure.why}.{hint}", style="red")
    for passed in report.skipped[:SHOWN_SKIPPED]:
        output.note(f"{output.place(passed.uri)}: skipped, it {passed.why}.")
    more = len(report.skipped) - SHOWN_SKIPPED
    if more > 0:
        output.note(f"… and {more:,} more with nothing to read in them (--json names all).")


def _follow(
    engine: Engine,
    paths: Sequence[Path],
    include: Sequence[str],
    exclude: Sequence[str],
    known: Sequence[Failure],
    *,
    fast: bool,
) -> None:
    """Report each run that changed something; a file that cannot be read is told once."""
    import anyio

    from ctxeng.engine.watch import watch

    async def follow() -> None:
        told = set(known)
        reports = watch(engine, paths, include=include, exclude=exclude, fast=fast)
        async for report in reports:
            new = tuple(failure for failure in report.failed if failure not in told)
            told.update(new)
            if new or report.added or report.changed or report.renamed or report.removed:
                _print_report(report.model_copy(update={"failed": new}))

    output.note("Following; Ctrl-C ends it.")
    anyio.run(follow)


@contextmanager
def _continued_next_time() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        output.note("Stopped. What is done is kept; the next run goes on from here.")
        raise


def remove(
    targets: Annotated[
        list[str], typer.Argument(metavar="TARGET…", help="Files, folders or document ids.")
    ],
    wait_for_writer: WaitForWriter = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Remove files, folders or documents from the workspace.

    Nothing on the disk is touched. What still lies in an indexed folder comes back with the next
    run of index.

    For example:

      ctxeng remove handbook/old.md

      ctxeng remove handbook
    """
    with open_engine(workspace, config, wait_for_writer=wait_for_writer) as engine:
        removed = engine.remove(*targets)
    if as_json:
        output.emit({"removed": removed})
    else:
        output.say(f"{removed} document{'' if removed == 1 else 's'} removed")
        if not removed:
            output.note("None of these is in the workspace. `ctxeng search` shows what is.")
    return output.OK if removed else output.SOME_FAILED


def reindex(
    wait_for_writer: WaitForWriter = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Cut and index everything again, with the present settings.

    No file is read, and vectors that still fit are kept.

    For example:

      ctxeng reindex

      ctxeng reindex --config other.toml
    """
    with open_engine(workspace, config, check=False, wait_for_writer=wait_for_writer) as engine:
        bars = output.Bars(lambda: engine.status().vectors)
        with _continued_next_time(), bars:
            report = engine.reindex(on_progress=bars)
            engine.wait_vectors()
    if as_json:
        output.emit(report.model_dump(mode="json"))
    else:
        _print_failures(report)
        output.say(f"{report.changed} sources, {report.chunks} chunks ({report.seconds:.1f} s)")
        output.note_usage(report.usage)
    return output.SOME_FAILED if report.failed else output.OK
