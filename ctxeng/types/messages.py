"""What a prompt is made of: segments, messages, tools."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from ctxeng.types.base import Metadata, Role, Strings, Transformation, Trust, Value, as_tuple
from ctxeng.types.hits import Source


class Image(Value):
    """A picture in a message."""

    media_type: str
    """``image/png``, ``image/jpeg`` …"""
    data: str
    """Base64."""


class Attachment(Value):
    """A file in a message, for backends that read files themselves."""

    name: str
    media_type: str
    data: str
    """Base64."""


class ToolCall(Value):
    """What a model asks for; ``arguments`` hold to the tool's schema where it has one."""

    id: str
    name: str
    arguments: Metadata = Field(default_factory=dict)


class Carried(Value):
    """What a message holds beside its text."""

    files: Annotated[tuple[Image | Attachment, ...], BeforeValidator(as_tuple)] = ()
    tool_calls: Annotated[tuple[ToolCall, ...], BeforeValidator(as_tuple)] = ()
    tool_call_id: str = ""
    tokens: int = Field(default=0, ge=0)
    """What it is taken to cost: calls as JSON, a file by the plan's allowance."""


class Segment(Value):
    """A piece of the built prompt; the prompt is the segments' texts, joined."""

    text: str
    section: str
    role: Role
    tokens: int = Field(ge=0)
    """Of ``text``."""
    trust: Trust
    """The lowest of all that it was made from."""
    reason: str
    """Why it is in the prompt."""
    source: Source | None = None
    transformation: Transformation = "verbatim"
    """``verbatim``: the text of ``source``."""
    made_by: str = ""
    """The model or rule that transformed it."""
    notes: Strings = ()
    """What was done to its text before, such as invisible characters taken out."""
    number: int | None = None
    """The number by which an answer cites it."""
    scores: dict[str, float] = Field(default_factory=dict)
    chunk_ids: Strings = ()
    turn: int | None = None
    """Which turn of a chat it is of. Neighbours of one role and turn make one message."""
    carries: Carried | None = None


def _no_parameters() -> Metadata:
    return {"type": "object", "properties": {}}


class Tool(Value):
    """A callable that the model may ask for; what it says of itself is data, never an order."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str = ""
    parameters: Metadata = Field(default_factory=_no_parameters)
    """JSON schema of its arguments."""
    server: str = ""
    side_effects: bool = True


class Message(Value):
    """One turn of a chat; ours keep the segments that they are made of."""

    role: Role
    content: (
        str | Annotated[tuple[str | Segment | Image | Attachment, ...], BeforeValidator(as_tuple)]
    ) = ""
    tool_calls: Annotated[tuple[ToolCall, ...], BeforeValidator(as_tuple)] = ()
    """What an assistant's turn asks for."""
    tool_call_id: str = ""
    """Which call a tool's turn answers."""

    @property
    def text(self) -> str:
        """Its text; images and files leave none."""
        if isinstance(self.content, str):
            return self.content
        return "".join(
            part if isinstance(part, str) else part.text
            for part in self.content
            if isinstance(part, str | Segment)
        )
