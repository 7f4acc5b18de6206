"""Where a text may be cut, so that what is kept still says what it said."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ctxeng.chunking import code
from ctxeng.context.units import units
from ctxeng.text.quotable import Quote, quotes
from ctxeng.types import Span, TextFormat

WHOLE = 1e9
"""Words; more than any definition has."""
WHITE = " \t\r\n\f\v"

_HOLDS = re.compile(
    r"class|struct|union|trait|interface|module|namespace|impl|enum|object|protocol"
)
"""Kinds of definitions that hold others; a function that is too large is left out."""
_MARKS = ("@", "#", "//", "/*", "*", "--")
"""How a line of comment or a decorator begins, in many languages."""

Fits = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Cut:
    """A stretch that is kept whole or left out; the cuts of a text tile it."""

    span: Span
    head: int | None = None
    """Index of the cut without which this one cannot be read: the header of its table, the opening
    of its class. A head is not kept alone.
    """
    is_row: bool = False
    """Of a table, where a line that says the same as another one counts too."""


def cuts(
    text: str, text_format: TextFormat, *, language: str, from_start: bool, fits: Fits
) -> list[Cut]:
    """Sentences with the heading above them, rows with the header of their table, fenced blocks;
    of code its outermost definitions, each with the comments above it. Each cut reaches to the
    next one; a text in which nothing is said is one cut.

    Args:
        language: of code, as tree-sitter names it; of one that is not known, blank lines before
            lines without indent tell.
        from_start: the text begins where its document does, so a table begins with its header.
        fits: whether there is room for a text. Of a class for which there is none the definitions
            inside are cuts, each with its opening as head.
    """
    if text_format == "code":
        found = list(_definitions(text, language, fits))
    elif text_format == "table":
        found = _rows(quotes(text, "table", from_start=from_start))
    else:
        found = list(_sentences(text, text_format))
    return _tiles(text, found)


@dataclass(frozen=True, slots=True)
class _Begin:
    """Where a cut begins, and where its head does."""

    start: int
    head: int | None = None
    is_row: bool = False


def _tiles(text: str, begins: Sequence[_Begin]) -> list[Cut]:
    """Cuts from where they begin; white space before one on its own line goes with it."""
    if not begins:
        return [Cut(Span(start=0, end=len(text)))]
    index = {begin.start: number for number, begin in enumerate(begins)}
    borders = [_line_start(text, begin.start) for begin in begins] + [len(text)]
    borders[0] = 0
    return [
        Cut(
            Span(start=start, end=end),
            None if begin.head is None else index[begin.head],
            begin.is_row,
        )
        for (start, end), begin in zip(pairwise(borders), begins, strict=True)
    ]


def _line_start(text: str, start: int) -> int:
    line = text.rfind("\n", 0, start) + 1
    return start if text[line:start].strip() else line


def _sentences(text: str, text_format: TextFormat) -> Iterator[_Begin]:
    """The units of a prompt, but for the rows of tables, which stand apart."""
    rows = [quote for quote in quotes(text, text_format) if quote.kind == "row"]
    at = 0
    for unit in units(text, text_format):
        while at < len(rows) and rows[at].span.start < unit.start:
            at += 1
        first = at
        while at < len(rows) and rows[at].span.start < unit.end:
            at += 1
        mine = rows[first:at]
        if len(mine) < 2:
            yield _Begin(unit.start, is_row=bool(mine))
            continue
        head = unit.start if unit.start < mine[0].span.start else None
        if head is not None:
            yield _Begin(head, is_row=True)
        yield from (_Begin(row.span.start, head, is_row=True) for row in mine)


def _rows(found: Sequence[Quote]) -> list[_Begin]:
    """Lines; the name of a sheet and the header below it are one head."""
    begins: list[_Begin] = []
    head: int | None = None
    above: Quote | None = None
    for quote in found:
        if not quote.is_heading:
            begins.append(_Begin(quote.span.start, head, is_row=True))
        elif above is None or not above.is_heading:
            head = quote.span.start
            begins.append(_Begin(head, is_row=True))
        above = quote
    return begins


def _definitions(text: str, language: str, fits: Fits) -> Iterator[_Begin]:
    whole = Span(start=0, end=len(text))
    found = code.cut(text, whole, language, high=WHOLE)
    if not found.definitions:
        yield from map(_Begin, _unindented(text))
        return
    starts = [one.span.start for one in found.definitions]
    for atom in found.atoms:
        span = atom.span
        yield _Begin(span.start)
        first, last = bisect_left(starts, span.start), bisect_left(starts, span.end)
        inside = found.definitions[first:last]
        if inside and _HOLDS.search(inside[0].kind) and not fits(text[span.start : span.end]):
            yield from (_Begin(start, span.start) for start in _inner(text, inside))


def _inner(text: str, inside: Sequence[code.Definition]) -> Iterator[int]:
    """Where the outermost definitions inside the first one begin, with the comments and decorators
    above them.
    """
    outer, *others = [one.span for one in inside]
    reached = outer.start
    for span in others:
        if reached <= span.start and span.end <= outer.end:
            is_first = reached == outer.start
            yield _with_marks(text, span.start) if is_first else _after(text, reached, WHITE)
            reached = _after(text, span.end, " \t;,")


def _with_marks(text: str, start: int) -> int:
    """Where the lines begin that belong to a definition: comments and decorators above it."""
    start = _line_start(text, start)
    while start:
        above = text.rfind("\n", 0, start - 1) + 1
        if not text[above:start].lstrip().startswith(_MARKS):
            break
        start = above
    return start


def _after(text: str, start: int, skipped: str) -> int:
    """Where the first character stands that is none of those skipped."""
    while start < len(text) and text[start] in skipped:
        start += 1
    return start


def _unindented(text: str) -> Iterator[int]:
    """The first line, and those without indent after a blank one."""
    first, blank, at = True, True, 0
    for line in text.split("\n"):
        said = line.strip()
        if said and (first or (blank and not line[0].isspace() and said[0] not in "})]")):
            yield at + line.index(said[0])
            first = False
        blank = not said
        at += len(line) + 1
