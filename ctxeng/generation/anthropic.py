"""The messages API of Anthropic."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from ctxeng.errors import BackendError
from ctxeng.generation.anthropic_reading import MessageReading
from ctxeng.generation.exchange import Api, Body
from ctxeng.generation.http import Server, refuse_part
from ctxeng.generation.messages import with_schema
from ctxeng.settings import ModelSettings
from ctxeng.types import (
    Attachment,
    GenerationOptions,
    Image,
    Message,
    Segment,
    Tool,
)

FIRST_PAUSE = 0.5
MARK: Mapping[str, JsonValue] = {"type": "ephemeral"}
"""A cache breakpoint: all before it is read from the cache next time. The API takes four; we set
at most three: behind the tools, behind the stable part of the system prompt, and behind the turns
before the last question.
"""
_SCHEMA_WORDS = {
    "additionalProperties", "allOf", "anyOf", "const", "default", "description", "enum", "format",
    "items", "properties", "required", "title", "type", "$defs", "$ref", "definitions",
}  # fmt: skip
"""Keywords of JSON schema that its constrained decoding knows. The others are checked by us."""

Block = dict[str, JsonValue]


class AnthropicGenerator(Api):
    """``POST {base_url}/v1/messages``, streamed.

    System messages, wherever they stand, become the system prompt. Prompts are cached by the
    vendor up to marks that we set where text stays the same from call to call; ``cached_tokens``
    says what that saved. ``counter`` is an approximation that learns from what is reported. One
    object serves any number of streams at once, on any event loop.
    """

    def __init__(self, settings: ModelSettings, *, first_pause: float = FIRST_PAUSE) -> None:
        """Nothing is asked yet.

        Args:
            first_pause: the most seconds between the first failure and the next try.

        Raises:
            ConfigError: the table names no model, or its ``base_url`` is none.
        """
        super().__init__(settings, request_body, MessageReading, first_pause=first_pause)


def request_body(server: Server, messages: Sequence[Message], options: GenerationOptions) -> Body:
    """The JSON of a request.

    Raises:
        BackendError: there is nothing to reply to, or a message holds an image or a file that the
            backend does not take.
    """
    profile = server.profile
    if options.json_schema is not None:
        messages = with_schema(messages, options.json_schema)
    turns = _turns(server, messages)
    if not turns:
        raise BackendError(
            f"{server.name}: no message holds anything to reply to.", kind="bad_request"
        )
    body: Body = {
        "model": server.model,
        "max_tokens": options.max_tokens,
        "stream": True,
        "messages": [*turns],
    }
    system = _system(messages)
    if system:
        body["system"] = [*system]
    if profile.takes_sampling(server.model):
        body["temperature"] = options.temperature
        if options.temperature > 0 and options.top_p < 1:
            body["top_p"] = options.top_p
    if options.stop:
        body["stop_sequences"] = list(options.stop)
    if options.tools:
        tools = [_tool(tool) for tool in options.tools]
        tools[-1]["cache_control"] = dict(MARK)
        body["tools"] = [*tools]
        choice = options.tool_choice
        body["tool_choice"] = {"type": profile.required if choice == "required" else choice}
    schema = None if options.json_schema is None else decodable(options.json_schema)
    if schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return body


class _OpenError(Exception):
    """A schema with objects whose keys are free."""


def decodable(schema: Mapping[str, JsonValue]) -> Block | None:
    """The schema as constrained decoding takes it: objects closed, keywords that it does not know
    left out. None: it has objects whose keys are free; then only the prompt asks for it.
    """
    try:
        return _closed(schema)
    except _OpenError:
        return None


def _closed(schema: Mapping[str, JsonValue]) -> Block:
    kept = {name: value for name, value in schema.items() if name in _SCHEMA_WORDS}
    if kept.get("type") == "object" or "properties" in kept:
        if kept.get("additionalProperties", False) is not False or not kept.get("properties"):
            raise _OpenError
        kept["additionalProperties"] = False
    for name in ("properties", "$defs", "definitions"):
        inner = kept.get(name)
        if isinstance(inner, dict):
            kept[name] = {key: _inner(one) for key, one in inner.items()}
    for name in ("anyOf", "allOf"):
        several = kept.get(name)
        if isinstance(several, list):
            kept[name] = [_inner(one) for one in several]
    if "items" in kept:
        kept["items"] = _inner(kept["items"])
    return kept


def _inner(schema: JsonValue) -> Block:
    if not isinstance(schema, dict):
        raise _OpenError
    return _closed(schema)


def _system(messages: Sequence[Message]) -> list[Block]:
    """The system prompt. What a source gave changes with the question: the mark stands before the
    first of it.
    """
    stable, rest = "", ""
    for message in messages:
        if message.role != "system":
            continue
        parts = (message.content,) if isinstance(message.content, str) else message.content
        between = "\n\n" if stable or rest else ""
        for part in parts:
            text = between + (part if isinstance(part, str) else getattr(part, "text", ""))
            between = ""
            if rest or (isinstance(part, Segment) and part.source is not None):
                rest += text
            else:
                stable += text
    blocks: list[Block] = []
    if stable.strip():
        blocks.append({"type": "text", "text": stable, "cache_control": dict(MARK)})
    if rest.strip():
        blocks.append({"type": "text", "text": rest})
    return blocks


def _turns(server: Server, messages: Sequence[Message]) -> list[Block]:
    """Turns of user and assistant in alternation; results of tools are the user's."""
    turns: list[tuple[str, list[Block]]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(server, message)
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((role, blocks))
    if any(role == "assistant" for role, _ in turns[:-1]):
        turns[-2][1][-1]["cache_control"] = dict(MARK)
    return [{"role": role, "content": [*blocks]} for role, blocks in turns]


def _blocks(server: Server, message: Message) -> list[Block]:
    """Blank texts are left out: the API refuses them."""
    if message.role == "tool":
        result: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
        return [{**result, "content": [*_content(server, message)]}]
    return _content(server, message) + [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        for call in message.tool_calls
    ]


def _content(server: Server, message: Message) -> list[Block]:
    """Texts that touch are one block."""
    blocks: list[Block] = []
    text = ""
    for part in (message.content,) if isinstance(message.content, str) else message.content:
        if isinstance(part, str | Segment):
            text += part if isinstance(part, str) else part.text
            continue
        if text.strip():
            blocks.append({"type": "text", "text": text})
        text = ""
        blocks.append(_shown(server, part))
    if text.strip():
        blocks.append({"type": "text", "text": text})
    return blocks


def _shown(server: Server, part: Image | Attachment) -> Block:
    if isinstance(part, Image):
        if part.media_type not in server.profile.images:
            raise refuse_part(server, f"an image ({part.media_type})", server.profile.images)
        return {"type": "image", "source": _base64(part)}
    if part.media_type not in server.profile.files:
        raise refuse_part(server, f"{part.name} ({part.media_type})", server.profile.files)
    source = _base64(part)
    if part.media_type == "text/plain":
        text = base64.b64decode(part.data).decode("utf-8", "replace")
        source = {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "document", "title": part.name, "source": source}


def _base64(part: Image | Attachment) -> Block:
    return {"type": "base64", "media_type": part.media_type, "data": part.data}


def _tool(tool: Tool) -> Block:
    return {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
