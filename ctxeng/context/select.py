"""Chooses which pieces of the hits fill the room.

Greedy by score: a hit that is taken puts its two neighbours into the queue at a discount, so that
they come in where they pay more than the next hit. Near-duplicates are dropped, and what does not
fit whole is cut to the run of sentences that fits best.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ctxeng.protocols import TokenCounter
from ctxeng.text.sentences import sentences
from ctxeng.text.terms import terms
from ctxeng.types import Dropped, Hit, Source, Span

NEIGHBOUR_DISCOUNT = 0.5
"""A neighbour of a hit is worth this share of it."""
RELEVANCE_FLOOR = 0.1
"""A hit below this share of the best one is noise."""
DUPLICATE_OVERLAP = 0.9
"""Jaccard overlap of the terms from which two chunks say the same."""
MIN_CUT_TOKENS = 24
"""Less room than this is left empty."""


class SourceText(Protocol):
    """Where the assembler looks around a hit."""

    def neighbours(self, document_id: str, first: int, last: int) -> list[Hit]:
        """The document's chunks at positions [first, last]."""
        ...

    def slice(self, document_id: str, span: Span) -> str:
        """That range of the document's text."""
        ...


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk, or the run of its sentences that fits, chosen for the prompt."""

    hit: Hit
    span: Span
    text: str
    score: float
    reason: str


class Selection:
    """Fills ``room`` tokens with pieces; ``dropped`` says of every other candidate why not."""

    def __init__(
        self,
        query: str,
        room: int,
        *,
        counter: TokenCounter,
        texts: SourceText,
        header: Callable[[Hit], str],
    ) -> None:
        """``header`` is what the prompt puts before a source: it costs tokens too."""
        self.dropped: list[Dropped] = []
        self._room = room
        self._counter = counter
        self._texts = texts
        self._header = header
        self._wanted = set(terms(query))
        self._taken: dict[tuple[str, int], Piece] = {}
        self._said: list[tuple[frozenset[str], str]] = []
        self._offered: set[str] = set()
        self._queue: list[tuple[float, int, Hit, str]] = []

    def fill(self, hits: Sequence[Hit]) -> list[Piece]:
        """The pieces that go into the prompt; ``hits`` come best first."""
        floor = RELEVANCE_FLOOR * max((hit.score for hit in hits), default=0.0)
        for rank, hit in enumerate(hits, start=1):
            if hit.score >= floor:
                self._offer(hit, hit.score, f"rank {rank}")
            else:
                self._offered.add(hit.id)
                self.drop(hit, hit.score, f"scores below {RELEVANCE_FLOOR:.0%} of the best")
        while self._queue:
            negative_score, _, hit, reason = heapq.heappop(self._queue)
            self._consider(hit, -negative_score, reason)
        return list(self._taken.values())

    def drop(self, hit: Hit, score: float, reason: str) -> None:
        row = Dropped(
            source=source_of(hit, hit.span),
            tokens=hit.tokens,
            score=score,
            reason=reason,
            chunk_ids=(hit.id,),
        )
        self.dropped.append(row)

    def _offer(self, hit: Hit, score: float, reason: str) -> None:
        if hit.id not in self._offered:
            self._offered.add(hit.id)
            heapq.heappush(self._queue, (-score, len(self._offered), hit, reason))

    def _consider(self, hit: Hit, score: float, reason: str) -> None:
        words = frozenset(terms(hit.text))
        twin = next((place for said, place in self._said if _overlap(words, said)), None)
        if twin is not None:
            self.drop(hit, score, f"near-duplicate of {twin}")
            return
        piece = self._fit(hit, score, reason)
        if piece is None:
            self.drop(hit, score, "over budget")
            return
        self._taken[hit.document_id, hit.position] = piece
        self._said.append((words, hit.location))
        if piece.span == hit.span and self._room >= MIN_CUT_TOKENS:
            first, last = max(0, hit.position - 1), hit.position + 1
            for near in self._texts.neighbours(hit.document_id, first, last):
                self._offer(near, score * NEIGHBOUR_DISCOUNT, f"beside {hit.location}")

    def _fit(self, hit: Hit, score: float, reason: str) -> Piece | None:
        """The chunk where it fits, the best run of its sentences where one does, else None."""
        beside = any((hit.document_id, hit.position + step) in self._taken for step in (-1, 1))
        around = 0 if beside else self._counter.count(self._header(hit))
        whole = around + (hit.tokens or self._counter.count(hit.text))
        if whole <= self._room:
            self._room -= whole
            return Piece(hit, hit.span, hit.text, score, reason)
        # A cut piece may not join its neighbour, so it pays for its own header.
        room = self._room - self._counter.count(self._header(hit))
        cut = self._best_run(hit.text, room) if room >= MIN_CUT_TOKENS else None
        if cut is None:
            return None
        text = hit.text[cut.start : cut.end]
        self._room = room - self._counter.count(text)
        span = Span(start=hit.start + cut.start, end=hit.start + cut.end)
        return Piece(hit, span, text, score, f"{reason}, the sentences that fit")

    def _best_run(self, text: str, room: int) -> Span | None:
        """The run of sentences within ``room`` tokens that has most of the query's terms."""
        spans = sentences(text)
        sizes = [self._counter.count(text[s.start : s.end]) + 1 for s in spans]
        gains = [len(self._wanted & set(terms(text[s.start : s.end]))) for s in spans]
        best: tuple[int, int, int] | None = None  # (gain, sentences, first)
        first = size = gain = 0
        for last in range(len(spans)):
            size += sizes[last]
            gain += gains[last]
            while size > room and first <= last:
                size -= sizes[first]
                gain -= gains[first]
                first += 1
            length = last - first + 1
            if length and (best is None or (gain, length) > best[:2]):
                best = (gain, length, first)
        if best is None:
            return None
        _, length, first = best
        return Span(start=spans[first].start, end=spans[first + length - 1].end)


def source_of(hit: Hit, span: Span) -> Source:
    """The place of ``span``, which begins inside the hit."""
    line = hit.line + hit.text[: span.start - hit.start].count("\n")
    return Source(
        uri=hit.uri,
        document_id=hit.document_id,
        span=span,
        line=line,
        part=hit.part,
        title=hit.title,
        heading_path=hit.heading_path,
        format=hit.format,
    )


def _overlap(words: frozenset[str], other: frozenset[str]) -> bool:
    union = len(words | other)
    return union > 0 and len(words & other) / union >= DUPLICATE_OVERLAP
