"""How loaders make documents: ids, titles, and Markdown put together with its parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from ctxeng.errors import LoadError
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document, Metadata, Part, Span, TextFormat, sha256

_SPACED = re.compile(r"[^\S ]|  ")


def document_id(uri: str) -> str:
    """The id of the document at a place; 16 hex digits."""
    return sha256(uri)[:16]


def file_name(uri: str) -> str:
    return PurePosixPath(uri.rsplit("!/", 1)[-1]).name or uri


def made(
    uri: str,
    text: str,
    media_type: str,
    *,
    title: str = "",
    format: TextFormat = "plain",
    language: str = "",
    metadata: Metadata | None = None,
    parts: tuple[Part, ...] = (),
) -> Document:
    """A document; its title is the file's name where the file has none of its own."""
    kept: Metadata = {key: value for key, value in (metadata or {}).items() if value}
    return Document(
        id=document_id(uri),
        text=text,
        title=" ".join(title.split())[:300] or file_name(uri),
        uri=uri,
        media_type=media_type,
        format=format,
        language=language,
        metadata=kept,
        parts=parts,
    )


class Parts:
    """Joins the texts of pages, sheets, slides or cells, and remembers where each lies."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._parts: list[Part] = []
        self._length = 0

    def add(
        self,
        label: str,
        text: str,
        *,
        format: TextFormat | None = None,
        language: str = "",
    ) -> None:
        """Parts without text are left out; a blank line stands between the others."""
        text = text.strip("\n")
        if not text.strip():
            return
        if self._texts:
            self._texts.append("\n\n")
            self._length += 2
        span = Span(start=self._length, end=self._length + len(text))
        self._parts.append(Part(label=label, span=span, format=format, language=language))
        self._texts.append(text)
        self._length += len(text)

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(self._parts)


def table_row(cells: list[str]) -> str:
    """One line per row, as chunking cuts it."""
    return " | ".join(map(_one_line, cells)).strip()


def _one_line(cell: str) -> str:
    """Most cells are; of the others every run of white space becomes one space."""
    return " ".join(cell.split()) if _SPACED.search(cell) else cell.strip()


def markdown_table(rows: Sequence[str]) -> str:
    """Of what ``table_row`` made; the first row is the header."""
    if not rows:
        return ""
    rule = "|".join([" --- "] * (rows[0].count(" | ") + 1))
    return "\n".join([f"| {rows[0]} |", f"|{rule}|", *(f"| {row} |" for row in rows[1:])])


def within(lines: Iterable[str], uri: str, settings: LoadingSettings) -> Iterator[str]:
    """The lines, as long as they do not come to far more text than the file can mean to hold.

    Formats in which a file says once what is meant many times (shared strings, keys above lists)
    could else grow without end.
    """
    left = settings.max_expanded_bytes
    for line in lines:
        left -= len(line) + 1
        if left < 0:
            raise too_much_text(uri, settings)
        yield line


def too_much_text(uri: str, settings: LoadingSettings) -> LoadError:
    limit = f"loading.max_expanded_bytes ({settings.max_expanded_bytes:,})"
    return LoadError(uri, f"comes to more text than {limit}", "Raise that setting")
