"""Turns at a server: how many replies run at once, and how fast requests follow each other."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

import anyio

from ctxeng.errors import BackendError
from ctxeng.generation.faults import TryError
from ctxeng.settings import ModelSettings


class NoTurnError(TryError):
    """The call's turn does not come in its time."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__("timeout", what, advice=advice, retryable=True)


@dataclass(eq=False, slots=True)
class Place:
    """One call, from when it asks for its turn until it gives its place up."""

    loop: asyncio.AbstractEventLoop
    most: int
    admitted: asyncio.Future[None] | None = None
    """Of a call that waits."""


class Pace:
    """Who may ask now, for all calls of one server, whatever model, thread or event loop they are
    of. Each call brings the limits of its own model's table: where two models name the same server
    with different limits, each keeps to its own, and all calls and requests count for both. Who
    came first goes first.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._running: set[Place] = set()
        self._waiting: deque[Place] = deque()
        self._last = -math.inf
        """When the last request was or is sent, by ``time.monotonic``."""

    async def enter(self, most: int, until: float) -> Place:
        """A place among at most ``most`` replies; whoever gets one must ``leave`` it.

        Args:
            until: in the loop's time.

        Raises:
            NoTurnError: none was free in time.
        """
        place = Place(asyncio.get_running_loop(), most)
        with self._turn:
            self._waiting.append(place)
            self._admit()
            if place in self._running:
                return place
            place.admitted = place.loop.create_future()
        began = anyio.current_time()
        try:
            with anyio.fail_after(until - began):
                await place.admitted
        except TimeoutError:
            self.leave(place)
        except BaseException:
            self.leave(place)
            raise
        else:
            return place
        raise NoTurnError(
            f"it waited {anyio.current_time() - began:.3g} s for its turn, until timeout.total was "
            f"over: no more replies may run at once (max_concurrent = {most})",
            "Ask less at once, or raise max_concurrent or timeout.total in the model's table.",
        )

    def leave(self, place: Place) -> None:
        """Give a place up, or the waiting for one."""
        with self._turn:
            self._running.discard(place)
            if place in self._waiting:
                self._waiting.remove(place)
            self._admit()

    async def wait(self, requests_per_minute: float | None, until: float) -> float:
        """Wait until the next request may be sent; returns the seconds that this took.

        Args:
            until: in the loop's time.

        Raises:
            NoTurnError: that is later; it is told at once.
        """
        with self._turn:
            now = time.monotonic()
            if requests_per_minute is None:
                self._last = max(self._last, now)
                return 0.0
            seconds = max(0.0, self._last + 60 / requests_per_minute - now)
            if anyio.current_time() + seconds >= until:
                raise NoTurnError(
                    f"its turn comes in {seconds:.3g} s, when timeout.total is over "
                    f"(requests_per_minute = {requests_per_minute:g})",
                    "Ask less, or raise requests_per_minute or timeout.total in the model's table.",
                )
            self._last = now + seconds
        await anyio.sleep(seconds)
        return seconds

    def _admit(self) -> None:
        """Let in whoever may come in. Calls of an event loop that has ended are no longer there."""
        self._running = {place for place in self._running if not place.loop.is_closed()}
        while self._waiting:
            first = self._waiting[0]
            if not first.loop.is_closed() and len(self._running) >= first.most:
                return
            self._waiting.popleft()
            if _told(first):
                self._running.add(first)


def _told(place: Place) -> bool:
    """Tell a call, on its own loop, that it may go on; False: its loop has ended."""
    if place.admitted is None:
        return True  # it is being asked for at this moment
    try:
        place.loop.call_soon_threadsafe(_tell, place.admitted)
    except RuntimeError:
        return False
    return True


def _tell(admitted: asyncio.Future[None]) -> None:
    if not admitted.done():
        admitted.set_result(None)


@asynccontextmanager
async def turn(pace: Pace, name: str, table: ModelSettings) -> AsyncIterator[None]:
    """The turn of one call, of a backend whose replies are one request each.

    Raises:
        BackendError: of kind ``timeout``: it does not come within the total time.
    """
    until = anyio.current_time() + table.timeouts.total
    place = None
    try:
        place = await pace.enter(table.max_concurrent, until)
        await pace.wait(table.requests_per_minute, until)
        yield
    except NoTurnError as late:
        message = f"{name}: {late.what}. {late.advice}"
        raise BackendError(message, kind="timeout", retryable=True) from None
    finally:
        if place is not None:
            pace.leave(place)


_paces: WeakValueDictionary[tuple[str, ...], Pace] = WeakValueDictionary()
_making = threading.Lock()


def pace_of(*server: str) -> Pace:
    """The pace of a server, the same for all who ask it in this process: a server is told by its
    address and the name of the key.
    """
    with _making:
        pace = _paces.get(server)
        if pace is None:
            pace = _paces[server] = Pace()
    return pace
