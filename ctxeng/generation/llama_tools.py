"""Tools for a server whose model knows of none: told in the messages, read out of the text."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from ctxeng.generation.detokenize import StopStrings
from ctxeng.generation.tool_text import TOOL_CALL, call_of, call_schema, calls_in
from ctxeng.protocols import Delta
from ctxeng.types import GenerationOptions


def asked_in_text(options: GenerationOptions) -> GenerationOptions:
    """What such a server is asked for: text, or where a call is required the JSON of one."""
    required = options.tool_choice == "required"
    schema = call_schema(options.tools) if required else options.json_schema
    changed = {
        "tools": (),
        "tool_choice": "auto",
        "json_schema": schema,
        "retry_broken_streams": False,  # there is no network that could break one
    }
    return GenerationOptions(**{**dict(options), **changed})


async def with_calls(
    name: str, deltas: AsyncGenerator[Delta], options: GenerationOptions
) -> AsyncGenerator[Delta]:
    """The reply to ``asked_in_text`` with its calls as calls.

    Raises:
        BackendError: of kind ``bad_reply``: a call does not hold to its tool's schema.
    """
    required = options.tool_choice == "required"
    before, whole = StopStrings([TOOL_CALL]), ""
    async with aclosing(deltas):
        async for delta in deltas:
            whole += delta.text
            said = "" if required else before.add(delta.text)
            if delta.stop is not None:
                said += before.end()
            if said:
                yield Delta(text=said)
            if delta.stop is None:
                continue
            if required and delta.stop != "interrupted":
                yield Delta(tool_call=call_of(name, whole, options.tools))
            elif before.stopped and delta.stop != "interrupted":
                for call in calls_in(name, whole, options.tools):
                    yield Delta(tool_call=call)
            called = (required or before.stopped) and delta.stop != "interrupted"
            yield replace(delta, stop="tool_calls" if called else delta.stop)
