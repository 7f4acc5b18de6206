"""Server-sent events, from bytes as they come.

Ours rather than a package's: those read lines without a limit, so that a server that never ends
one fills the memory.
"""

from __future__ import annotations


class TooLongError(Exception):
    """An event is larger than the limit."""


class EventParser:
    """Bytes in, the data of each event out. The names of events are left aside: every server that
    we speak to says in the data what it is.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
    """

    def __init__(self, limit: int) -> None:
        """``limit``: bytes of one event, or of a line that has not ended."""
        self._limit = limit
        self._begun = False
        self._after_cr = False
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[str]:
        """The events that are complete with this chunk.

        Raises:
            TooLongError: one is larger than the limit.
        """
        if chunk and self._after_cr:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return []
        whole = chunk.endswith(b"\n\n") and not (self._line or self._data) and b"\r" not in chunk
        if whole and self._begun and len(chunk) <= self._limit:
            return self._whole(chunk)  # as nearly all are
        self._after_cr = chunk.endswith(b"\r")
        events: list[str] = []
        for line in chunk.splitlines(keepends=True):
            self._line.append(line)
            self._size += len(line)
            if self._size > self._limit:
                raise TooLongError
            if line.endswith((b"\n", b"\r")):
                self._take(b"".join(self._line).rstrip(b"\r\n"), events)
                self._line.clear()
        return events

    def _whole(self, chunk: bytes) -> list[str]:
        """The events of whole lines of which the last is blank."""
        if chunk.startswith(b"data: ") and chunk.find(b"\n") == len(chunk) - 2:
            return [chunk[6:-2].decode("utf-8", "replace")]
        events: list[str] = []
        for line in chunk[:-1].split(b"\n"):
            self._take(line, events)
        return events

    def end(self) -> list[str]:
        """What stands when the stream ends without the blank line that ends an event."""
        events: list[str] = []
        line = b"".join(self._line)
        self._line.clear()
        if line:
            self._take(line, events)
        self._take(b"", events)
        return events

    def _take(self, line: bytes, events: list[str]) -> None:
        if not self._begun:
            self._begun, line = True, line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            if self._data:
                events.append(b"\n".join(self._data).decode("utf-8", "replace"))
                self._data.clear()
            self._size = 0
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif not self._data:
            self._size = 0  # comments keep a connection alive, for as long as it takes
