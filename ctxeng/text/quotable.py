"""The units that an answer may quote: sentences of prose, rows of tables, blocks of code."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from ctxeng.text.sentences import sentences
from ctxeng.types import Segment, Span, TextFormat

Kind = Literal["sentence", "item", "heading", "row", "code"]

MAX_CODE_LINES = 8
CODE_ENDS = ("\n```\n", "\n~~~~\n")
"""How the blocks end in which code is shown."""
MAX_TITLE = 80
"""Characters; a longer line without a stop is no heading of plain text."""
MOST_ABOVE = 3
"""Lines among which the names of the columns are looked for."""
FULL_LINE = 0.8
"""Of the widest line: a line that would reach less far with the next word was broken on purpose."""

_MARKS = re.compile(r"^(?:\s*(?:#{1,6}|[-*+>•]|\d{1,3}[.)])\s+)+")
_HEADING = re.compile(r"\s*#{1,6}\s")
_LINE = re.compile(r"[^\n]*\S[^\n]*")
_ROW = re.compile(r"\s*\|[^\n]*\|\s*$")
_RULE = re.compile(r"[\s|:-]*-[\s|:-]*$")
_FENCE = re.compile(
    r"^ {0,3}(`{3,}+|~{3,}+)[^\n]*+\n(?P<code>.*?)(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.M | re.S
)
_FIELD = re.compile(r"\s*\w[\w .-]{0,60}: \S")
_LITERAL = re.compile(
    r"^(?P<in>[ \t]*+)(?:(?!\.\. )[^\n]*::|\.\. (?:code(?:-block)?|sourcecode)::[^\n]*)[ \t]*\n"
    r"(?:[ \t]+:[^\n]*\n)*+(?:[ \t]*\n)++"
    r"(?P<code>(?P=in)[ \t]+\S[^\n]*(?:\n|\Z)(?:(?P=in)[ \t]+\S[^\n]*(?:\n|\Z)|[ \t]*\n)*+)",
    re.M,
)
"""Of reST: what is indented below a line that ends in two colons."""
_DIRECTIVE = re.compile(r"\s*\.\. (?:_[^\n]*:|[\w:-]+::[ ]*\S*(?:\n[ \t]+:[^\n]*)*)\s*$")
_UNDERLINE = re.compile(r"\n([=~^\"'`*+#.-])\1{2,}+[ \t]*(?:\n|\Z)")
_COLUMNS = re.compile(r"\S {2,}\S|^[=~+-]{4,}$")
_STOP = re.compile(r"[.!?…。！？।؟][\"'”’»)\]*_]*$")
_QUESTION = re.compile(r"[?？؟][\"'”’»)\]*_]*$")


@dataclass(frozen=True, slots=True)
class Quote:
    span: Span
    """In the text that was cut."""
    shown: str
    """As an answer shows it: on one line and without list or heading marks; code as a block, the
    cells of a row with the names of their columns.
    """
    kind: Kind = "sentence"
    """A heading names what follows and answers nothing; so does a question."""
    whole: Span | None = None
    """The fenced block that code stands in."""

    @property
    def is_heading(self) -> bool:
        return self.kind == "heading"


def quotes(
    text: str, text_format: TextFormat, *, from_start: bool = False, columns: str = ""
) -> list[Quote]:
    """Cut a text into what can be quoted, in order; what has no letter or digit is left out.

    Args:
        from_start: the text begins where its document does, so a table begins with its header.
        columns: names of the columns, ``a | b``, where the text begins within a table.
    """
    if text_format == "code":
        found = _blocks(text, 0)
    elif text_format == "table":
        found = _rows(text, from_start, _row(columns))
    else:
        blocks = _LITERAL if text_format == "plain" else _FENCE
        found = _prose(text, blocks, _row(columns))
    told = [quote for quote in found if any(map(str.isalnum, quote.shown))]
    return _with_titles(text, told) if text_format == "plain" else told


def segment_quotes(segment: Segment) -> list[Quote]:
    """What can be quoted of a source in a prompt; spans count from the segment's text."""
    assert segment.source is not None
    source = segment.source
    return quotes(
        segment.text,
        source.format,
        from_start=source.span.start == 0,
        columns=source.columns,
    )


def _prose(text: str, blocks: re.Pattern[str], header: str) -> Iterator[Quote]:
    """Sentences and rows, and the ``blocks`` of code between them."""
    width = max((len(line) for line in text.split("\n")), default=0)
    start = 0
    for block in blocks.finditer(text):
        first = block.start("code") if blocks is _LITERAL else block.start()
        yield from _with_headers(list(_sentences(text, start, first, width)), header)
        header = ""
        whole = Span(start=first, end=first + len(text[first : block.end()].rstrip()))
        for code in _blocks(block["code"], block.start("code")):
            yield replace(code, whole=whole)
        start = block.end()
    yield from _with_headers(list(_sentences(text, start, len(text), width)), header)


def _sentences(text: str, start: int, end: int, width: int) -> Iterator[Quote]:
    for sentence in sentences(text[start:end]):
        for first, last in _lines_meant(text, start + sentence.start, start + sentence.end, width):
            raw = text[first:last]
            span = Span(start=first, end=last)
            if _ROW.match(raw):
                yield Quote(span, _row(raw), "row")
            else:
                shown = " ".join(_record(_MARKS.sub("", raw)).split())
                yield Quote(span, shown, _kind(raw, shown))


