"""Tokens or pieces of text in, text out, as soon as it is certain."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]

UNFINISHED = "\ufffd"
"""What decoders put where the bytes of a character have not all come."""


class StopStrings:
    """The text up to the first of some strings. What could be the beginning of one is held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stopped = ""
        """The string that has come; it is no part of the text."""
        self._stops = [stop for stop in stops if stop]
        self._held = ""

    def add(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        found = [(text.find(stop), stop) for stop in self._stops if stop in text]
        if found:
            at, self.stopped = min(found)
            self._held = ""
            return text[:at]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        """What was held back, when no more comes."""
        held, self._held = self._held, ""
        return held


class TextStream:
    """The text of tokens that come one by one. Joined, it is the text of all of them together, up
    to the first stop string. While bytes of a character are missing, it is held back.
    """

    def __init__(self, decode: Decode, stops: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stops = StopStrings(stops)
        self._ids: list[int] = []
        self._before = 0
        self._read = 0

    @property
    def stopped(self) -> str:
        return self._stops.stopped

    def add(self, token: int) -> str:
        """The text that has become certain; often none."""
        self._ids.append(token)
        text = self._decode(self._ids[self._before :])
        if text.endswith(UNFINISHED):
            return ""
        return self._stops.add(self._beyond(text))

    def end(self) -> str:
        """What was held back, when no more tokens come."""
        text = self._beyond(self._decode(self._ids[self._before :]))
        return self._stops.add(text) + self._stops.end()

    def _beyond(self, text: str) -> str:
        """What the tokens since the last time have added. A token's text depends on what stands
        before it (white space, bytes of one character): so two texts are compared.
        """
        known = self._decode(self._ids[self._before : self._read])
        self._before, self._read = self._read, len(self._ids)
        return text[len(known) :]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text that a stop string begins with."""
    most = min(len(text), len(stop) - 1)
    return next((size for size in range(most, 0, -1) if text.endswith(stop[:size])), 0)
