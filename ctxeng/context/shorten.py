"""Shorter forms of candidates that do not fit whole, for the room that is left of a section."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ctxeng.context.intake import Entry
from ctxeng.context.pieces import stretch_left_out, whole_left_out
from ctxeng.protocols import Compressor
from ctxeng.types import Dropped, Segment, Span

AROUND = 0.25
"""Share of the room that may go to what stands around the candidates that are put into it: among
more of them each would be left with a sentence, and have a line above it all the same."""
LEAST = 12
"""Tokens; less room than this is left empty."""
LONGEST = 200_000
"""Characters that are read for what is kept of them. ``Section.each`` cuts a longer text first."""

Whole = tuple[Entry, Segment]
"""A candidate, and what it is as a segment."""


def offered(
    entries: Sequence[Entry], room: int, around: Callable[[Entry], int]
) -> tuple[list[Entry], int]:
    """The best of them, in their order: those that are to share the room; and the tokens that their
    texts may take together.

    Args:
        around: tokens of what stands around one.
    """
    chosen: list[Entry] = []
    left, longest = room, LONGEST
    for entry in sorted(entries, key=lambda one: one.rank):
        spent = room - left + around(entry)
        if room - spent < LEAST or (chosen and spent > AROUND * room):
            break
        longest -= len(entry.text)
        if longest >= 0:
            chosen.append(entry)
            left = room - spent
    return sorted(chosen, key=lambda one: one.number), left


def shortened(
    compressor: Compressor, query: str, wholes: Sequence[Whole], tokens: int
) -> list[Entry]:
    """The candidates in at most ``tokens`` tokens; of one that is cut, ``runs`` is what is kept."""
    # A compressor leaves a segment its number: by it what is kept is known again.
    numbered = [Segment(**{**dict(one), "number": at}) for at, (_, one) in enumerate(wholes)]
    kept: dict[int, list[Segment]] = {}
    for segment in compressor.compress(query, numbered, tokens):
        if segment.number is not None and segment.text.strip():
            kept.setdefault(segment.number, []).append(segment)
    made: list[Entry] = []
    for at, runs in sorted(kept.items()):
        entry, whole = wholes[at]
        is_whole = len(runs) == 1 and runs[0].text == whole.text
        made.append(entry if is_whole else replace(entry, runs=runs))
    return made


def left_out(entry: Entry, whole: Segment, count: Callable[[str], int]) -> Iterator[Dropped]:
    """What a shorter form lacks: the stretches that were cut out; all of a text that was put in
    other words.
    """
    by = entry.runs[0].made_by
    at = 0
    stretches: list[Span] = []
    for run in entry.runs:
        start = whole.text.find(run.text, at)
        if start < 0:
            tokens = sum(one.tokens for one in entry.runs)
            why = f"{run.transformation} by {by} in {tokens} tokens"
            yield whole_left_out(whole, whole.tokens, why)
            return
        stretches.append(Span(start=at, end=start))
        at = start + len(run.text)
    for stretch in [*stretches, Span(start=at, end=len(whole.text))]:
        text = whole.text[stretch.start : stretch.end]
        if text.strip():
            yield stretch_left_out(whole, stretch, count(text), f"cut out by {by}")
