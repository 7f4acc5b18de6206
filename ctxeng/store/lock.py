"""One writer per workspace, kept by the operating system: a killed writer frees it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ctxeng.errors import WorkspaceBusyError

WAIT_SECONDS = 3_600


@contextmanager
def writer_lock(folder: Path | None, *, wait: bool) -> Iterator[None]:
    """Hold the workspace for writing; a workspace in memory needs no lock.

    Raises:
        WorkspaceBusyError: at once where another process holds it; after an hour with ``wait``.
    """
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / "writer"
    lock = FileLock(folder / "writer.lock", timeout=WAIT_SECONDS if wait else 0)
    try:
        lock.acquire()
    except Timeout as error:
        who = holder.read_text("utf-8") if holder.exists() else "another process"
        raise WorkspaceBusyError(
            f"{folder}: is being written by {who}. Try again when it is done."
        ) from error
    try:
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        holder.write_text(f"process {os.getpid()} since {now}", "utf-8")
        yield
    finally:
        lock.release()
