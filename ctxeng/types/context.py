"""The built prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, overload

from pydantic import BeforeValidator, Field

from ctxeng.types.base import Role, Strings, Trust, Value, as_tuple
from ctxeng.types.hits import Source
from ctxeng.types.messages import Message, Segment
from ctxeng.types.vendors import Json, as_anthropic, as_openai, message_of, turns_of


class Dropped(Value):
    """A candidate that did not get into the prompt, and why."""

    source: Source | None = None
    tokens: int
    score: float
    reason: str
    chunk_ids: Strings = ()
    section: str = "sources"
    label: str = ""
    """What it is, where it has no source: how its text begins."""
    trust: Trust = "web"


class SectionUse(Value):
    """What one section of a plan was given of the budget, and used. Tokens."""

    name: str
    role: Role
    minimum: int
    maximum: int | None
    """None: no limit of its own."""
    given: int
    """Of the budget; what is rendered never takes more."""
    used: int
    """Markers around its texts and what its messages carry included."""
    kept: int = 0
    """Candidates."""
    dropped: int = 0


RenderFormat = Literal["text", "messages", "openai", "anthropic"]


class Context(Value):
    """The built prompt. It renders byte for byte from its segments."""

    query: str
    segments: Annotated[tuple[Segment, ...], BeforeValidator(as_tuple)]
    dropped: Annotated[tuple[Dropped, ...], BeforeValidator(as_tuple)] = ()
    tokens: int
    """Of the rendered text, by the tokenizer that is named."""
    budget: int
    """For the rendered text and what is ``reserved``."""
    tokenizer: str
    sections: Annotated[tuple[SectionUse, ...], BeforeValidator(as_tuple)] = ()
    """How a plan's budget was divided, in prompt order."""
    reserved: dict[str, int] = Field(default_factory=dict)
    """Tokens of the budget that no text shows: ``tools`` (schemas), ``template`` (what the chat
    template puts around messages), ``carried`` (files and calls), ``reply``."""
    plan: str = ""
    """Name and hash of the plan that it was built by."""
    stable: int = Field(default=0, ge=0)
    """How many of the first segments stay the same from one prompt to the next."""

    @overload
    def render(self, format: Literal["text"] = "text") -> str: ...
    @overload
    def render(self, format: Literal["messages"]) -> tuple[Message, ...]: ...
    @overload
    def render(self, format: Literal["openai"]) -> list[Json]: ...
    @overload
    def render(self, format: Literal["anthropic"]) -> Json: ...
    def render(
        self, format: RenderFormat = "text"
    ) -> str | tuple[Message, ...] | list[Json] | Json:
        """The prompt as text, as our messages, as OpenAI's list of messages, or as Anthropic's
        ``{"system": …, "messages": …}`` with a cache breakpoint behind the stable segments. The
        texts in each, joined, are the segments' texts, joined.

        Raises:
            ValueError: there is no such format.
        """
        if format == "text":
            return "".join(segment.text for segment in self.segments)
        if format == "messages":
            return self.messages
        if format == "openai":
            return [as_openai(message) for message in self.messages]
        if format == "anthropic":
            return as_anthropic(self)
        raise ValueError(f"{format!r}: the formats are text, messages, openai and anthropic")

    @property
    def text(self) -> str:
        return self.render()

    @property
    def sources(self) -> tuple[Segment, ...]:
        """The segments that an answer may cite."""
        return tuple(segment for segment in self.segments if segment.source is not None)

    @property
    def messages(self) -> tuple[Message, ...]:
        """Neighbouring segments of one role and turn make one message."""
        return tuple(message_of(group) for group in turns_of(self.segments))

    def manifest(self) -> list[Json]:
        """Why each piece is in the prompt or not: one row per kept segment, in prompt order, then
        one per dropped candidate, best first.
        """
        return [_kept_row(segment) for segment in self.segments] + [
            _dropped_row(row) for row in self.dropped
        ]

    def unchanged_tokens(self, previous: Context, count: Callable[[str], int] | None = None) -> int:
        """Tokens at the start of the prompt that are as in ``previous``: what a backend's prompt
        cache can keep.

        Args:
            count: counts a text's tokens; without it a segment that changed in its middle counts
                for nothing.
        """
        same = ""
        tokens = 0
        for ours, theirs in zip(self.segments, previous.segments, strict=False):
            if (ours.role, ours.carries) != (theirs.role, theirs.carries):
                break
            shared = _common_start(ours.text, theirs.text)
            same += ours.text[:shared]
            if shared < len(ours.text) or shared < len(theirs.text):
                break
            tokens += ours.tokens
        return tokens if count is None else count(same)


def _common_start(one: str, other: str) -> int:
    """Length of the prefix that both have."""
    if one == other:
        return len(one)
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _kept_row(segment: Segment) -> Json:
    source = segment.source
    return {
        "kept": True,
        "number": segment.number,
        "section": segment.section,
        "source": source.location if source else "",
        "start": source.span.start if source else None,
        "end": source.span.end if source else None,
        "tokens": segment.tokens,
        "score": segment.scores.get("fused"),
        "scores": {**segment.scores},
        "trust": segment.trust,
        "transformation": segment.transformation,
        "made_by": segment.made_by,
        "reason": "; ".join((segment.reason, *segment.notes)),
    }


def _dropped_row(row: Dropped) -> Json:
    source = row.source
    return {
        "kept": False,
        "number": None,
        "section": row.section,
        "source": source.location if source else row.label,
        "start": source.span.start if source else None,
        "end": source.span.end if source else None,
        "tokens": row.tokens,
        "score": row.score,
        "scores": {},
        "trust": row.trust,
        "transformation": "verbatim",
        "made_by": "",
        "reason": row.reason,
    }
