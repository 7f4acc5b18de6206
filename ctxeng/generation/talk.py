"""One response of a server, read into deltas."""

from __future__ import annotations

import asyncio

from ctxeng.generation.faults import TryError
from ctxeng.generation.http import Incoming, LateError
from ctxeng.generation.keys import Secret
from ctxeng.generation.reading import Reading, parse
from ctxeng.protocols import Delta
from ctxeng.settings import TimeoutSettings

AFTER_THE_END = 5.0
"""Seconds that the counts may take to come after the reason of the end."""
DRAINING = 0.5
"""Seconds for the last bytes of a body, which let the connection serve again."""


class Talk:
    """``failed``: why no more deltas will come."""

    def __init__(
        self, incoming: Incoming, reading: Reading, times: TimeoutSettings, deadline: float
    ) -> None:
        self.incoming = incoming
        self.reading = reading
        self.over = False
        self.failed: TryError | None = None
        self._times = times
        self._deadline = deadline
        self._ready: list[Delta] = []
        self._now = asyncio.get_running_loop().time  # anyio's looks for the loop each time

    @property
    def key(self) -> Secret:
        return self.incoming.key

    async def begin(self, until: float) -> None:
        """Wait for the first deltas.

        Raises:
            TryError: none came.
        """
        self._ready = await self.more(until)
        if self.failed is not None and not self._ready:
            raise self.failed

    async def more(self, until: float | None = None) -> list[Delta]:
        """The next deltas; none only where the reply is over or has failed.

        Args:
            until: when they must have come; None: as soon as a token must after the one before.
        """
        deltas, self._ready = self._ready, []
        reading = self.reading
        if until is None:
            until = self._now() + self._times.between_tokens
        while not (deltas or self.over or self.failed):
            seen, stopped = reading.progress, reading.stop
            try:
                self._read(await self.incoming.chunk(min(until, self._deadline)), deltas)
            except LateError:
                passed = self._now() >= self._deadline
                self.failed = too_late(self._times, reading.progress, passed)
            except TryError as error:
                self.failed = error
            if reading.stop is not None:
                if self.failed is not None:
                    self.failed, self.over = None, True  # all but the counts has come
                elif stopped is None:
                    until = self._now() + min(AFTER_THE_END, self._times.between_tokens)
            elif reading.progress > seen and not deltas:
                until = self._now() + self._times.between_tokens
        return deltas

    async def drain(self) -> None:
        """Take what stands behind the reply."""
        until = self._now() + DRAINING
        try:
            while self.incoming.texts(await self.incoming.chunk(until)) is not None:
                pass  # it says nothing that is needed
        except TryError:
            pass  # the reply is whole; the connection is closed

    async def close(self) -> None:
        await self.incoming.close()

    def _read(self, chunk: bytes | None, deltas: list[Delta]) -> None:
        reading, incoming = self.reading, self.incoming
        texts = incoming.texts(chunk)
        read = reading.whole if incoming.whole else reading.event
        for text in texts or ():
            if reading.done or (incoming.ended and not incoming.whole and not _is_json(text)):
                break  # what stands behind the end; or is cut off in the midst of an event
            read(text, deltas)
        self.over = reading.done or texts is None
        if self.over and reading.stop is None:
            if reading.done:
                raise TryError("bad_reply", "the reply is empty: it has no choices and no text")
            if other := incoming.no_events():
                raise TryError("bad_reply", f"what came is no reply: {other}")
            what = "the connection ended before the reply did"
            raise TryError("unavailable", what, retryable=True)


def too_late(times: TimeoutSettings, progress: int, passed: bool) -> TryError:
    """Which of the limits it was. ``passed``: the total one."""
    if passed:
        name, what = "total", f"no whole reply within {times.total:g} s"
    elif not progress:
        name, what = "first_token", f"no token within {times.first_token:g} s"
    else:
        name, what = "between_tokens", f"no further token within {times.between_tokens:g} s"
    advice = f"Is the server overloaded? Or raise timeout.{name} in the model's table."
    return TryError("timeout", what, advice=advice, retryable=True)


def _is_json(text: str) -> bool:
    try:
        parse(text)
    except TryError:
        return text.strip() == "[DONE]"
    return True
