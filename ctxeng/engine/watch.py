"""Keeps a workspace in step with folders while they change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from ctxeng.errors import LoadError, WorkspaceBusyError
from ctxeng.protocols import OnProgress, Progress
from ctxeng.types import IndexReport

if TYPE_CHECKING:
    from watchfiles import Change

    from ctxeng.engine.engine import Engine

WAKE_MS = 200
"""How often the watcher looks up: bounds the wait for the first report and between retries."""


def _silent(progress: Progress) -> None:
    """For callers who do not watch the progress."""


async def watch(
    engine: Engine,
    paths: Sequence[str | Path],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    fast: bool = False,
    on_progress: OnProgress = _silent,
    stop: anyio.Event | None = None,
) -> AsyncIterator[IndexReport]:
    """Index the paths, then index them again whenever something below them changes.

    Yields a report for the first run and for each one after it. The watcher stands before the
    first run begins, so nothing that changes meanwhile is missed. While another process writes
    the workspace, the run is tried again until it may.

    Args:
        stop: ends the iteration when set; without it the iteration goes on until it is closed.

    Raises:
        LoadError: a path does not exist, or is gone.
    """
    from watchfiles import awatch

    roots = [Path(path).resolve() for path in paths]
    for root in roots:
        if not root.exists():
            raise LoadError(str(root), "no such file or folder", "Check the path")
    workspace = Path((await engine.astatus()).workspace).resolve()

    def concerns_us(change: Change, path: str) -> bool:
        """Our own writes must not wake us; git's are many and say nothing."""
        return not Path(path).is_relative_to(workspace) and ".git" not in Path(path).parts

    pending = True
    async for changes in awatch(
        *roots,
        watch_filter=concerns_us,
        stop_event=stop,
        rust_timeout=WAKE_MS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    ):
        pending = pending or bool(changes)
        if not pending:
            continue
        try:
            report = await engine.aindex(
                roots, include=include, exclude=exclude, fast=fast, on_progress=on_progress
            )
        except WorkspaceBusyError:
            continue  # still pending: the next wake-up tries again
        pending = False
        yield report
