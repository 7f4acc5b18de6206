"""Packs atoms (sentences, rows, definitions) into chunks of like size."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import regex

from ctxeng.types import Span

_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]")
_UNSPACED_LONG = regex.compile(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")


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

    Within the window the strongest border wins, and among equals the one whose next atom has the
    smallest hash. So borders depend on the content around them and not on how far the beginning
    is: after an edit the same borders are found again within a chunk or two. A run may be smaller
    where a section is, and larger only where one atom is.
    """
    sums = [0.0, *accumulate(atom.size for atom in atoms)]
    spans: list[Span] = []
    first = 0
    while first < len(atoms):
        end = _border(text, atoms, sums, first, (low, high))
        spans.append(Span(start=atoms[first].span.start, end=atoms[end - 1].span.end))
        first = end
    return spans


def _border(
    text: str,
    atoms: Sequence[Atom],
    sums: Sequence[float],
    first: int,
    window: tuple[float, float],
) -> int:
    low, high = window
    rest = sums[-1] - sums[first]
    if rest <= high:
        return len(atoms)
    if rest < low + high:  # two chunks are left: leave no crumb behind
        low = max(rest - high, rest / 3)
    inside = []
    end = first + 1
    while end < len(atoms) and sums[end] - sums[first] <= high:
        if sums[end] - sums[first] >= low:
            inside.append(end)
        end += 1
    if not inside:
        return max(first + 1, end - 1)
    return max(inside, key=lambda i: (atoms[i].strength, -_hash(text, atoms[i].span)))


def _hash(text: str, span: Span) -> int:
    return zlib.crc32(text[span.start : min(span.end, span.start + 200)].encode("utf-8", "replace"))
