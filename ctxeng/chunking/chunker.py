"""Dispatches each part of a document to prose, code or table, and makes chunks of the cuts."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ctxeng.chunking import code, prose, tables
from ctxeng.chunking.pack import Atom, pack
from ctxeng.chunking.prefix import DeterministicContextualizer
from ctxeng.settings import ChunkingSettings
from ctxeng.text.terms import identifier
from ctxeng.types import Chunk, Document, Part, Span, TextFormat, sha256


@dataclass(frozen=True, slots=True)
class _Cut:
    """A chunk before it has an id and a line."""

    span: Span
    format: TextFormat
    heading_path: tuple[str, ...] = ()
    prefix: str = ""
    defines: tuple[str, ...] = ()
    part: str = ""


class StructuredChunker:
    """Whole sentences, rows or definitions, never across a heading or a part of the document."""

    def __init__(self, settings: ChunkingSettings | None = None) -> None:
        self._settings = settings or ChunkingSettings()
        self.name = f"structured-3 {self._settings.min_words}-{self._settings.max_words}"

    def chunk(self, document: Document) -> list[Chunk]:
        """The document's chunks in order; none for a document of white space."""
        chunks: list[Chunk] = []
        seen: Counter[str] = Counter()
        line, counted = 1, 0
        for cut in self._cuts(document):
            text = document.text[cut.span.start : cut.span.end]
            line += document.text.count("\n", counted, cut.span.start)
            counted = cut.span.start
            seen[text] += 1
            chunks.append(
                Chunk(
                    id=sha256("\0".join((document.id, text, str(seen[text]))))[:24],
                    document_id=document.id,
                    text=text,
                    span=cut.span,
                    position=len(chunks),
                    line=line,
                    prefix=cut.prefix,
                    heading_path=_below_title(document.title, cut.heading_path),
                    part=cut.part,
                    format=cut.format,
                    defines=cut.defines,
                )
            )
        return chunks

    def _cuts(self, document: Document) -> Iterator[_Cut]:
        headings: tuple[tuple[int, str], ...] = ()
        for part in _parts(document):
            kind = part.format or document.format
            if kind == "code":
                yield from self._code(document, part)
            elif kind == "table":
                yield from self._table(document, part, headings)
            else:
                found, headings = prose.sections(
                    document.text, part.span, headings, high=self._settings.max_words
                )
                for section in found:
                    yield from self._section(document, part, section, kind)

    def _section(
        self, document: Document, part: Part, section: prose.Section, kind: TextFormat
    ) -> Iterator[_Cut]:
        starts = [table.start for table, _ in section.tables]
        for span in self._pack(document.text, section.atoms):
            before = bisect_left(starts, span.start)  # tables that begin earlier
            table, header = section.tables[before - 1] if before else (span, "")
            header = header if span.start < table.end else ""
            yield _Cut(span, kind, section.heading_path, header, part=part.label)

    def _table(
        self, document: Document, part: Part, headings: tuple[tuple[int, str], ...]
    ) -> Iterator[_Cut]:
        atoms, header = tables.rows(document.text, part.span, high=self._settings.max_words)
        path = tuple(title for _, title in headings)
        for number, span in enumerate(self._pack(document.text, atoms)):
            yield _Cut(span, "table", path, header if number else "", part=part.label)

    def _code(self, document: Document, part: Part) -> Iterator[_Cut]:
        language = part.language or document.language
        found = code.cut(document.text, part.span, language, high=self._settings.max_words)
        starts = [d.span.start for d in found.definitions]
        around: list[code.Definition] = []
        before = 0
        for span in self._pack(document.text, found.atoms):
            first = bisect_left(starts, span.start)
            earlier = found.definitions[before:first]
            around = [d for d in (*around, *earlier) if d.span.end > span.start]
            before = first
            inside = found.definitions[first : bisect_left(starts, span.end)]
            names = dict.fromkeys(identifier(d.name) for d in inside)
            yield _Cut(
                span,
                "code",
                tuple(dict.fromkeys(d.name for d in around)),
                defines=tuple(name for name in names if name),
                part=part.label,
            )

    def _pack(self, text: str, atoms: Sequence[Atom]) -> list[Span]:
        return pack(text, atoms, low=self._settings.min_words, high=self._settings.max_words)


def chunk(document: Document, *, settings: ChunkingSettings | None = None) -> list[Chunk]:
    """Cut a document as the index would: its chunks in order, with their prefixes."""
    chunks = StructuredChunker(settings).chunk(document)
    return DeterministicContextualizer().contextualize(document, chunks)


def _parts(document: Document) -> Iterator[Part]:
    """The document's parts, and what lies between them as parts without a label."""
    end = 0
    for part in document.parts:
        if part.span.start > end:
            yield Part(label="", span=Span(start=end, end=part.span.start))
        yield part
        end = part.span.end
    if end < len(document.text):
        yield Part(label="", span=Span(start=end, end=len(document.text)))


def _below_title(title: str, headings: Sequence[str]) -> tuple[str, ...]:
    if not title or (headings and headings[0] == title):
        return tuple(headings)
    return (title, *headings)
