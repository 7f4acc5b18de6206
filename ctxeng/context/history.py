"""Reads a chat as what may leave it together: messages, and calls of tools with their results."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import JsonValue

from ctxeng.context.counts import counted
from ctxeng.errors import ConfigError
from ctxeng.generation.messages import as_messages
from ctxeng.protocols import TokenCounter
from ctxeng.types import Attachment, Image, Message, ToolCall

M = TypeVar("M", bound=Message | Mapping[str, object])

PER_MESSAGE = 4
"""Tokens that a chat template puts around a message."""
PER_MEDIUM = 1_600
"""Tokens that an image or a file counts, of which only the model's vendor knows how many it is."""
PIECE = 20_000
"""Characters; longer texts are counted in pieces, which gives a few tokens more, never less."""

_FAILED = re.compile(
    r"\s*(?:\{?\"?(?:error|exception)\b|traceback \(most recent|fatal:|command failed"
    r"|(?:exit|return)(?:ed with)? (?:code|status)[: ]+[1-9]|\w*(?:Error|Exception)\b)",
    re.I,
)
_READ = ("role", "content", "tool_calls", "tool_call_id")
"""Keys of a dictionary that a model gets."""
_HEAD = 400
"""Characters in which a result says that its call failed."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the chat that came in."""

    at: int
    message: Message
    text: str
    tokens: int
    """With its calls, its media and what a template adds."""
    media: int
    """Images and files in it, which no distiller can read."""
    tool: str = ""
    """Of a result: the name of the tool."""

    @property
    def label(self) -> str:
        return f"{self.message.role} {self.tool}".rstrip()


@dataclass(frozen=True, slots=True)
class Unit:
    """Turns that stay or leave together: a call with all of its results, or a single message."""

    turns: Sequence[Turn]
    open: bool = False
    """A call in it still lacks its result."""

    @property
    def tokens(self) -> int:
        return sum(turn.tokens for turn in self.turns)

    @property
    def roles(self) -> set[str]:
        return {turn.message.role for turn in self.turns}

    @property
    def calls(self) -> list[tuple[str, str, str]]:
        """Id, name and arguments of each."""
        return [
            (call.id, call.name, json.dumps(call.arguments, sort_keys=True))
            for turn in self.turns
            for call in turn.message.tool_calls
        ]


def read(messages: Sequence[Message | Mapping[str, object]], counter: TokenCounter) -> list[Turn]:
    """Each message as ours, with what it costs.

    Raises:
        ConfigError: as ``as_messages``; the message says which one and why.
    """
    if isinstance(messages, str | Mapping | Message) or not isinstance(messages, Sequence):
        raise ConfigError("messages: a list of messages is wanted.")
    if not messages:
        return []
    names: dict[str, str] = {}
    turns = []
    readable = [_readable(one) for one in messages]
    for at, message in enumerate(as_messages(readable)):
        names.update((call.id, call.name) for call in message.tool_calls)
        media = _media(message)
        calls = "".join(
            f"{call.id} {call.name} {json.dumps(call.arguments)}" for call in message.tool_calls
        )
        cost = count(counter, message.text) + count(counter, calls + message.tool_call_id)
        turns.append(
            Turn(
                at=at,
                message=message,
                text=message.text,
                tokens=cost + PER_MESSAGE + media * PER_MEDIUM,
                media=media,
                tool=names.get(message.tool_call_id, "") if message.role == "tool" else "",
            )
        )
    return turns


def count(counter: TokenCounter, text: str) -> int:
    pieces = (text[start : start + PIECE] for start in range(0, len(text), PIECE))
    return sum(counted(counter, counter.count, piece) for piece in pieces)


def _media(message: Message) -> int:
    if isinstance(message.content, str):
        return 0
    return sum(isinstance(part, Image | Attachment) for part in message.content)


