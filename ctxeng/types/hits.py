"""What is asked and what is found."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ctxeng.types.base import Metadata, Strings, Text, TextFormat, Trust, Value, whole
from ctxeng.types.documents import Scope, Span


class Query(Value):
    """What is asked, and of whose content."""

    text: Text
    kind: Literal["original", "rewritten", "hypothetical", "sub-question"] = "original"
    filter: Annotated[dict[str, Strings], BeforeValidator(whole)] = Field(default_factory=dict)
    """Every key must match; a key's values are alternatives. Compared as strings."""
    scope: Scope = Scope()
    made_by: str = ""
    """The model or rule that put it in the place of what was asked."""


class Route(Value):
    """Where an answer is looked for."""

    sources: Strings = ()
    """Names, such as ``documents`` for what was indexed; none: nothing there would answer."""
    depth: int | None = Field(default=None, gt=0)
    """Candidates that each of them is asked for; None: as many as the settings say."""
    scores: dict[str, float] = Field(default_factory=dict)
    """How likely each source is to help, in [0, 1]; of those that were weighed."""


class Hit(Value):
    """What a retriever found. ``stages`` holds the score of each stage that touched it."""

    id: str
    text: str
    tokens: int = Field(ge=0)
    score: float
    stages: dict[str, float] = Field(default_factory=dict)
    document_id: str = ""
    uri: str = ""
    title: str = ""
    start: int = 0
    end: int = 0
    line: int = 1
    part: str = ""
    position: int = 0
    prefix: str = ""
    heading_path: Strings = ()
    format: TextFormat = "plain"
    media_type: str = "text/plain"
    metadata: Metadata = Field(default_factory=dict)
    trust: Trust = "web"
    """Of its document; the least where nobody says."""

    @property
    def span(self) -> Span:
        return Span(start=self.start, end=self.end)

    @property
    def location(self) -> str:
        """Where a person would look: ``policy.pdf, page 3`` or ``notes.md:12``."""
        return f"{self.uri}, {self.part}" if self.part else f"{self.uri}:{self.line}"


class Source(Value):
    """The exact place that a piece of a prompt or an answer comes from."""

    uri: str
    document_id: str
    span: Span
    line: int = 1
    part: str = ""
    title: str = ""
    heading_path: Strings = ()
    format: TextFormat = "plain"
    columns: str = ""
    """Their names, ``a | b``, where it begins within a table."""

    @property
    def location(self) -> str:
        return f"{self.uri}, {self.part}" if self.part else f"{self.uri}:{self.line}"
