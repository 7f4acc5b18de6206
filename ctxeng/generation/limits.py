"""Keeps a backend's price within limits: a wrapper that fits ``Generator``."""

from __future__ import annotations

import atexit
import json
import logging
import math
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Protocol

import anyio

from ctxeng.errors import BackendError, WorkspaceError
from ctxeng.generation.reply import closable
from ctxeng.protocols import Delta, Generator, Restart, TokenCounter
from ctxeng.settings import GenerationSettings, PriceSettings
from ctxeng.store import SqliteStore, open_store
from ctxeng.types import (
    DEFAULT_OPTIONS,
    Attachment,
    GenerationOptions,
    Image,
    Message,
    Usage,
)

logger = logging.getLogger(__name__)

MILLION = 1_000_000
IMAGE = 5_000
"""Tokens that are put aside for an image: an estimate, as vendors scale images down."""
BASE64 = 4
"""Characters of a file, in base64, that are put aside as one token: three bytes."""


class Ledger(Protocol):
    """What was spent, by day (UTC, ``2026-01-31``)."""

    def reserve_spend(self, day: str, amount: float, limit: float | None) -> bool:
        """Put ``amount`` aside, unless the day's sum would go over ``limit``."""
        ...

    def settle_spend(self, day: str, difference: float) -> None:
        """Correct what was put aside by what it has cost more (or, negative, less)."""
        ...

    def spent(self, day: str) -> float:
        """The day's sum, with what is put aside."""
        ...


