"""Reads the replies of OpenAI's chat completions, as many servers speak them."""

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
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "filtered",
}
"""All others are ends of its own: ``stop``, ``eos``, ``end_turn`` …"""


@dataclass(slots=True)
class _Fragments:
    """A tool call that is still coming."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class ChatReading:
    def __init__(self, tools: Sequence[Tool] = ()) -> None:
        self.progress = 0
        self.stop: StopReason | None = None
        self.done = False
        self.usage: Usage | None = None
        self._tools = tools
        self._coming: dict[int, _Fragments] = {}
        self._called = 0
        self._refused = False

    def event(self, text: str, deltas: list[Delta]) -> None:
        if not text.startswith("{") and text.strip() == "[DONE]":
            self.done = True
            if self.stop is None and (self.progress or self._called):
                self._end("stop", deltas)
            return
        chunk = parse(text)
        self._heed(chunk)
        choice = _first(chunk)
        said = choice.get("delta")
        if isinstance(said, dict):
            self._say(said, deltas)
        if choice.get("finish_reason"):
            self._ending(choice, deltas)

    def whole(self, text: str, deltas: list[Delta]) -> None:
        body = parse(text)
        self._heed(body)
        choice = _first(body)
        if not choice:
            raise TryError("bad_reply", "the reply has no choices")
        self.done = True
        self._say(part(choice, "message"), deltas)
        self._ending(choice, deltas)
        if self.stop is None:
            self._end("stop", deltas)

    def _heed(self, chunk: Parsed) -> None:
        """Errors and counts, which stand beside the text."""
        if chunk.get("error"):
            raise of_words(chunk)
        if not (chunk.get("usage") or "x_groq" in chunk):
            return  # as nearly all
        usage = part(chunk, "usage") or part(part(chunk, "x_groq"), "usage")
        prompt, completion = number(usage, "prompt_tokens"), number(usage, "completion_tokens")
        if prompt is not None or completion is not None:
            details = part(usage, "prompt_tokens_details")
            cached = number(details, "cached_tokens") or number(usage, "prompt_cache_hit_tokens")
            cached = min(cached or 0, prompt or 0)
            written = number(details, "cache_write_tokens") or 0
            self.usage = Usage(
                prompt_tokens=prompt or 0,
                completion_tokens=completion or 0,
                cached_tokens=cached,
                cache_write_tokens=min(written, (prompt or 0) - cached),
            )

    def _say(self, message: Parsed, deltas: list[Delta]) -> None:
        before = len(deltas)
        content = message.get("content")
        if isinstance(content, str):
            if content:
                deltas.append(Delta(content))
        elif content:  # a list of parts, of which some are texts
            said = [string(p, "text") for p in parts(message, "content") if p.get("type") == "text"]
            deltas.extend(Delta(text=text) for text in said if text)
        refusal = message.get("refusal")
        if refusal and isinstance(refusal, str):
            self._refused = True
            deltas.append(Delta(text=refusal))
        self.progress += len(deltas) - before
        if message.get("reasoning_content") or message.get("reasoning"):
            self.progress += 1
        if message.get("tool_calls"):
            for fragment in parts(message, "tool_calls"):
                self._piece(fragment, deltas)

    def _piece(self, fragment: Parsed, deltas: list[Delta]) -> None:
        """Adds to the call that it belongs to. With the first piece of another call, the calls
        before it are whole.
        """
        self.progress += 1
        function = part(fragment, "function")
        at = number(fragment, "index")
        id_ = string(fragment, "id")
        if at is None:  # some servers give no index: a new id begins a new call
            known = [i for i, call in self._coming.items() if call.id == id_ or not id_]
            at = known[-1] if known else self._called + len(self._coming)
        if at not in self._coming:
            self._finish(deltas)
        call = self._coming.setdefault(at, _Fragments())
        call.id = call.id or id_
        call.name = call.name or string(function, "name")
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments)
        if isinstance(arguments, str):
            call.arguments.append(arguments)

    def _finish(self, deltas: list[Delta]) -> None:
        coming, self._coming = list(self._coming.values()), {}
        for call in coming:
            if not call.name:
                raise TryError("bad_reply", "a tool call without a name", verdict=True)
            arguments = "".join(call.arguments)
            id_ = call.id or f"call_{self._called}"
            deltas.append(Delta(tool_call=whole_call(id_, call.name, arguments, self._tools)))
            self._called += 1

    def _ending(self, choice: Parsed, deltas: list[Delta]) -> None:
        reason = choice.get("finish_reason")
        if not reason or not isinstance(reason, str) or self.stop is not None:
            return
        if reason == "error":
            raise of_words(choice)
        self._end(_STOPS.get(reason, "stop"), deltas)

    def _end(self, stop: StopReason, deltas: list[Delta]) -> None:
        self._finish(deltas)
        if self._called and stop == "stop":
            stop = "tool_calls"  # as some servers do not say
        self.stop = "filtered" if self._refused else stop


def _first(chunk: Parsed) -> Parsed:
    """The first choice: we ask for one."""
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and not choice.get("index"):
            return choice
    return {}