def _readable(one: Message | Mapping[str, object]) -> Message | Mapping[str, object]:
    """A copy to read where the original cannot be: media that lie elsewhere are counted, not
    fetched, half characters that JSON can carry are no text, a model may have written arguments
    that are no JSON, and a program may keep more with a message than a model gets of it.
    """
    if not isinstance(one, Mapping):
        return one
    copy = {key: one[key] for key in _READ if key in one}
    content, calls = copy.get("content"), copy.get("tool_calls")
    if isinstance(content, str) and not _is_text(content):
        copy["content"] = _as_text(content)
    if isinstance(content, list | tuple):
        copy["content"] = [_readable_part(part) for part in content]
    if isinstance(calls, list | tuple):
        copy["tool_calls"] = [_readable_call(call) for call in calls]
    return copy


def _readable_call(call: object) -> object:
    match call:
        case {"id": str(id_), "custom": {"name": str(name), "input": written}}:
            return ToolCall(id=id_, name=name, arguments={"input": str(written)})
        case {"id": str(id_), "function": {"name": str(name), "arguments": written}}:
            return ToolCall(id=id_, name=name, arguments=_arguments(written))
    return call


def _arguments(written: object) -> dict[str, JsonValue]:
    """As they are meant, else as they are written."""
    try:
        value = json.loads(written or "{}") if isinstance(written, str) else written
    except ValueError:
        value = written
    if isinstance(value, dict):
        return value
    return {} if value is None else {"arguments": _as_text(str(value))}


def _readable_part(part: object) -> object:
    match part:
        case {"type": "text" | "input_text", "text": str(text)} if not _is_text(text):
            return {"type": "text", "text": _as_text(text)}
        case {"type": "refusal", "refusal": str(text)}:
            return {"type": "text", "text": _as_text(text)}
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)} if url[:4] == "http":
            return Image(media_type="image/*", data="")
        case {"type": "input_audio" | "file" as kind, **rest} if "file_data" not in str(rest)[:200]:
            return Attachment(name=kind, media_type="application/octet-stream", data="")
    return part


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _as_text(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def units(turns: Sequence[Turn]) -> list[Unit]:
    """The turns in units, in order. A result belongs to the last call before it that has its id;
    whatever stands between the two stays with them.
    """
    last: dict[str, int] = {}
    reach = list(range(len(turns)))  # the last turn that must stay with this one
    for at, turn in enumerate(turns):
        if turn.message.role == "tool":
            reach[last[turn.message.tool_call_id]] = at
        last.update((call.id, at) for call in turn.message.tool_calls)
    made: list[Unit] = []
    start = 0
    while start < len(turns):
        at = end = start
        while at <= end:
            end = max(end, reach[at])
            at += 1
        group = turns[start : end + 1]
        asked = [call.id for turn in group for call in turn.message.tool_calls]
        answered = [turn.message.tool_call_id for turn in group if turn.message.role == "tool"]
        made.append(Unit(group, open=len(answered) < len(asked)))
        start = end + 1
    return made


def detours(found: Sequence[Unit]) -> set[int]:
    """Numbers of the units that led nowhere and are over: their calls failed and the same tool
    succeeded later, or the very same call was made again.
    """
    later: set[tuple[str, str]] = set()
    succeeded: set[str] = set()
    over: set[int] = set()
    for number in reversed(range(len(found))):
        unit = found[number]
        results = {
            turn.message.tool_call_id: turn.text
            for turn in unit.turns
            if turn.message.role == "tool"
        }
        outcome = []
        for id_, name, arguments in unit.calls:
            failed = id_ not in results or bool(_FAILED.match(results[id_][:_HEAD]))
            outcome.append((name, arguments, failed))
        if outcome and all(
            (name, arguments) in later or (failed and name in succeeded)
            for name, arguments, failed in outcome
        ):
            over.add(number)
        later.update((name, arguments) for name, arguments, failed in outcome if not failed)
        succeeded.update(name for name, _, failed in outcome if not failed)
    return over


def pins(
    messages: Sequence[M],
    pinned: Collection[int] | Callable[[M], bool],
) -> set[int]:
    """Positions of the messages that are to stay as they are.

    Raises:
        ConfigError: a position outside the list.
    """
    if callable(pinned):
        return {at for at, message in enumerate(messages) if pinned(message)}
    outside = [at for at in pinned if not 0 <= at < len(messages)]
    if outside:
        raise ConfigError(
            f"pinned: {outside[0]} is no position in a list of {len(messages)} messages."
        )
    return set(pinned)
