"""Packs atoms (sentences, rows, definitions) into chunks of like size."""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import regex

from ctxeng.types import Span

_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]")
_UNSPACED_LONG = regex.compile(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")


REACH = 1.5
"""How far a border must outrank all others to be fixed, in chunks of the largest size."""
Rank = tuple[int, int]
"""How well a chunk may begin at an atom: its strength, and among equals by its hash."""
LOWEST: Rank = (-1, 0)


@dataclass(frozen=True, slots=True)
class Atom:
    """What is never cut."""

    span: Span
    size: float
    """In words, see ``words``."""
    strength: int = 1
    """How well a chunk may begin here: 2 paragraph or definition, 1 sentence or row, 0 inside."""


def words(text: str) -> float:
    """Length in words; two Chinese or Japanese characters, or five Thai ones, count as one.

    A word has at most ten characters here, so that text without spaces has a length too.
    """
    spaced = max(len(text.split()), len(text) / 10)
    if text.isascii():
        return spaced
    unspaced = len(_UNSPACED.findall(text)) / 2 + len(_UNSPACED_LONG.findall(text)) / 5
    return max(spaced, unspaced)


def pack(text: str, atoms: Sequence[Atom], *, low: float, high: float) -> list[Span]:
    """Runs of atoms of ``low`` to ``high`` words, cut where it is best to cut.

    Borders depend on the content around them and not on how far the beginning is, so an edit
    changes only the chunks near it. A run may be smaller where a section is, or where two would be
    too much for one and too little for two, and larger only where one atom is.
    """
    starts = [atom.span.start for atom in atoms]
    gaps = [0, *(start - atom.span.end for start, atom in zip(starts[1:], atoms, strict=False))]
    # White space counts where there is much of it: a chunk has a length in characters too.
    sizes = (atom.size + gap // 100 for atom, gap in zip(atoms, gaps, strict=False))
    sums = [0.0, *accumulate(sizes)]
    ranks = [_rank(text, atom) for atom in atoms]
    fixed = [i for i in _peaks(ranks, sums, REACH * high) if sums[i] >= low <= sums[-1] - sums[i]]
    spans: list[Span] = []
    first = 0
    for last in (*fixed, len(atoms)):
        while first < last:
            end = _border(ranks, sums, range(first, last), low, high)
            spans.append(Span(start=atoms[first].span.start, end=atoms[end - 1].span.end))
            first = end
    return spans


def _rank(text: str, atom: Atom) -> Rank:
    head = text[atom.span.start : min(atom.span.end, atom.span.start + 200)]
    return atom.strength, -zlib.crc32(head.encode("utf-8", "replace"))


def _peaks(ranks: Sequence[Rank], sums: Sequence[float], reach: float) -> list[int]:
    """Atoms that outrank all others within ``reach`` words on both sides. Chunks begin there
    whatever lies further off: here the borders of an edited text meet those of the old one again.
    """
    before = _highest_before(ranks, sums, reach)
    backwards = [-start for start in reversed(sums[:-1])]
    behind = _highest_before(ranks[::-1], backwards, reach)[::-1]
    return [i for i, rank in enumerate(ranks) if before[i] < rank >= behind[i]]


def _highest_before(ranks: Sequence[Rank], starts: Sequence[float], reach: float) -> list[Rank]:
    """For each atom the highest rank among those that start at most ``reach`` words earlier."""
    found: list[Rank] = []
    falling: deque[int] = deque()  # those that no later one outranks
    for i, rank in enumerate(ranks):
        while falling and starts[falling[0]] < starts[i] - reach:
            falling.popleft()
        found.append(ranks[falling[0]] if falling else LOWEST)
        while falling and ranks[falling[-1]] <= rank:
            falling.pop()
        falling.append(i)
    return found


def _border(
    ranks: Sequence[Rank], sums: Sequence[float], atoms: range, low: float, high: float
) -> int:
    """Where the chunk ends that begins with the first of the atoms: at the highest rank within the
    window, of those that leave a rest which can be cut as well.
    """
    first, last = atoms.start, atoms.stop
    rest = sums[last] - sums[first]
    if rest <= high:
        return last
    least, most = (low, high) if rest >= 2 * low else (rest / 3, rest * 2 / 3)
    inside = []
    end = first + 1
    while end < last and sums[end] - sums[first] <= most:
        if sums[end] - sums[first] >= least:
            inside.append(end)
        end += 1
    if not inside:
        return max(first + 1, end - 1)
    even = [i for i in inside if math.ceil((rest := sums[last] - sums[i]) / high) * low <= rest]
    return max(even or inside, key=lambda i: ranks[i])
