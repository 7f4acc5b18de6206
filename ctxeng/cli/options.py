"""Options that commands share, and how they open a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctxeng.cli import output
from ctxeng.errors import ConfigError, WorkspaceError

if TYPE_CHECKING:
    from ctxeng.engine import Engine

Workspace = Annotated[
    Path,
    typer.Option(
        "--workspace",
        metavar="DIR",
        file_okay=False,
        help="Folder that holds the indexed content.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Settings; by default ctxeng.toml, looked for from the working folder upwards.",
        show_default=False,
    ),
]
WaitForWriter = Annotated[
    bool,
    typer.Option("--wait-for-writer", help="Wait while another process writes the workspace."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]
Budget = Annotated[
    int | None,
    typer.Option(
        metavar="TOKENS",
        min=1,
        help="Tokens that the prompt may have; by default the setting context.budget.",
        show_default=False,
    ),
]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="KEY=VALUE",
        help="Only where a field is this: uri (a file's path), title, media_type, document_id or a "
        "metadata key. "
        "May be given again: other keys must match too, the same key again is an alternative.",
        show_default=False,
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Who writes the answer: extractive, local or a name of [models.NAME]; by default the "
        "setting generation.model.",
        show_default=False,
    ),
]
DEFAULT_WORKSPACE = Path(".ctxeng")


def open_engine(
    workspace: Path,
    config: Path | None,
    *,
    create: bool = False,
    check: bool = True,
    wait_for_writer: bool = False,
) -> Engine:
    """The workspace's engine, to write.

    Raises:
        WorkspaceError: there is none and ``create`` is not set, or it cannot be opened.
        ConfigError: the settings are wrong.
    """
    if not create:
        require_workspace(workspace)
    from ctxeng.engine import Engine
    from ctxeng.settings import load_settings

    return Engine.open(
        workspace,
        settings=load_settings(config),
        check=check,
        wait_for_writer=wait_for_writer,
    )


def open_to_read(workspace: Path, config: Path | None) -> Engine:
    """The workspace's engine; read-only where it cannot be written (permissions, a full disk).

    Raises:
        WorkspaceError: there is none, or it cannot be opened.
        ConfigError: the settings are wrong.
    """
    try:
        return open_engine(workspace, config)
    except WorkspaceError as error:
        if not has_workspace(workspace):
            raise
        from ctxeng.engine import Engine
        from ctxeng.settings import load_settings

        try:
            engine = Engine.open(workspace, settings=load_settings(config), read_only=True)
        except WorkspaceError:
            raise error from None
        output.note(f"{error} Reading only.")
        return engine


def require_workspace(workspace: Path) -> None:
    """Reading must never make a workspace: a typo would look like an empty one.

    Raises:
        WorkspaceError: there is none.
    """
    if not has_workspace(workspace):
        raise WorkspaceError(
            f"no workspace at {workspace}: run `ctxeng index PATH` first, or name another with "
            "--workspace."
        )


def has_workspace(workspace: Path) -> bool:
    from ctxeng.store.store import FILE

    return (workspace / FILE).exists()


def parse_filters(filters: Sequence[str] | None) -> dict[str, list[str]]:
    """``["year=2024", "year=2025"]`` → ``{"year": ["2024", "2025"]}``.

    The uri of a file is its whole path; here it may be written as from the working folder.

    Raises:
        ConfigError: one of them has no ``=`` or no key.
    """
    wanted: dict[str, list[str]] = {}
    for filter in filters or ():
        key, equals, value = filter.partition("=")
        if not key or not equals:
            raise ConfigError(f"--filter {filter!r}: write it as KEY=VALUE, such as uri=notes.md.")
        if key == "uri" and Path(value).exists():
            value = Path(value).resolve().as_posix()
        wanted.setdefault(key, []).append(value)
    return wanted


def note_what_is_missing(engine: Engine) -> None:
    """Say once, in one line beside a result, that vectors would make it better."""
    vectors = engine.status().vectors
    incomplete = [tier for tier in vectors if tier.done < tier.total]
    if not vectors:
        output.note("No embedder is configured or installed: found by terms alone.")
    elif incomplete:
        best = incomplete[-1]
        output.note(
            f"{best.done} of {best.total} chunks have vectors of {best.model}; "
            "`ctxeng index` on the same path goes on with them."
        )
