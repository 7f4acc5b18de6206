"""Cuts prose and Markdown: sections by heading, then whole sentences up to the size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import regex

from ctxeng.chunking.pack import Atom, words
from ctxeng.text.sentences import sentences
from ctxeng.types import Span

MAX_HEADING = 400
"""Characters; a longer line that is marked as a heading is a paragraph."""
LINE_HEAD = 2_000
"""Characters of a line that are looked at to tell what it is."""

_HEADING = regex.compile(r"[ ]{0,3}(#{1,6})[ \t]+(.*)$")
_WIKI_HEADING = regex.compile(r"[ \t]*((?:=[ ]?){1,6})[ \t]*([^\s=].*=)[ \t]*$")
_VISIBLE = regex.compile(r"\S")
_UNDERLINE = regex.compile(r"[ ]{0,3}([=\-~^\"'`*+#.:_])\1{2,}[ \t]*$")
_FENCE = regex.compile(r"[ ]{0,3}(`{3,}|~{3,})")
_TABLE_ROW = regex.compile(r"[ \t]*\|.*\|[ \t]*$|.*\S \| \S.*$")
_TABLE_RULE = regex.compile(r"[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)*[ \t]*:?-+:?[ \t]*\|?[ \t]*$")
_UNDERLINE_LEVELS = "=-~^\"'`*+#.:_"


@dataclass(slots=True)
class Section:
    """What stands under one heading. ``tables``: (span, text of the header rows)."""

    heading_path: tuple[str, ...]
    atoms: list[Atom] = field(default_factory=list)
    tables: list[tuple[Span, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    end: int
    text: str


def sections(
    text: str, span: Span, above: tuple[tuple[int, str], ...] = (), *, high: float
) -> tuple[list[Section], tuple[tuple[int, str], ...]]:
    """The sections of a stretch of text, and the headings (level, title) open at its end.

    Args:
        above: the headings that are open at its beginning.
        high: atoms have at most about this many words.
    """
    found: list[Section] = []
    stack = above
    section = Section(_titles(stack))
    heading_start: int | None = None
    for kind, block, level, title in _blocks(text, span):
        if kind == "heading":
            if heading_start is not None and words(text[heading_start : block.end]) > high:
                # Headings with nothing under them, an outline: they fill chunks of their own.
                section.atoms.append(_heading_atom(text, heading_start, block.start))
                heading_start = None
            if section.atoms:
                found.append(section)
            stack = (*(entry for entry in stack if entry[0] < level), (level, title))
            section = Section(_titles(stack))
            heading_start = block.start if heading_start is None else heading_start
            continue
        atoms = list(_atoms(text, kind, block, high))
        if heading_start is not None:  # headings belong to what follows
            whole = Span(start=heading_start, end=atoms[0].span.end)
            atoms[0] = Atom(whole, words(text[whole.start : whole.end]), 2)
            heading_start = None
        if kind == "table":
            section.tables.append((block, _table_header(text, block)))
        section.atoms += atoms
    if heading_start is not None:  # a heading with nothing under it
        section.atoms.append(_heading_atom(text, heading_start, span.end))
    if section.atoms:
        found.append(section)
    return found, stack


def _heading_atom(text: str, start: int, end: int) -> Atom:
    whole = Span(start=start, end=_trimmed_end(text, start, end))
    return Atom(whole, words(text[whole.start : whole.end]), 2)


def _titles(stack: tuple[tuple[int, str], ...]) -> tuple[str, ...]:
    return tuple(title for _, title in stack)


def _lines(text: str, span: Span) -> Iterator[_Line]:
    start = span.start
    while start < span.end:
        end = text.find("\n", start, span.end)
        end = span.end if end < 0 else end
        head = text[start : min(end, start + LINE_HEAD)]
        if len(head) == LINE_HEAD and not head.strip():  # indented further than anybody looks
            visible = _VISIBLE.search(text, start, end)
            start = visible.start() if visible else end
            head = text[start : min(end, start + LINE_HEAD)]
        yield _Line(start, end, head)
        start = end + 1


def _blocks(text: str, span: Span) -> Iterator[tuple[str, Span, int, str]]:
    """(kind, span, level, title) of headings, fences, tables and paragraphs, in order."""
    lines = list(_lines(text, span))
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.text.strip():
            at += 1
            continue
        heading = _heading(lines, at)
        if heading is not None:
            level, title, taken = heading
            yield "heading", Span(start=line.start, end=lines[at + taken - 1].end), level, title
            at += taken
            continue
        kind, end = _extent(lines, at)
        start = line.start + len(line.text) - len(line.text.lstrip())
        yield kind, Span(start=start, end=_trimmed_end(text, start, lines[end - 1].end)), 0, ""
        at = end


def _heading(lines: list[_Line], at: int) -> tuple[int, str, int] | None:
    """(level, title, lines taken) where a heading begins."""
    line = lines[at].text
    if len(line) > MAX_HEADING:
        return None
    if match := _HEADING.match(line):
        title = _without_closing_marks(match.group(2))
        return (len(match.group(1)), title, 1) if title else None
    if match := _WIKI_HEADING.match(line):
        return len(match.group(1).replace(" ", "")), match.group(2).rstrip("= \t"), 1
    if at + 1 < len(lines) and len(line) <= 200 and not _TABLE_ROW.match(line):
        below = _UNDERLINE.match(lines[at + 1].text)
        alone = at == 0 or not lines[at - 1].text.strip() or _UNDERLINE.match(lines[at - 1].text)
        long_enough = len(lines[at + 1].text.strip()) >= 0.6 * len(line.strip())
        if below and alone and long_enough and any(c.isalnum() for c in line):
            return _UNDERLINE_LEVELS.index(below.group(1)) + 1, line.strip(), 2
    return None


def _without_closing_marks(title: str) -> str:
    """``# Title #`` is closed by its last mark, ``# C#`` is not."""
    title = title.strip()
    bare = title.rstrip("#")
    return bare.rstrip() if not bare or bare[-1].isspace() else title


