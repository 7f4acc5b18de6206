"""What is read: documents, their parts and their chunks."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from ctxeng.types.base import (
    Key,
    Metadata,
    Strings,
    Text,
    TextFormat,
    Trust,
    Value,
    as_tuple,
    sha256,
    whole,
)


class Span(Value):
    """A half-open character range ``[start, end)`` in a document's text."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Span:
        if self.end < self.start:
            raise ValueError(f"a span cannot end ({self.end}) before it starts ({self.start})")
        return self

    def __len__(self) -> int:
        return self.end - self.start


class Scope(Value):
    """Who may see a thing. Every read and every write carries one."""

    tenant: Key = "local"
    user: Key = "local"
    collection: Key = "default"

    @cached_property
    def key(self) -> str:
        """One string that no other scope has: what the store and the indexes compare."""
        return json.dumps([self.tenant, self.user, self.collection], ensure_ascii=False)


class Part(Value):
    """A stretch of a document that its source marks off: a page, slide, sheet, cell or chapter.

    A chunk never crosses the border of a part, and takes its ``label`` as location.
    """

    label: Text
    """What a person would say: ``page 3``, ``sheet Budget``, ``cell 4``."""
    span: Span
    format: TextFormat | None = None
    """How this part is to be cut; None: as the document."""
    language: str = ""
    """Programming language of a code part, as tree-sitter names it."""


class Document(Value):
    """One loaded source."""

    id: Key = Field(min_length=1)
    text: Text
    title: Text = ""
    uri: Text = ""
    """Where it comes from; the id where nothing better is known."""
    media_type: Text = "text/plain"
    """Of the source (``application/pdf``); ``format`` says what ``text`` is."""
    format: TextFormat = "plain"
    language: Text = ""
    """Programming language of a code document, as tree-sitter names it."""
    metadata: Annotated[Metadata, BeforeValidator(whole)] = Field(default_factory=dict)
    parts: Annotated[tuple[Part, ...], BeforeValidator(as_tuple)] = ()
    """In text order and without overlap; may leave gaps."""
    scope: Scope = Scope()
    trust: Trust = "document"
    """Whoever indexes a page that was fetched, not chosen, says ``web``."""

    @model_validator(mode="before")
    @classmethod
    def _uri_defaults_to_id(cls, data: object) -> object:
        if isinstance(data, dict) and not data.get("uri") and "id" in data:
            return {**data, "uri": data["id"]}
        return data

    @model_validator(mode="after")
    def _parts_ascend_inside_the_text(self) -> Document:
        end = 0
        for part in self.parts:
            if not end <= part.span.start <= part.span.end <= len(self.text):
                raise ValueError(
                    f"part {part.label!r} [{part.span.start}, {part.span.end}) overlaps the one "
                    f"before it, or lies outside the text of {len(self.text)} characters"
                )
            end = part.span.end
        return self

    @cached_property
    def content_hash(self) -> str:
        """sha256 of all that an index would see; equal hash means nothing to do."""
        content = self.model_dump(mode="json", exclude={"scope", "id", "uri"})
        return sha256(json.dumps(content, sort_keys=True, ensure_ascii=False))


class Chunk(Value):
    """A piece of a document. ``text == document.text[span.start : span.end]``."""

    id: str
    document_id: str
    text: str
    span: Span
    position: int = Field(default=0, ge=0)
    """Ordinal in its document."""
    line: int = Field(default=1, ge=1)
    """Line of the document's text on which it begins, from 1."""
    prefix: str = ""
    """The situating text that is indexed with the chunk and quoted apart from it."""
    heading_path: Strings = ()
    """From the document's title to the innermost heading above the chunk."""
    part: str = ""
    """Label of the part that holds it: ``page 3``."""
    tokens: int = Field(default=0, ge=0)
    """Of ``text``; 0 until counted."""
    format: TextFormat = "plain"
    defines: Strings = ()
    """Identifiers that this piece of code defines, as written."""

    @property
    def indexed_text(self) -> str:
        """What the lexical index sees."""
        return f"{self.prefix}\n{self.text}" if self.prefix else self.text

    @property
    def embedded_text(self) -> str:
        """What the embedder sees: it depends on nothing but the chunk and its headings, so that an
        edit elsewhere in the document never costs another embedding.
        """
        return "\n".join(filter(None, (" > ".join(self.heading_path), self.text)))