def _record(raw: str) -> str:
    """Lines that each name their value (``tier: 1``) stand apart, as the cells of a row do."""
    lines = raw.split("\n")
    return " | ".join(lines) if all(map(_FIELD.match, lines)) else raw


def _kind(raw: str, shown: str) -> Kind:
    if _HEADING.match(raw) or _QUESTION.search(shown) or _DIRECTIVE.match(raw):
        return "heading"
    return "item" if _MARKS.match(raw) else "sentence"


def _lines_meant(text: str, start: int, end: int, width: int) -> Iterator[tuple[int, int]]:
    """[start, end) cut at the line breaks that are no wrapping.

    Wrapped text fills its lines: where the next word had room, the line was ended on purpose, as
    after ``From: Ines`` or a title. A line that goes on in lower case is never cut off, but where
    columns are aligned by spaces each line is a row.
    """
    for line, below in pairwise(list(_LINE.finditer(text, start, end))):
        before, word = line[0].rstrip(), below[0].split(None, 1)[0]
        reach = line.start() + len(before) - text.rfind("\n", 0, line.start()) - 1
        has_room = reach + 1 + len(word) < FULL_LINE * width
        unfinished = word.lstrip("`*_\"'‘“([:")[:1].islower() or before[-1] in ",;-–—("
        if (has_room and not unfinished) or _COLUMNS.search(before) or _COLUMNS.search(below[0]):
            yield start, line.start() + len(before)
            start = below.start() + below[0].index(word)
    yield start, end


def _with_titles(text: str, found: Sequence[Quote]) -> list[Quote]:
    """In plain text an underlined line is a heading, and so is a short line without a stop before a
    sentence that has one.
    """
    titled = list(found)
    for at, (quote, below) in enumerate(pairwise(found)):
        alone = "\n" in text[quote.span.end : below.span.start]
        if (quote.kind == "sentence" and _UNDERLINE.match(text, quote.span.end)) or (
            quote.kind == below.kind == "sentence"
            and alone
            and len(quote.shown) <= min(MAX_TITLE, len(below.shown))
            and ":" not in quote.shown
            and not _STOP.search(quote.shown)
            and not _COLUMNS.search(text[quote.span.start : quote.span.end])
            and _STOP.search(below.shown)
        ):
            titled[at] = replace(quote, kind="heading")
    return titled


def _with_headers(found: Sequence[Quote], header: str) -> Iterator[Quote]:
    """Give the rows below a rule (``|---|``) the row above it as their header.

    Args:
        header: of the rows that the text begins with.
    """
    for at, quote in enumerate(found):
        if quote.kind != "row":
            header = ""
            yield quote
        elif at + 1 < len(found) and _RULE.match(found[at + 1].shown):
            header = quote.shown
            yield replace(quote, kind="heading")
        else:
            yield _labelled(quote, header)


def _rows(text: str, from_start: bool, header: str) -> Iterator[Quote]:
    """Lines; the header is the first after the name of the sheet, or the first of the document.

    Lines of one cell close above one that has more are titles of the table, not its header.
    """
    expected = from_start and not header
    lines = list(_LINE.finditer(text))
    for at, line in enumerate(lines):
        raw = line[0].strip()
        start = line.start() + line[0].index(raw)
        quote = Quote(Span(start=start, end=start + len(raw)), _row(raw), "row")
        if _HEADING.match(line[0]):
            header, expected = "", True
            yield replace(quote, kind="heading")
        elif expected:
            below = lines[at + 1 : at + MOST_ABOVE]
            expected = " | " not in raw and any(" | " in one[0] for one in below)
            header = "" if expected else quote.shown
            yield replace(quote, kind="heading")
        else:
            yield _labelled(quote, header)


def _row(raw: str) -> str:
    return " ".join(_MARKS.sub("", raw).strip(" \t\n|").split())


def _labelled(quote: Quote, header: str) -> Quote:
    """The row with its cells named; it may lack the last ones, where they are empty."""
    names = [name.strip() for name in header.split(" | ")]
    cells = [cell.strip(" |") for cell in quote.shown.split(" | ")]
    if len(names) < 2 or not 1 < len(cells) <= len(names) or _RULE.match(quote.shown):
        return quote
    pairs = [
        f"{name}: {cell}" if name else cell
        for name, cell in zip(names, cells, strict=False)
        if cell
    ]
    return replace(quote, shown=" | ".join(pairs))


def _blocks(text: str, offset: int) -> Iterator[Quote]:
    """Runs of lines without a blank one, at most ``MAX_CODE_LINES`` long."""
    pattern = rf"(?:[^\n]*\S[^\n]*(?:\n|\Z)){{1,{MAX_CODE_LINES}}}"
    for match in re.finditer(pattern, text):
        block = textwrap.dedent(match.group()).rstrip()
        start = offset + match.start()
        span = Span(start=start, end=start + len(match.group().rstrip()))
        fence = "```" if "```" not in block else "~~~~"
        inline = f"`{block.strip()}`"
        simple = "\n" not in block and "`" not in block and len(sentences(inline)) == 1
        yield Quote(span, inline if simple else f"\n{fence}\n{block}\n{fence}\n", "code")
