"""Ends waits at their time, at the price of one timer for many."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable


class Alarm:
    """Calls ``cut`` when a wait has lasted too long. Its timer is moved only when it goes off
    too early, while a cancel scope for each token of a reply costs as much as reading the token:
    0.75 of 1.5 ms CPU for 100 tokens, 1.4 of 2.8 ms where each comes by itself
    (``benchmarks.api_overhead``).

    Of asyncio, whose timers can be had without a task.
    """

    def __init__(self, cut: Callable[[], Awaitable[None]]) -> None:
        """``cut`` must make the wait end, with whatever error; ``rang`` then says why."""
        self.rang = False
        self.until: float | None = None
        """Of the wait that is going on; who has waited sets it to None."""
        self._cut = cut
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._when = math.inf
        """When it goes off."""
        self._cutting: asyncio.Future[None] | None = None

    def begin(self, until: float) -> None:
        """A wait begins that may last until then, in the loop's time."""
        self.until = until
        if until < self._when:
            self._arm(until)

    def stop(self) -> None:
        """There will be no more waits."""
        self.until = None
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._when = None, math.inf

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._when = self._loop.call_at(when, self._ring), when

    def _ring(self) -> None:
        self._timer, self._when = None, math.inf
        if self.until is None:
            return
        if self._loop.time() < self.until:
            self._arm(self.until)
        else:
            self.rang = True
            self._cutting = asyncio.ensure_future(self._cut())
