"""Asks several things at the same time, but not too many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

T = TypeVar("T")


async def together(calls: Sequence[Callable[[], Awaitable[T]]], *, at_once: int) -> list[T]:
    """The results in the order of the calls, of which ``at_once`` run at the same time.

    Raises:
        Exception: the first that a call raises, as it is; the others are cancelled.
    """
    results: dict[int, T] = {}
    failures: list[Exception] = []
    places = anyio.Semaphore(at_once)

    async def one(number: int, call: Callable[[], Awaitable[T]]) -> None:
        async with places:
            try:
                results[number] = await call()
            except Exception as error:
                failures.append(error)
                group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for number, call in enumerate(calls):
            group.start_soon(one, number, call)
    if failures:
        raise failures[0]
    return [results[number] for number in range(len(calls))]
