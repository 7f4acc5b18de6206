"""Messages as programs write them → ``Message``."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence

from pydantic import JsonValue, ValidationError

from ctxeng.errors import ConfigError
from ctxeng.types import Attachment, Image, Message, Role, ToolCall

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_KNOWN = {"role", "content", "tool_calls", "tool_call_id"}
_LEFT_ASIDE = {"name", "refusal", "annotations", "audio", "reasoning", "reasoning_content"}
"""What servers put beside a reply's text: it says nothing that a model is to read again."""
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,")

Part = str | Image | Attachment

# Version 1. Where the server holds the model to a schema, the prompt says it all the same: servers
# that only mask tokens do not show it to the model.
SCHEMA_PROMPT = "\n\nReply with JSON only, in one piece, that holds to this JSON schema:\n"


def as_messages(messages: str | Sequence[Message | Mapping[str, object]]) -> list[Message]:
    """A chat as ours: from a question, from messages, or from dicts in the form of OpenAI's chat
    API, with text, images and files inline (``data:`` URLs), tool calls and their results.

    Raises:
        ConfigError: there are none; a dict is no message; a tool's result answers no call; the
            message says which one and why.
    """
    if isinstance(messages, str):
        return [Message(role="user", content=messages)]
    if isinstance(messages, Mapping | Message) or not isinstance(messages, Sequence):
        raise ConfigError("messages: a question, or a list of messages, is wanted.")
    if not messages:
        raise ConfigError("messages: the list is empty: there is nothing to reply to.")
    made = []
    for at, one in enumerate(messages):
        try:
            made.append(_message(one, f"messages[{at}]"))
        except ValidationError as error:
            raise ConfigError(f"messages[{at}]: {error.errors()[0]['msg']}.") from error
    called: set[str] = set()
    for at, message in enumerate(made):
        called.update(call.id for call in message.tool_calls)
        if message.role == "tool" and message.tool_call_id not in called:
            raise ConfigError(
                f"messages[{at}]: a tool's result with tool_call_id = {message.tool_call_id!r}, "
                "which is the id of no call in an earlier message."
            )
    return made


def with_schema(messages: Sequence[Message], schema: Mapping[str, JsonValue]) -> list[Message]:
    """The messages, the last of the user's asking for JSON."""
    prompt = SCHEMA_PROMPT + json.dumps(schema, ensure_ascii=False)
    made = list(messages)
    for at in reversed(range(len(made))):
        message = made[at]
        if message.role == "user":
            whole = (message.content,) if isinstance(message.content, str) else message.content
            made[at] = message.model_copy(update={"content": (*whole, prompt)})
            return made
    return [*made, Message(role="user", content=prompt.lstrip())]


def _message(one: object, where: str) -> Message:
    if isinstance(one, Message):
        return one
    if not isinstance(one, Mapping):
        raise ConfigError(f"{where}: a {type(one).__name__} is no message; a dict is wanted.")
    unknown = sorted(str(k) for k, v in one.items() if k not in _KNOWN | _LEFT_ASIDE and v)
    if unknown:
        raise ConfigError(f"{where}: {', '.join(unknown)}: no such key in a message.")
    role = _ROLES.get(str(one.get("role")))
    if role is None:
        raise ConfigError(
            f"{where}: role {one.get('role')!r} is none of {', '.join(sorted(_ROLES))}."
        )
    calls = tuple(_calls(one.get("tool_calls"), f"{where}.tool_calls"))
    if calls and role != "assistant":
        raise ConfigError(f"{where}: only an assistant's message calls tools, not a {role}'s.")
    answered = one.get("tool_call_id") or ""
    if not isinstance(answered, str):
        raise ConfigError(f"{where}.tool_call_id: a string is wanted.")
    if "content" not in one and not calls:
        raise ConfigError(f"{where}: it has no content.")
    content = _content(one.get("content"), f"{where}.content")
    return Message(role=role, content=content, tool_calls=calls, tool_call_id=answered)


def _content(content: object, where: str) -> str | tuple[Part, ...]:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        raise ConfigError(f"{where}: a {type(content).__name__} is neither text nor a list.")
    return tuple(_part(part, f"{where}[{at}]") for at, part in enumerate(content))


def _part(part: object, where: str) -> Part:
    if isinstance(part, str | Image | Attachment):
        return part
    match part:
        case {"type": "text" | "input_text", "text": str(text)}:
            return text
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
            media_type, data = _inline(url, where)
            return Image(media_type=media_type, data=data)
        case {"type": "file", "file": {"file_data": str(url), **about}}:
            media_type, data = _inline(url, where)
            return Attachment(
                name=str(about.get("filename") or "file"), media_type=media_type, data=data
            )
    kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
    raise ConfigError(
        f"{where}: a part of type {kind!r} that cannot be read; there are text "
        "({'type': 'text', 'text': …}), image_url and file."
    )


def _inline(url: str, where: str) -> tuple[str, str]:
    """Media type and base64. Nothing is fetched: an address could lead anywhere."""
    head = _DATA_URL.match(url)
    if head is None:
        raise ConfigError(
            f"{where}: give the bytes inline, data:image/png;base64,…; addresses are not fetched."
        )
    data = url[head.end() :]
    try:
        base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ConfigError(f"{where}: the data is not base64: {error}.") from error
    return head.group(1), data


def _calls(calls: object, where: str) -> list[ToolCall]:
    if not calls:
        return []
    if not isinstance(calls, list | tuple):
        raise ConfigError(f"{where}: a list of calls is wanted.")
    return [_call(call, f"{where}[{at}]") for at, call in enumerate(calls)]


def _call(call: object, where: str) -> ToolCall:
    if isinstance(call, ToolCall):
        return call
    match call:
        case {"id": str(id_), "function": {"name": str(name), "arguments": arguments}}:
            return ToolCall(id=id_, name=name, arguments=_arguments(arguments, where))
    raise ConfigError(
        f"{where}: no tool call: {{'id': …, 'function': {{'name': …, 'arguments': …}}}} is wanted."
    )


def _arguments(arguments: object, where: str) -> dict[str, JsonValue]:
    try:
        value = json.loads(arguments or "{}") if isinstance(arguments, str) else arguments
    except ValueError as error:
        raise ConfigError(f"{where}: the arguments are not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: the arguments are no JSON object.")
    return value
