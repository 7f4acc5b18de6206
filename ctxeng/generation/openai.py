"""Chat completions as OpenAI's API has them, and vLLM, llama.cpp, Ollama, LM Studio and others."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import JsonValue

from ctxeng.generation.exchange import Api, Body
from ctxeng.generation.http import Server, refuse_part
from ctxeng.generation.messages import with_schema
from ctxeng.generation.openai_reading import ChatReading
from ctxeng.settings import ModelSettings
from ctxeng.types import (
    Attachment,
    GenerationOptions,
    Image,
    Message,
    Segment,
    Tool,
    ToolCall,
)

FIRST_PAUSE = 0.5


class OpenAIGenerator(Api):
    """``POST {base_url}/chat/completions``, streamed.

    What the vendor of the table's ``base_url`` takes and wants is in ``profiles``. A seed is sent
    where there is a name for it. ``counter`` is an approximation that learns from what the server
    reports. One object serves any number of streams at once, on any event loop.
    """

    def __init__(self, settings: ModelSettings, *, first_pause: float = FIRST_PAUSE) -> None:
        """Nothing is asked yet.

        Args:
            first_pause: the most seconds between the first failure and the next try.

        Raises:
            ConfigError: the table names no model or no server.
        """
        super().__init__(settings, request_body, ChatReading, first_pause=first_pause)


def request_body(server: Server, messages: Sequence[Message], options: GenerationOptions) -> Body:
    """The JSON of a request.

    Raises:
        BackendError: a message holds an image or a file that the backend does not take.
    """
    profile = server.profile
    body: Body = {
        "model": server.model,
        "messages": _messages(server, messages, options),
        "stream": True,
        profile.max_tokens: options.max_tokens,
    }
    if profile.asks_usage:
        body["stream_options"] = {"include_usage": True}
    if profile.takes_sampling(server.model):
        body["temperature"] = options.temperature
        if options.temperature > 0 and options.top_p < 1:
            body["top_p"] = options.top_p
    if options.seed is not None and profile.seed:
        body[profile.seed] = options.seed
    if options.stop:
        body["stop"] = list(options.stop)
    if options.tools:
        body["tools"] = [_tool(tool) for tool in options.tools]
        choice = options.tool_choice
        body["tool_choice"] = profile.required if choice == "required" else choice
    if options.json_schema is not None:
        body["response_format"] = (
            {"type": "json_object"}
            if profile.schema == "json_object"
            else {
                "type": "json_schema",
                "json_schema": {
                    "name": "reply",
                    "schema": options.json_schema,
                    "strict": fits_strict(options.json_schema),
                },
            }
        )
    return body


def fits_strict(schema: JsonValue) -> bool:
    """Every object in it is closed and all its properties are required: what strict decoding
    wants. Other schemas are asked for without it, and checked all the same.
    """
    if isinstance(schema, list):
        return all(fits_strict(one) for one in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict) or schema.get("type") == "object":
        names = set(properties) if isinstance(properties, dict) else set()
        required = schema.get("required", [])
        closed = schema.get("additionalProperties") is False
        if not (closed and isinstance(required, list) and names == {str(r) for r in required}):
            return False
    return all(fits_strict(one) for one in schema.values())


def _messages(
    server: Server, messages: Sequence[Message], options: GenerationOptions
) -> list[JsonValue]:
    if options.json_schema is not None:
        messages = with_schema(messages, options.json_schema)
    made: list[dict[str, JsonValue]] = []
    for message in messages:
        content = _content(server, message)
        before = made[-1] if made and made[-1]["role"] == message.role == "system" else {}
        if isinstance(before.get("content"), str) and isinstance(content, str):
            # Some chat templates take one system message only.
            before["content"] = f"{before['content']}\n\n{content}"
            continue
        one: dict[str, JsonValue] = {"role": message.role, "content": content}
        if message.tool_calls:
            one["tool_calls"] = [_call(call) for call in message.tool_calls]
        if message.role == "tool":
            one["tool_call_id"] = message.tool_call_id
        made.append(one)
    return [*made]


def _content(server: Server, message: Message) -> JsonValue:
    if isinstance(message.content, str):
        return message.content
    if not any(isinstance(part, Image | Attachment) for part in message.content):
        return message.text
    return [_part(server, part) for part in message.content]


def _part(server: Server, part: str | Segment | Image | Attachment) -> JsonValue:
    match part:
        case Image():
            if part.media_type not in server.profile.images:
                raise refuse_part(server, f"an image ({part.media_type})", server.profile.images)
            url = f"data:{part.media_type};base64,{part.data}"
            return {"type": "image_url", "image_url": {"url": url}}
        case Attachment():
            if part.media_type not in server.profile.files:
                raise refuse_part(server, f"{part.name} ({part.media_type})", server.profile.files)
            url = f"data:{part.media_type};base64,{part.data}"
            return {"type": "file", "file": {"filename": part.name, "file_data": url}}
    return {"type": "text", "text": part if isinstance(part, str) else part.text}


def _call(call: ToolCall) -> JsonValue:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    function: JsonValue = {"name": call.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def _tool(tool: Tool) -> JsonValue:
    function: JsonValue = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": function}
