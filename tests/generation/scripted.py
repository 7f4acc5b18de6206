"""A generator that says what it is told to: for what stands around a backend."""

import anyio

from ctxeng.errors import BackendError
from ctxeng.protocols import Delta
from ctxeng.text.tokens import PackagedTokenCounter
from ctxeng.types import DEFAULT_OPTIONS, Usage


class Scripted:
    """Each call gives the next of ``replies``: a list of texts, or an error to raise."""

    name = "scripted"

    def __init__(self, *replies, usage=None, pause=0.0):
        self.counter = PackagedTokenCounter()
        self.calls = []
        self.running = self.most = self.closed = 0
        self._replies = list(replies)
        self._usage = usage or Usage(prompt_tokens=10, completion_tokens=20)
        self._pause = pause

    async def stream(self, messages, options=DEFAULT_OPTIONS):
        self.calls.append((messages, options))
        said = self._replies[min(len(self.calls), len(self._replies)) - 1]
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if isinstance(said, BackendError):
                raise said
            for text in said:
                await anyio.sleep(self._pause)
                yield Delta(text=text)
            yield Delta(usage=self._usage, stop="stop")
        finally:
            self.running -= 1
            self.closed += 1