class ProcessLedger:
    """Forgets with the process."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}
        self._turn = threading.Lock()

    def reserve_spend(self, day: str, amount: float, limit: float | None) -> bool:
        with self._turn:
            sum_ = self._spent.get(day, 0.0) + amount
            if limit is not None and sum_ > limit:
                return False
            self._spent[day] = sum_
            return True

    def settle_spend(self, day: str, difference: float) -> None:
        with self._turn:
            self._spent[day] = self._spent.get(day, 0.0) + difference

    def spent(self, day: str) -> float:
        return self._spent.get(day, 0.0)


def user_ledger() -> Ledger | None:
    """What this user spends on this machine outside of workspaces that can be written: one ledger
    for all processes, in the user's folder for state (``XDG_STATE_HOME`` moves it). None: it cannot
    be written, which is told as a warning.
    """
    import platformdirs

    folder = Path(platformdirs.user_state_dir("ctxeng")) / "spending"
    try:
        return _opened(folder).replies
    except WorkspaceError as error:
        logger.warning("generation.spend_per_day holds for this process only: %s", error)
        return None


@cache
def _opened(folder: Path) -> SqliteStore:
    store = open_store(folder)
    atexit.register(store.close)
    return store


class Priced:
    """Says what each reply cost, and makes no call that could go over a spend limit.

    Before a call, and before a broken stream starts again, the most that it can cost is put aside:
    the prompt as ``most_tokens`` has it, all of it written to the cache where that is dearer, and
    ``max_tokens`` of reply. Concurrent calls can therefore not go over a limit together.
    """

    def __init__(
        self,
        generator: Generator,
        prices: PriceSettings,
        *,
        limits: GenerationSettings,
        ledger: Ledger,
        session: ProcessLedger | None = None,
    ) -> None:
        """``session``: shared by the models whose spending is limited together."""
        self._generator = generator
        self._prices = prices
        self._limits = limits
        self._ledger = ledger
        self._session = session or ProcessLedger()
        self.name = generator.name

    @property
    def counter(self) -> TokenCounter:
        return self._generator.counter

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Delta]:
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        most = await anyio.to_thread.run_sync(self._most, messages, options)
        await anyio.to_thread.run_sync(self._put_aside, day, most, most)
        reserved = most
        cost = 0.0  # a call that fails before anything has come costs nothing
        try:
            async with aclosing(closable(self._generator.stream(messages, options))) as deltas:
                async for delta in deltas:
                    if isinstance(delta, Restart):
                        took = self._priced(delta.took)
                        more = took.cost + most - reserved
                        try:
                            await anyio.to_thread.run_sync(
                                self._put_aside, day, more, took.cost + most
                            )
                        except BackendError as refused:
                            cost = took.cost
                            error = f"{delta.error} It is not started again: {refused}"
                            yield Delta(usage=took, stop="interrupted", error=error)
                            return
                        cost = reserved = reserved + more
                        yield replace(delta, took=took)
                    elif delta.usage is None:
                        cost = reserved  # what is cut off may have cost as much
                        yield delta
                    else:
                        usage = self._priced(delta.usage)
                        cost = usage.cost
                        yield replace(delta, usage=usage)
        except BackendError as error:
            if error.usage is not None:  # a reply that came to its end and cannot be used
                error.usage = self._priced(error.usage)
                cost = error.usage.cost
            raise
        finally:
            self._session.settle_spend("", cost - reserved)
            self._ledger.settle_spend(day, cost - reserved)

    def _priced(self, usage: Usage) -> Usage:
        return usage.model_copy(update={"cost": cost_of(usage, self._prices)})

    def _most(self, messages: Sequence[Message], options: GenerationOptions) -> float:
        """What one try can cost."""
        prompt = most_tokens(self.counter, messages, options)
        most = Usage(prompt_tokens=prompt, completion_tokens=options.max_tokens)
        return cost_of(most, _dearest(self._prices))

    def _put_aside(self, day: str, amount: float, call: float) -> None:
        """``call``: what the call can cost with this amount.

        Raises:
            BackendError: of kind ``budget``: that could go over a limit.
        """
        limits = self._limits
        if limits.spend_per_call is not None and call > limits.spend_per_call:
            raise self._over("call", call, limits.spend_per_call, 0.0)
        if not self._session.reserve_spend("", amount, limits.spend_per_session):
            raise self._over("session", amount, limits.spend_per_session, self._session.spent(""))
        if not self._ledger.reserve_spend(day, amount, limits.spend_per_day):
            self._session.settle_spend("", -amount)
            raise self._over("day", amount, limits.spend_per_day, self._ledger.spent(day))

    def _over(self, what: str, amount: float, limit: float | None, spent: float) -> BackendError:
        before = f", {spent:.4f} is spent or put aside" if spent else ""
        return BackendError(
            f"{self.name}: not called: it could cost {amount:.4f}{before}, and the limit for a "
            f"{what} is {limit}. Raise generation.spend_per_{what}, or lower max_tokens or the "
            "budget.",
            kind="budget",
        )


def most_tokens(
    counter: TokenCounter, messages: Sequence[Message], options: GenerationOptions
) -> int:
    """Tokens of a prompt, on the high side: with its tools, calls and schema as JSON (the schema is
    asked for twice, natively and in words), images and files by estimate, and the margin of a
    counter that is approximate.
    """
    texts = [message.text for message in messages]
    texts += [call.model_dump_json() for message in messages for call in message.tool_calls]
    texts += [tool.model_dump_json() for tool in options.tools]
    if options.json_schema is not None:
        texts += [json.dumps(options.json_schema)] * 2
    margin: float = getattr(counter, "margin", 0.0)
    pictured = 0
    for message in messages:
        for part in () if isinstance(message.content, str) else message.content:
            match part:
                case Image():
                    pictured += IMAGE
                case Attachment():
                    pictured += len(part.data) // BASE64
    return math.ceil(sum(map(counter.count, texts)) * (1 + margin)) + pictured


def _dearest(prices: PriceSettings) -> PriceSettings:
    """What a call costs at most: it may write its whole prompt to the cache."""
    prompt = max(prices.prompt, prices.cache_write or 0.0)
    return PriceSettings(prompt=prompt, completion=prices.completion)


def cost_of(usage: Usage, prices: PriceSettings) -> float:
    """Money that a reply took."""
    cached = prices.prompt if prices.cached is None else prices.cached
    write = prices.prompt if prices.cache_write is None else prices.cache_write
    fresh = usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens
    return (
        fresh * prices.prompt
        + usage.cached_tokens * cached
        + usage.cache_write_tokens * write
        + usage.completion_tokens * prices.completion
    ) / MILLION
