"""Values to columns and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from ctxeng.types import Chunk, Document, Hit
from ctxeng.types.base import level_of

CHUNK_COLUMNS = (
    'id, position, text, prefix, start, "end", line, heading_path, part, tokens, format, defines'
)
ChunkRow = tuple[str, int, str, str, int, int, int, str, str, int, str, str, bytes]
"""``CHUNK_COLUMNS`` and the text hash."""


def document_record(document: Document) -> str:
    return document.model_dump_json(exclude={"text", "scope"})


def document_of(record: str, text: str, scope: str) -> Document:
    tenant, user, collection = json.loads(scope)
    whole = {
        **json.loads(record),
        "text": text,
        "scope": {"tenant": tenant, "user": user, "collection": collection},
    }
    return Document.model_validate_json(json.dumps(whole))


def attributes_of(document: Document) -> dict[str, list[str]]:
    """What a filter may ask for, as strings; nested metadata cannot be asked for."""
    found: dict[str, list[str]] = {}
    for key, value in document.metadata.items():
        values = value if isinstance(value, list) else [value]
        scalars = [one for one in values if isinstance(one, str | int | float | bool)]
        found[key] = [str(one).lower() if isinstance(one, bool) else str(one) for one in scalars]
    found["uri"] = [document.uri]
    found["title"] = [document.title]
    found["media_type"] = [document.media_type]
    found["document_id"] = [document.id]
    return found


def chunk_row(chunk: Chunk) -> ChunkRow:
    return (
        chunk.id,
        chunk.position,
        chunk.text,
        chunk.prefix,
        chunk.span.start,
        chunk.span.end,
        chunk.line,
        json.dumps(chunk.heading_path, ensure_ascii=False),
        chunk.part,
        chunk.tokens,
        chunk.format,
        json.dumps(chunk.defines, ensure_ascii=False),
        hashlib.sha256(chunk.embedded_text.encode("utf-8", "surrogatepass")).digest(),
    )


def embedded_text(heading_path: str, text: str) -> str:
    """``Chunk.embedded_text`` from columns."""
    return "\n".join(filter(None, (" > ".join(json.loads(heading_path)), text)))


def indexed_text(prefix: str, text: str) -> str:
    """``Chunk.indexed_text`` from columns."""
    return f"{prefix}\n{text}" if prefix else text


def hit_of(row: Sequence[object], record: Mapping[str, object]) -> Hit:
    """A hit with score 0 from the chunk's columns and its document's record."""
    hit = {
        "id": row[0],
        "position": row[1],
        "text": row[2],
        "prefix": row[3],
        "start": row[4],
        "end": row[5],
        "line": row[6],
        "heading_path": json.loads(str(row[7])),
        "part": row[8],
        "tokens": row[9],
        "format": row[10],
        "score": 0.0,
        "document_id": record["id"],
        "uri": record["uri"],
        "title": record["title"],
        "media_type": record["media_type"],
        "metadata": record["metadata"],
        "trust": level_of(record["trust"]),
    }
    return Hit.model_validate(hit)
