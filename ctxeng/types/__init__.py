"""The words of ctxeng, as values.

Every value is frozen, strict and refuses unknown fields. Scores: higher is better. Ranges are
half-open ``[start, end)`` and count characters of the document's text. *Terms* are what the
lexical index counts, *tokens* what a model counts.
"""

from __future__ import annotations

from ctxeng.types.answers import (
    DEFAULT_OPTIONS,
    Answer,
    Citation,
    Claim,
    GenerationOptions,
    Reply,
    StopReason,
    Usage,
)
from ctxeng.types.base import (
    Filter,
    Key,
    Metadata,
    Role,
    SearchMode,
    Strings,
    Text,
    TextFormat,
    Transformation,
    Trust,
    Value,
    sha256,
)
from ctxeng.types.context import Context, Dropped, RenderFormat, SectionUse
from ctxeng.types.documents import Chunk, Document, Part, Scope, Span
from ctxeng.types.hits import Hit, Query, Route, Source
from ctxeng.types.messages import Attachment, Carried, Image, Message, Segment, Tool, ToolCall
from ctxeng.types.reports import Check, Failure, IndexReport, Status, VectorStatus
from ctxeng.types.vendors import Json

__all__ = [
    "DEFAULT_OPTIONS",
    "Answer",
    "Attachment",
    "Carried",
    "Check",
    "Chunk",
    "Citation",
    "Claim",
    "Context",
    "Document",
    "Dropped",
    "Failure",
    "Filter",
    "GenerationOptions",
    "Hit",
    "Image",
    "IndexReport",
    "Json",
    "Key",
    "Message",
    "Metadata",
    "Part",
    "Query",
    "RenderFormat",
    "Reply",
    "Role",
    "Route",
    "Scope",
    "SearchMode",
    "SectionUse",
    "Segment",
    "Source",
    "Span",
    "Status",
    "StopReason",
    "Strings",
    "Text",
    "TextFormat",
    "Tool",
    "ToolCall",
    "Transformation",
    "Trust",
    "Usage",
    "Value",
    "VectorStatus",
    "sha256",
]
