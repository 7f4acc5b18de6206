"""Reads the replies of Anthropic's messages API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ctxeng.generation.calls import whole_call
from ctxeng.generation.faults import TryError, of_words
from ctxeng.generation.reading import Parsed, number, parse, part, parts, string
from ctxeng.protocols import Delta
from ctxeng.types import StopReason, Tool, Usage

_STOPS: Mapping[str, StopReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "filtered",
}
"""All others are ends of its own: ``end_turn``, ``stop_sequence`` …"""


@dataclass(slots=True)
class _Block:
    """A content block that is still coming; only calls of tools are kept."""

    id: str
    name: str
    input: Parsed
    pieces: list[str] = field(default_factory=list)


class MessageReading:
    def __init__(self, tools: Sequence[Tool] = ()) -> None:
        self.progress = 0
        self.stop: StopReason | None = None
        self.done = False
        self.usage: Usage | None = None
        self._tools = tools
        self._block: _Block | None = None
        self._counts: dict[str, int] = {}

    def event(self, text: str, deltas: list[Delta]) -> None:
        event = parse(text)
        match event.get("type"):
            case "content_block_delta":
                self._piece(part(event, "delta"), deltas)
            case "content_block_start":
                self._open(part(event, "content_block"), deltas)
            case "content_block_stop":
                self._close(deltas)
            case "message_start":
                self._count(part(event, "message"))
            case "message_delta":
                self._count(event)
                self._end(string(part(event, "delta"), "stop_reason"))
            case "message_stop":
                self._end("end_turn" if self.progress else "")
                self.done = True
            case "error":
                raise of_words(event)
            case None if event.get("error"):
                raise of_words(event)

    def whole(self, text: str, deltas: list[Delta]) -> None:
        body = parse(text)
        if body.get("type") == "error" or body.get("error"):
            raise of_words(body)
        if not isinstance(body.get("content"), list):
            raise TryError("bad_reply", "the reply has no content")
        self.done = True
        self._count(body)
        for block in parts(body, "content"):
            self._open(block, deltas)
            self._close(deltas)
        self._end(string(body, "stop_reason") or "end_turn")

    def _open(self, block: Parsed, deltas: list[Delta]) -> None:
        match block.get("type"):
            case "text":
                self._text(string(block, "text"), deltas)
            case "tool_use":
                self.progress += 1
                self._block = _Block(
                    string(block, "id"), string(block, "name"), part(block, "input")
                )

    def _piece(self, delta: Parsed, deltas: list[Delta]) -> None:
        match delta.get("type"):
            case "text_delta":
                self._text(string(delta, "text"), deltas)
            case "input_json_delta" if self._block is not None:
                self.progress += 1
                self._block.pieces.append(string(delta, "partial_json"))
            case _:
                self.progress += 1  # a thought

    def _text(self, text: str, deltas: list[Delta]) -> None:
        if text:
            self.progress += 1
            deltas.append(Delta(text=text))

    def _close(self, deltas: list[Delta]) -> None:
        block, self._block = self._block, None
        if block is not None:
            arguments = "".join(block.pieces) or json.dumps(block.input)
            call = whole_call(block.id, block.name, arguments, self._tools)
            deltas.append(Delta(tool_call=call))

    def _count(self, holder: Parsed) -> None:
        """Counts are cumulative, and each may be told anew."""
        usage = part(holder, "usage")
        self._counts |= {name: n for name in usage if (n := number(usage, name)) is not None}
        cached = self._counts.get("cache_read_input_tokens", 0)
        written = self._counts.get("cache_creation_input_tokens", 0)
        if self._counts:
            self.usage = Usage(
                prompt_tokens=self._counts.get("input_tokens", 0) + cached + written,
                completion_tokens=self._counts.get("output_tokens", 0),
                cached_tokens=cached,
                cache_write_tokens=written,
            )

    def _end(self, reason: str) -> None:
        if reason and self.stop is None:
            self.stop = _STOPS.get(reason, "stop")
