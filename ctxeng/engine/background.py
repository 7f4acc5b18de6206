"""Goes on embedding with the slower models after ``index`` has returned."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import anyio

from ctxeng.engine.blocking import background_loop


class Background:
    """At most one piece of work at a time, on a worker thread of the background loop."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._work: Future[None] | None = None

    def start(self, work: Callable[[Callable[[], bool]], None]) -> None:
        """Run ``work(stopped)``; it must return soon after ``stopped()`` turns true."""
        self._stop.clear()
        run = partial(anyio.to_thread.run_sync, work, self._stop.is_set)
        self._work = background_loop().start_task_soon(run)

    def stop(self) -> None:
        """Ask the work to stop and wait until it has."""
        self._stop.set()
        self.wait()

    def wait(self) -> None:
        """Block until the work is done; raises what it raised."""
        work, self._work = self._work, None
        if work is not None:
            work.result()
