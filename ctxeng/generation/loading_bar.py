"""The bars that show how far a model is loaded: on a terminal, and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

BLOCK = 1 << 22
"""Bytes of a file between two looks of its bar."""


@contextmanager
def bars_where_watched() -> Iterator[None]:
    """Those of transformers are drawn on a terminal, and are silent elsewhere, whatever the process
    has set.
    """
    from transformers.utils import logging as untyped

    logging: Any = untyped
    drawn = logging.is_progress_bar_enabled()
    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()


@contextmanager
def file_bar_where_watched(file: Path) -> Iterator[None]:
    """A bar for the reading of a file that is loaded inside; gone when it is.

    llama.cpp tells nobody how far it is, and no other thread can draw while it loads. Most of that
    time goes into reading the file: on a terminal it is read once before, under the bar, and comes
    from the system's cache then. Elsewhere nothing is read.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        with suppress(OSError):  # who loads it says what is wrong with it
            task = bar.add_task(f"Loading {file.name}", total=file.stat().st_size)
            with file.open("rb", buffering=0) as data:
                block = bytearray(BLOCK)
                while size := data.readinto(block):
                    bar.update(task, advance=size, refresh=True)
        yield
