"""The units that an answer may quote: sentences of prose, rows of tables, blocks of code."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from ctxeng.text.sentences import sentences
from ctxeng.types import Span, TextFormat

MAX_CODE_LINES = 8
_MARKS = re.compile(r"^(?:\s*(?:#{1,6}|[-*+>•]|\d{1,3}[.)])\s+)+")
_HEADING = re.compile(r"^\s*#{1,6}\s")


@dataclass(frozen=True, slots=True)
class Quote:
    span: Span
    """In the text that was cut."""
    shown: str
    """As an answer shows it: on one line and without list or heading marks; code as a block."""
    is_heading: bool = False


def quotes(text: str, text_format: TextFormat) -> list[Quote]:
    """Cut a text into what can be quoted, in order."""
    if text_format == "code":
        return list(_blocks(text))
    return list(_rows(text) if text_format == "table" else _sentences(text))


def _sentences(text: str) -> Iterator[Quote]:
    for span in sentences(text):
        raw = text[span.start : span.end]
        shown = " ".join(_MARKS.sub("", raw).split())
        if any(c.isalnum() for c in shown):
            yield Quote(span, shown, is_heading=bool(_HEADING.match(raw)))


def _rows(text: str) -> Iterator[Quote]:
    for match in re.finditer(r"[^\n]*\S[^\n]*", text):
        yield Quote(Span(start=match.start(), end=match.end()), " ".join(match.group().split()))


def _blocks(text: str) -> Iterator[Quote]:
    """Runs of lines without a blank one, at most ``MAX_CODE_LINES`` long."""
    pattern = rf"(?:[^\n]*\S[^\n]*(?:\n|\Z)){{1,{MAX_CODE_LINES}}}"
    for match in re.finditer(pattern, text):
        block = textwrap.dedent(match.group()).rstrip()
        span = Span(start=match.start(), end=match.start() + len(match.group().rstrip()))
        yield Quote(span, f"\n```\n{block}\n```\n" if "\n" in block else f"`{block.strip()}`")
