"""Cuts tables by rows; the header goes into the prefix of every chunk but the first."""

from __future__ import annotations

from ctxeng.chunking.pack import Atom, words
from ctxeng.chunking.prose import split_long
from ctxeng.types import Span

MOST_ABOVE = 3
"""Lines among which the names of the columns are looked for."""


def rows(text: str, span: Span, *, high: float) -> tuple[list[Atom], str]:
    """One atom per row (line), and the header: the first line, after a ``# title``, or all down to
    the names of the columns, where titles of one cell stand above them.
    """
    atoms: list[Atom] = []
    top: list[str] = []
    start = span.start
    while start < span.end:
        end = text.find("\n", start, span.end)
        end = span.end if end < 0 else end
        for piece in split_long(text, start, end, high):
            atoms.append(Atom(piece, words(text[piece.start : piece.end])))
        line = text[start : min(end, start + 1_000)].strip()
        if line and len(top) < MOST_ABOVE and not line.startswith("# "):
            top.append(line)
        start = end + 1
    columns = next((at for at, line in enumerate(top) if " | " in line), 0)
    return atoms, "\n".join(top[: columns + 1])