def _extent(lines: list[_Line], at: int) -> tuple[str, int]:
    """Kind of the block that begins here, and the line after it."""
    fence = _FENCE.match(lines[at].text)
    end = at + 1
    if fence:
        mark = fence.group(1)
        while end < len(lines) and not lines[end].text.strip().startswith(mark):
            end += 1
        return "fence", min(end + 1, len(lines))
    if _TABLE_ROW.match(lines[at].text):
        while end < len(lines) and _TABLE_ROW.match(lines[end].text):
            end += 1
        return "table", end
    while (
        end < len(lines)
        and lines[end].text.strip()
        and not _FENCE.match(lines[end].text)
        and not _TABLE_ROW.match(lines[end].text)
        and _heading(lines, end) is None
    ):
        end += 1
    return "paragraph", end


def _atoms(text: str, kind: str, block: Span, high: float) -> Iterator[Atom]:
    whole = text[block.start : block.end]
    if kind == "fence" and words(whole) <= high:
        yield Atom(block, words(whole), 2)
        return
    if kind == "paragraph":
        pieces = [(s.start + block.start, s.end + block.start) for s in sentences(whole)]
    else:
        pieces = [(line.start, line.end) for line in _lines(text, block) if line.text.strip()]
    strength = 2
    for start, end in pieces:
        for piece in split_long(text, start, end, high):
            yield Atom(piece, words(text[piece.start : piece.end]), strength)
            strength = 0
        strength = 1


def split_long(text: str, start: int, end: int, high: float) -> Iterator[Span]:
    """[start, end) in pieces of at most about ``high`` words, cut at white space where there is."""
    limit = max(20, int(high * 5))
    while start < end and text[start].isspace():
        start += 1
    while start < end:
        stop = min(end, start + limit)
        size = words(text[start:stop])
        if size > high:  # words are short, or characters: as many as there is room for
            stop = min(stop, start + max(20, int((stop - start) * high / size)))
        if stop < end:
            middle = (start + stop) // 2
            space = max(text.rfind(" ", middle, stop), text.rfind("\n", start, stop))
            stop = space if space > start else stop
        trimmed = _trimmed_end(text, start, stop)
        if trimmed > start:
            yield Span(start=start, end=trimmed)
        start = stop
        while start < end and text[start].isspace():
            start += 1


def _trimmed_end(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1].isspace():
        end -= 1
    return end


def _table_header(text: str, block: Span) -> str:
    """The first row, and the rule below it where there is one."""
    rows = text[block.start : block.end].split("\n", 2)
    ruled = len(rows) > 1 and _TABLE_RULE.match(rows[1])
    return "\n".join(rows[:2] if ruled else rows[:1]).strip()[:1_000]
