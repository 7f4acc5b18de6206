"""One writer per workspace, kept by the operating system: a killed writer frees it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ctxeng.errors import WorkspaceBusyError, WorkspaceError
from ctxeng.protocols import Stopped

WAIT_SECONDS = 3_600
POLL_SECONDS = 0.05
HOLDER = "writer"
"""The file that says who writes."""


@contextmanager
def writer_lock(
    folder: Path | None, *, wait: bool, stopped: Stopped = lambda: False
) -> Iterator[None]:
    """Hold the workspace for writing; a workspace in memory needs no lock.

    Args:
        stopped: turns true when there is no use in waiting any longer.

    Raises:
        WorkspaceBusyError: at once where another process holds it; after an hour with ``wait``.
        WorkspaceError: the disk is full, or the folder may not be written.
    """
    if folder is None:
        yield
        return
    lock = FileLock(folder / "writer.lock", timeout=0)
    end = time.monotonic() + (WAIT_SECONDS if wait else 0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while not _taken(lock):
            if stopped() or time.monotonic() >= end:
                raise WorkspaceBusyError(
                    f"{folder}: is being written by {_holder(folder)}. Try again when it is done, "
                    "or wait for it: `--wait-for-writer`, in Python `wait_for_writer=True`."
                )
            time.sleep(POLL_SECONDS)
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        (folder / HOLDER).write_text(f"process {os.getpid()} since {now}", "utf-8")
    except OSError as error:
        lock.release()
        raise WorkspaceError(
            f"{folder}: cannot be locked for writing: {error.strerror or error}. Free space or "
            "check the permissions; reading it still works."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _taken(lock: FileLock) -> bool:
    try:
        lock.acquire()
    except Timeout:
        return False
    return True


def _holder(folder: Path) -> str:
    try:
        return (folder / HOLDER).read_text("utf-8", errors="replace") or "another process"
    except FileNotFoundError:
        return "another process"
