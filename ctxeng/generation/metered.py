"""Adds up what the replies of a generator take."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ctxeng.errors import BackendError
from ctxeng.generation.reply import closable
from ctxeng.protocols import Delta, Generator, TokenCounter
from ctxeng.types import DEFAULT_OPTIONS, GenerationOptions, Message, Usage


class Metered:
    """A wrapper that fits ``Generator``: for a step that asks several times, as one judgement."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.name = generator.name
        self.usage = Usage()
        """Of all replies until now."""

    @property
    def counter(self) -> TokenCounter:
        return self._generator.counter

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Delta]:
        try:
            async with aclosing(closable(self._generator.stream(messages, options))) as deltas:
                async for delta in deltas:
                    if delta.usage is not None:
                        self.usage = self.usage + delta.usage
                    yield delta
        except BackendError as error:
            self.usage = self.usage + (error.usage or Usage())
            raise
