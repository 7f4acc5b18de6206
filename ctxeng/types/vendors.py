"""A prompt in the forms of the large vendors' APIs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import JsonValue

from ctxeng.types.messages import Attachment, Image, Message, Segment, ToolCall

if TYPE_CHECKING:
    from ctxeng.types.context import Context

Json = dict[str, JsonValue]


def turns_of(segments: tuple[Segment, ...]) -> list[list[Segment]]:
    groups: list[list[Segment]] = []
    for segment in segments:
        last = groups[-1][-1] if groups else None
        if last is not None and (last.role, last.turn) == (segment.role, segment.turn):
            groups[-1].append(segment)
        else:
            groups.append([segment])
    return groups


def message_of(group: list[Segment]) -> Message:
    carried = [segment.carries for segment in group if segment.carries is not None]
    if not carried:
        return Message(role=group[0].role, content=tuple(group))
    content: list[str | Segment | Image | Attachment] = []
    for segment in group:
        content += [segment] if segment.text else []
        content += segment.carries.files if segment.carries is not None else ()
    return Message(
        role=group[0].role,
        content=tuple(content),
        tool_calls=tuple(call for one in carried for call in one.tool_calls),
        tool_call_id=next((one.tool_call_id for one in carried if one.tool_call_id), ""),
    )


def as_openai(message: Message) -> Json:
    parts = () if isinstance(message.content, str) else message.content
    files = any(isinstance(part, Image | Attachment) for part in parts)
    made: Json = {
        "role": message.role,
        "content": [*map(_openai_part, parts)] if files else message.text,
    }
    if message.tool_calls:
        made["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments, ensure_ascii=False),
                },
            }
            for call in message.tool_calls
        ]
    if message.role == "tool":
        made["tool_call_id"] = message.tool_call_id
    return made


def _openai_part(part: str | Segment | Image | Attachment) -> JsonValue:
    match part:
        case Image():
            url = f"data:{part.media_type};base64,{part.data}"
            return {"type": "image_url", "image_url": {"url": url}}
        case Attachment():
            url = f"data:{part.media_type};base64,{part.data}"
            return {"type": "file", "file": {"filename": part.name, "file_data": url}}
    return {"type": "text", "text": part if isinstance(part, str) else part.text}


_BREAKPOINT: Json = {"type": "ephemeral"}


def as_anthropic(context: Context) -> Json:
    """System segments that come first are the system prompt; later ones are the user's, since the
    API takes none there.
    """
    system: list[Json] = []
    turns: list[Json] = []
    at = 0
    for group in turns_of(context.segments):
        stable = max(0, context.stable - at)
        blocks = _anthropic_blocks(group, stable, border=0 < stable <= len(group))
        at += len(group)
        if group[0].role == "system" and not turns:
            system += blocks
            continue
        role = "assistant" if group[0].role == "assistant" else "user"
        if group[0].role == "tool":
            answered = message_of(group).tool_call_id
            blocks = [{"type": "tool_result", "tool_use_id": answered, "content": [*blocks]}]
        last = turns[-1]["content"] if turns and turns[-1]["role"] == role else None
        if isinstance(last, list):
            last += blocks
        else:
            turns.append({"role": role, "content": [*blocks]})
    return {"system": [*system], "messages": [*turns]}


def _anthropic_blocks(group: list[Segment], stable: int, *, border: bool) -> list[Json]:
    """Texts that touch are one block, but for where the first ``stable`` segments end."""
    blocks: list[Json] = []
    texts: list[str] = []

    def close() -> None:
        text = "".join(texts)
        last = blocks[-1].get("text") if blocks else None
        if not text.strip() and isinstance(last, str):  # the API refuses blank blocks
            blocks[-1]["text"] = last + text
        elif text:
            blocks.append({"type": "text", "text": text})
        texts.clear()

    calls: list[ToolCall] = []
    for number, segment in enumerate(group, start=1):
        texts.append(segment.text)
        if segment.carries is not None:
            calls += segment.carries.tool_calls
            if segment.carries.files:
                close()
                blocks += [_anthropic_file(file) for file in segment.carries.files]
        if border and number == stable:
            close()
            if blocks:
                blocks[-1]["cache_control"] = dict(_BREAKPOINT)
    close()
    return blocks + [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        for call in calls
    ]


def _anthropic_file(file: Image | Attachment) -> Json:
    source: Json = {"type": "base64", "media_type": file.media_type, "data": file.data}
    if isinstance(file, Image):
        return {"type": "image", "source": source}
    return {"type": "document", "source": source, "title": file.name}
