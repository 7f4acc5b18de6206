"""What a model replies, and what an answer rests on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue

from ctxeng.types.base import Metadata, Strings, Value, as_tuple
from ctxeng.types.context import Context
from ctxeng.types.documents import Span
from ctxeng.types.hits import Source
from ctxeng.types.messages import Tool, ToolCall


class Claim(Value):
    """One sentence of an answer and what it rests on."""

    text: str
    span: Span
    """In the answer's text."""
    sources: Annotated[tuple[Source, ...], BeforeValidator(as_tuple)] = ()
    numbers: Annotated[tuple[int, ...], BeforeValidator(as_tuple)] = ()
    """The markers, ``[1]``, that the sentence carries."""
    support: float = Field(default=0.0, ge=0.0, le=1.0)
    """How much of the sentence its sources hold; 0: no support found."""


class Citation(Value):
    """One row of an answer's source list."""

    number: int
    source: Source
    quote: str


StopReason = Literal["stop", "length", "tool_calls", "filtered", "interrupted"]
"""Why a reply ended: by itself, at ``max_tokens``, to call tools, by the vendor's filter, or
because its backend failed after it had begun."""


class Usage(Value):
    """What a reply took: tokens, wall seconds, and money where a price is known."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt's, those that the backend did not have to read again."""
    cache_write_tokens: int = 0
    """Of the prompt's, those that the backend put into its cache, where it charges for that."""
    seconds: float = 0.0
    first_token_seconds: float = 0.0
    cost: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            seconds=self.seconds + other.seconds,
            first_token_seconds=self.first_token_seconds or other.first_token_seconds,
            cost=self.cost + other.cost,
        )


class GenerationOptions(Value):
    """How a reply is to be written."""

    max_tokens: int = Field(default=512, gt=0)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int | None = None
    stop: Strings = ()
    tools: Annotated[tuple[Tool, ...], BeforeValidator(as_tuple)] = ()
    tool_choice: Literal["auto", "none", "required"] = "auto"
    json_schema: Metadata | None = None
    """The reply's text must be JSON that holds to it."""
    retry_broken_streams: bool | None = None
    """Start a reply again that breaks off after its first token; None: as the model's table says.
    """


DEFAULT_OPTIONS = GenerationOptions()


class Reply(Value):
    """A whole reply of a model."""

    text: str
    tool_calls: Annotated[tuple[ToolCall, ...], BeforeValidator(as_tuple)] = ()
    usage: Usage = Usage()
    stop: StopReason = "stop"
    model: str = ""
    value: JsonValue = None
    """The parsed text where ``json_schema`` was asked for."""
    error: str = ""
    """Why it was interrupted; the text is what had come until then."""


class Answer(Value):
    """The reply to a question, and what every sentence of it rests on."""

    text: str
    """With ``[1]`` markers."""
    found: bool
    """False: the sources do not answer, and the text says so, or no sentence of it is supported."""
    claims: Annotated[tuple[Claim, ...], BeforeValidator(as_tuple)] = ()
    citations: Annotated[tuple[Citation, ...], BeforeValidator(as_tuple)] = ()
    context: Context
    usage: Usage = Usage()
    model: str = ""
    error: str = ""
    """Why the model broke off; the text is what had come until then."""
    repaired: bool = False
    """Its first version had sentences without support, and this one is better supported."""
    notes: Strings = ()
    """Steps that failed and were done without."""
    trace_id: str = ""
