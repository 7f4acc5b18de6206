"""What a prompt never tears apart."""

from __future__ import annotations

from ctxeng.text.quotable import Quote, quotes
from ctxeng.types import Span, TextFormat


def units(text: str, text_format: TextFormat) -> list[Span]:
    """The text in pieces that can stand alone; they ascend and leave out only what says nothing.

    A sentence with the headings, or the line that ends in a colon, above it; the rows of one table;
    a fenced block. Code, and a text that is a table, is one piece.
    """
    if text_format in ("code", "table"):
        return [Span(start=0, end=len(text))] if text.strip() else []
    found: list[Span] = []
    previous: Quote | None = None
    for quote in quotes(text, text_format):
        whole = quote.whole or quote.span
        if previous is not None and _belongs(previous, quote):
            found[-1] = Span(start=found[-1].start, end=max(found[-1].end, whole.end))
        else:
            found.append(whole)
        previous = quote
    return found


def fragments(text: str, text_format: TextFormat) -> list[Span]:
    """The text in the smallest pieces, for where not even one unit fits."""
    return [quote.span for quote in quotes(text, text_format)]


def _belongs(above: Quote, below: Quote) -> bool:
    if above.kind == "heading" or above.shown.endswith((":", "：")):
        return True
    if above.kind == "code" and below.kind == "code":
        return above.whole == below.whole
    return above.kind == below.kind == "row"
