"""What left a prompt, whole, by id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Protocol

from pydantic import JsonValue

from ctxeng.errors import ConfigError
from ctxeng.types import Message, sha256

_SYLLABLES = [a + b for a in "bcdfghjklmnprstvz" for b in "aeiou"]
"""Of ids: they cost a model half the tokens of digits, and are easier to copy."""
_LENGTH = 3


class Archive(Protocol):
    """Keeps messages that left a prompt.

    Laws: ``get`` returns what was last put under an id, unchanged, and None for an id that nothing
    was put under; putting the same twice is putting it once.
    """

    def put(self, id: str, message_json: str) -> None: ...  # noqa: A002 - the contract's name
    def get(self, id: str) -> str | None: ...  # noqa: A002


class MemoryArchive:
    """An archive that lives as long as the process."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def put(self, id: str, message_json: str) -> None:  # noqa: A002
        self._kept[id] = message_json

    def get(self, id: str) -> str | None:  # noqa: A002
        return self._kept.get(id)

    def __len__(self) -> int:
        return len(self._kept)


def put(archive: Archive, record: str) -> str:
    """Keep a record; the id depends on its content, and is made longer where another has it."""
    whole = _syllables(sha256(record))
    for length in range(_LENGTH, len(whole)):
        name = "".join(whole[:length])
        held = archive.get(name)
        if held is None:
            archive.put(name, record)
            return name
        if held == record:
            return name
    raise AssertionError("two records with one sha256")


def record_of(message: Message | Mapping[str, object]) -> str:
    """A message as it came in, as JSON.

    Raises:
        ConfigError: it holds something that JSON has no form for.
    """
    if isinstance(message, Message):
        return json.dumps({"ctxeng": "message", "message": message.model_dump(mode="json")})
    try:
        return json.dumps(message if isinstance(message, dict) else dict(message))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"messages: one cannot be kept as JSON: {error}.") from error


def message_of(record: str) -> Message | dict[str, JsonValue]:
    """What ``record_of`` was made from."""
    value = json.loads(record)
    if value.get("ctxeng") == "message":
        return Message.model_validate_json(json.dumps(value["message"]))
    if "ctxeng" in value:
        return {"role": "user", "content": value["text"]}
    return dict(value)


def text_of(record: str) -> str:
    """The text of a record, whole. Calls of tools, which are no text, follow as JSON."""
    value = json.loads(record)
    if value.get("ctxeng") not in (None, "message"):
        return str(value["text"])
    message = message_of(record)
    if isinstance(message, Message):
        calls: object = [call.model_dump() for call in message.tool_calls]
        text = message.text
    else:
        calls, content = message.get("tool_calls"), message.get("content")
        parts = content if isinstance(content, list) else [content]
        text = "".join(map(_part, parts))
    return "\n".join(filter(None, [text, json.dumps(calls, ensure_ascii=False) if calls else ""]))


def _part(part: JsonValue) -> str:
    if isinstance(part, dict):
        part = part.get("text", part.get("refusal"))
    return part if isinstance(part, str) else ""


def name_of(text: str) -> str:
    """The id under which a block of notes is kept, by which it is known again."""
    return f"notes-{sha256(text)[:16]}"


def _syllables(digest: str) -> list[str]:
    number, found = int(digest, 16), []
    while number:
        number, rest = divmod(number, len(_SYLLABLES))
        found.append(_SYLLABLES[rest])
    return found
