"""Reading a server's reply: text by text in, deltas out. No waiting, no network."""

from __future__ import annotations

import json
import re
from typing import Any, Protocol

from ctxeng.generation.faults import TryError
from ctxeng.protocols import Delta
from ctxeng.types import StopReason, Usage


class Reading(Protocol):
    """One vendor's way of saying a reply. Fields and events that are not known are passed over."""

    progress: int
    """Rises with every token, whether text, a thought or a piece of a tool call."""
    stop: StopReason | None
    """Why the reply ended, once that has been said."""
    done: bool
    """Nothing more will come."""
    usage: Usage | None
    """What the server has reported so far."""

    def event(self, text: str, deltas: list[Delta]) -> None:
        """Append the deltas of one event; those before a failure stand there when it is raised.

        Raises:
            TryError: it is no event of this API, or says that something failed.
        """
        ...

    def whole(self, text: str, deltas: list[Delta]) -> None:
        """Append the deltas of a reply that came as one JSON text. Raises as ``event``."""
        ...


_DECODE = json.JSONDecoder().decode
_LONE = re.compile("[\ud800-\udfff]")

Parsed = dict[str, Any]
"""JSON of a server: anything may be missing, and anything may be of another type."""


def parse(text: str) -> Parsed:
    """Lone surrogates, which JSON can carry and nothing can write, become U+FFFD.

    Raises:
        TryError: it is no JSON object.
    """
    try:
        value = _DECODE(text)
        if "\\u" in text and ("\\ud" in text or "\\uD" in text):
            value = json.loads(_LONE.sub("\ufffd", json.dumps(value, ensure_ascii=False)))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise TryError("bad_reply", f"what came is no JSON object: {text}")
    return value


def part(value: object, name: str) -> Parsed:
    """The object at ``name``, or an empty one."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def parts(value: object, name: str) -> list[Parsed]:
    """The objects in the list at ``name``."""
    found = value.get(name) if isinstance(value, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def string(value: object, name: str) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def number(value: object, name: str) -> int | None:
    found = value.get(name) if isinstance(value, dict) else None
    whole = isinstance(found, int) and not isinstance(found, bool) and found >= 0
    return found if whole else None
