"""Tools in the texts of local models: how they are told of, asked for and answered.

The form is the one that many open models were trained on (Hermes, Qwen, SmolLM2):
``<tool_call>{"name": …, "arguments": {…}}</tool_call>``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from pydantic import JsonValue

from ctxeng.errors import BackendError
from ctxeng.generation.calls import whole_call
from ctxeng.generation.faults import TryError
from ctxeng.types import Message, Metadata, Tool, ToolCall

TOOL_CALL, END_CALL = "<tool_call>", "</tool_call>"

# Version 1.
TOOLS_PROMPT = (
    "You may call functions. They are described here as JSON:\n{tools}\n"
    'To call one, write <tool_call>{{"name": "…", "arguments": {{…}}}}</tool_call> and nothing '
    "after it; its result follows in the next message."
)

_CALL = re.compile(rf"{TOOL_CALL}\s*(.*?)\s*(?:{END_CALL}|\Z)", re.S)


def told_in_text(messages: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
    """The chat for a model whose template knows no tools: they are described in the system message,
    calls are text of the assistant's, and results are the user's.
    """
    made = [_as_text(message) for message in messages]
    if not tools:
        return made
    described: list[JsonValue] = [
        {"name": t.name, "description": t.description, "parameters": t.parameters} for t in tools
    ]
    lines = "\n".join(json.dumps(one, ensure_ascii=False) for one in described)
    prompt = TOOLS_PROMPT.format(tools=lines)
    if made and made[0].role == "system":
        system = made.pop(0)
        parts = (system.content,) if isinstance(system.content, str) else system.content
        return [Message(role="system", content=(*parts, "\n\n", prompt)), *made]
    return [Message(role="system", content=prompt), *made]


def _as_text(message: Message) -> Message:
    if message.role == "tool":
        result = f"<tool_response>\n{message.text}\n</tool_response>"
        return Message(role="user", content=result)
    if not message.tool_calls:
        return message
    parts = (message.content,) if isinstance(message.content, str) else message.content
    calls = [
        TOOL_CALL
        + json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)
        + END_CALL
        for call in message.tool_calls
    ]
    return Message(role=message.role, content=(*parts, "\n".join(calls)))


def call_schema(tools: Sequence[Tool]) -> Metadata:
    """JSON schema of a call of one of the tools."""
    one_of: list[JsonValue] = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": tool.parameters},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    return {"anyOf": one_of}


def calls_in(name: str, text: str, tools: Sequence[Tool]) -> list[ToolCall]:
    """The calls in a whole reply of the model of this name.

    Raises:
        BackendError: of kind ``bad_reply``: one of them is cut off, or does not hold to its tool's
            schema.
    """
    found = [match.group(1) for match in _CALL.finditer(text)]
    return [call_of(name, one, tools, at) for at, one in enumerate(found)]


def call_of(name: str, text: str, tools: Sequence[Tool], at: int = 0) -> ToolCall:
    """The call that a JSON text is. Raises as ``calls_in``."""
    try:
        value = json.loads(text)
        tool, arguments = str(value["name"]), json.dumps(value["arguments"])
        return whole_call(f"call_{at}", tool, arguments, tools)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"the call of a tool is broken: {error!r}"
    except TryError as error:
        why = error.what
    raise BackendError(
        f"{name}: {why}. Ask again, or raise max_tokens where it is cut off.",
        kind="bad_reply",
        text=text,
    )
