"""The one bridge from sync to async.

Public verbs are written async. Their plain forms run on one background event loop per process, so
that they work in scripts, in notebooks (whose own loop is busy) and from any thread.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import cache, partial, wraps
from typing import Generic, ParamSpec, TypeVar

import anyio
from anyio import CancelScope
from anyio.from_thread import BlockingPortal, start_blocking_portal

P = ParamSpec("P")
T = TypeVar("T")

_THREAD = "ctxeng background loop"
_starting = threading.Lock()


class _Here(threading.local):
    """Whether this thread runs a coroutine, without a loop, for whose result it waits."""

    runs = False


_here = _Here()


@cache
def _start_portal() -> BlockingPortal:
    manager = start_blocking_portal(name=_THREAD)
    portal = manager.__enter__()
    # Its threads are daemons: without this, the interpreter would wait for them for ever.
    atexit.register(manager.__exit__, None, None, None)
    return portal


def background_loop() -> BlockingPortal:
    """The loop on which plain verbs and background work run."""
    with _starting:  # functools.cache may call twice when two threads come first
        return _start_portal()


async def in_worker(work: Callable[[], T]) -> T:
    """Do blocking work in a worker thread; in the calling one, where that only waits for it."""
    return work() if _here.runs else await anyio.to_thread.run_sync(work)


def plain(
    function: Callable[P, Coroutine[object, object, T]],
    *,
    here: Callable[..., bool] | None = None,
) -> Callable[P, T]:
    """The plain form of an async verb: same arguments, returns the result.

    Args:
        here: tells of the arguments whether the verb awaits nothing but ``in_worker``. The calling
            thread then does it all: to wake three others costs more than to search.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        _refuse_own_loop(function.__name__)
        if here is not None and here(*args, **kwargs):
            return _run_here(function(*args, **kwargs))
        return background_loop().call(partial(function, *args, **kwargs))

    call.__name__ = function.__name__.removeprefix("a")
    call.__qualname__ = function.__qualname__.replace(function.__name__, call.__name__)
    call.__doc__ = f"Plain form of ``{function.__name__}``.\n\n{function.__doc__ or ''}"
    return call


def _run_here(verb: Coroutine[object, object, T]) -> T:
    before, _here.runs = _here.runs, True
    try:
        verb.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        _here.runs = before
        verb.close()
    raise AssertionError("it awaits more than in_worker")


def plain_stream(function: Callable[P, AsyncIterator[T]]) -> Callable[P, Iterator[T]]:
    """The plain form of an async stream; leaving the loop early closes it."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        _refuse_own_loop(function.__name__)
        portal = background_loop()
        steps = _Steps(function(*args, **kwargs))
        try:
            while True:
                try:
                    item = portal.call(steps.next)
                except StopAsyncIteration:
                    return
                yield item
        finally:
            portal.call(steps.close)

    call.__name__ = function.__name__.removeprefix("a")
    return call


class _Steps(Generic[T]):
    """A stream on the loop, taken step by step from a thread that Ctrl-C may call away from its
    waiting: then the step is given up, so that the stream can be closed.
    """

    def __init__(self, stream: AsyncIterator[T]) -> None:
        self._stream = stream
        self._running: CancelScope | None = None
        self._ended: anyio.Event | None = None

    async def next(self) -> T:
        self._ended = anyio.Event()
        try:
            with CancelScope() as self._running:
                return await anext(self._stream)
            raise StopAsyncIteration  # given up: nobody waits for it
        finally:
            self._running = None
            self._ended.set()

    async def close(self) -> None:
        if self._running is not None and self._ended is not None:
            self._running.cancel()
            await self._ended.wait()
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()


def _refuse_own_loop(name: str) -> None:
    """A plain verb on the background loop itself would wait for itself."""
    if threading.current_thread().name == _THREAD:
        raise RuntimeError(f"inside ctxeng's own event loop call `await {name}(…)` instead")
