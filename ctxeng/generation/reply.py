"""Makes one reply of a stream."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeVar

from pydantic import JsonValue

from ctxeng.errors import BackendError
from ctxeng.protocols import Delta, Restart
from ctxeng.types import GenerationOptions, Reply, ToolCall, Usage

T = TypeVar("T")


async def collect(stream: AsyncIterator[Delta], options: GenerationOptions, *, model: str) -> Reply:
    """The whole reply. ``value`` is its parsed text where a schema was asked for.

    Raises:
        BackendError: the backend failed before anything had come; or, of kind ``bad_reply``, the
            text is no JSON though a schema was asked for.
    """
    text, calls, last = "", list[ToolCall](), Delta()
    async with aclosing(closable(stream)) as deltas:
        async for delta in deltas:
            if isinstance(delta, Restart):
                text, calls = "", []
            text += delta.text
            if delta.tool_call is not None:
                calls.append(delta.tool_call)
            if delta.stop is not None:
                last = delta
    return Reply(
        text=text,
        tool_calls=tuple(calls),
        usage=last.usage or Usage(),
        stop=last.stop or "interrupted",
        model=model,
        value=_parsed(text, model) if options.json_schema is not None and not calls else None,
        error=last.error or ("" if last.stop else "the stream ended without saying why"),
    )


async def closable(stream: AsyncIterator[T]) -> AsyncGenerator[T]:
    """The same items, from an iterator that has ``aclose``, which stops the work."""
    try:
        async for item in stream:
            yield item
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()


def _parsed(text: str, model: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError as error:
        raise BackendError(
            f"{model}: the reply is no JSON, though a schema was asked for: {error}.",
            kind="bad_reply",
            text=text,
            why=f"it is no JSON: {error}.",
        ) from error
    return value
