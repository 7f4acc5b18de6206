"""Chooses what of the hits fills the room.

Greedy, unit by unit (see ``units``): what a unit is worth is the score of its chunk, half of it for
the share of the question's terms that stand in the unit or beside it. So the best hit's idle
sentences wait until the telling ones of the next hits are in. A chunk that is taken up brings its
neighbours into the queue at a discount; near-duplicates are dropped.

Source: sentence-level extraction before generation, as in RECOMP (Xu et al. 2023,
arXiv:2310.04408), with terms instead of a trained model. docs/decisions/passages.md has figures.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from ctxeng.context.render import columns_of
from ctxeng.context.units import fragments, units
from ctxeng.protocols import TokenCounter
from ctxeng.text.details import figures
from ctxeng.text.negation import negations
from ctxeng.text.overlap import Idf, question_weights, recall
from ctxeng.text.terms import terms
from ctxeng.types import Dropped, Hit, Source, Span

NEIGHBOUR_DISCOUNT = 0.5
"""A neighbour of a hit is worth this share of it."""
BESIDE = 0.5
"""A term in the unit before or after counts for this share."""
RELEVANCE_FLOOR = 0.1
"""A hit below this share of the best one is noise."""
DUPLICATE_OVERLAP = 0.9
"""Jaccard overlap of the terms from which two chunks say the same."""
DUPLICATE_TERMS = 5
"""A unit of at least as many distinct terms is not said twice."""
LEAST_ROOM = 12
"""Tokens; less room than this is left empty."""


_Said = tuple[frozenset[str], frozenset[str]]
"""Terms of a text, and its figures and negations."""


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
    """A chunk, or a run of its units, chosen for the prompt."""

    hit: Hit
    span: Span
    text: str
    score: float
    worth: float
    reason: str


@dataclass(slots=True)
class _Candidate:
    """A chunk, and which of its units are in. Cut only when its turn comes."""

    hit: Hit
    score: float
    reason: str
    units: list[Span] = field(default_factory=list)
    words: list[frozenset[str]] = field(default_factory=list)
    says: _Said = (frozenset(), frozenset())
    worth: list[float] = field(default_factory=list)
    chosen: set[int] = field(default_factory=set)
    refused: bool = False
    """Nothing of it may come in."""
    why_out: str = "over budget"

    def text(self, first: int, last: int) -> str:
        """Units first to last with what stands between them."""
        return self.hit.text[self.units[first].start : self.units[last].end]

    def runs(self) -> Iterator[tuple[int, int]]:
        """(first, last) of each run of neighbouring chosen units."""
        chosen = sorted(self.chosen)
        first = 0
        for at in range(1, len(chosen) + 1):
            if at == len(chosen) or chosen[at] > chosen[at - 1] + 1:
                yield chosen[first], chosen[at - 1]
                first = at


class Selection:
    """Fills ``room`` tokens with pieces; ``dropped`` says of every other candidate why not."""

    def __init__(
        self,
        query: str,
        room: int,
        *,
        counter: TokenCounter,
        texts: SourceText,
        idf: Idf,
        header: Callable[[Hit], str],
    ) -> None:
        """``header`` is what the prompt puts before a source: it costs tokens too."""
        self.dropped: list[Dropped] = []
        self._room = room
        self._counter = counter
        self._texts = texts
        self._header = header
        self._wanted = question_weights(query, idf)
        self._candidates: dict[tuple[str, int], _Candidate] = {}
        self._said: list[tuple[_Said, str]] = []
        self._said_units: set[_Said] = set()
        self._offered: set[str] = set()
        self._queue: list[tuple[float, int, int, _Candidate]] = []

    def fill(self, hits: Sequence[Hit]) -> list[Piece]:
        """The pieces that go into the prompt; ``hits`` come best first."""
        best = max((hit.score for hit in hits), default=0.0)
        for rank, hit in enumerate(hits, start=1):
            if best <= 0 or hit.score >= RELEVANCE_FLOOR * best:
                self._offer(hit, hit.score, f"rank {rank}")
            else:
                self._offered.add(hit.id)
                self.drop(hit, hit.score, f"scores below {RELEVANCE_FLOOR:.0%} of the best")
        while self._queue and self._room >= LEAST_ROOM:
            _, order, index, candidate = heapq.heappop(self._queue)
            if index < 0:
                self._open(candidate, order)
            else:
                self._consider(candidate, index)
        return list(self._pieces())

    def drop(self, hit: Hit, score: float, reason: str) -> None:
        row = Dropped(
            source=source_of(hit, hit.span),
            tokens=hit.tokens,
            score=score,
            reason=reason,
            chunk_ids=(hit.id,),
            trust=hit.trust,
        )
        self.dropped.append(row)

    def _offer(self, hit: Hit, score: float, reason: str) -> None:
        """Queue a chunk at the most that one of its units can be worth."""
        if hit.id not in self._offered:
            self._offered.add(hit.id)
            candidate = _Candidate(hit, score, reason)
            self._candidates[hit.document_id, hit.position] = candidate
            most = max(score, _worth(score, 1 + BESIDE))
            heapq.heappush(self._queue, (-most, len(self._offered), -1, candidate))

    def _open(self, candidate: _Candidate, order: int) -> None:
        """Cut a chunk into units and queue each at its worth."""
        hit = candidate.hit
        candidate.units = list(self._units_that_fit(hit))
        texts = [hit.text[unit.start : unit.end] for unit in candidate.units]
        candidate.words = [frozenset(terms(text)) for text in texts]
        candidate.says = frozenset[str]().union(*candidate.words), _telling(hit.text)
        shares = [0.0, *(recall(self._wanted, words) for words in candidate.words), 0.0]
        for index in range(len(texts)):
            beside = max(shares[index], shares[index + 2])
            worth = _worth(candidate.score, shares[index + 1] + BESIDE * beside)
            candidate.worth.append(worth)
            heapq.heappush(self._queue, (-worth, order, index, candidate))

    def _units_that_fit(self, hit: Hit) -> Iterator[Span]:
        """The chunk's units, and of one that is larger than the room its smallest pieces."""
        small: list[Span] | None = None
        room = self._room - self._counter.count(self._header(hit))
        for unit in units(hit.text, hit.format):
            # Few tokenizers need more than three tokens a character: the rest need not be counted.
            if 3 * len(unit) <= room or self._counts(hit, unit) <= room:
                yield unit
                continue
            small = fragments(hit.text, hit.format) if small is None else small
            yield from (s for s in small if unit.start <= s.start and s.end <= unit.end)

    def _counts(self, hit: Hit, span: Span) -> int:
        return self._counter.count(hit.text[span.start : span.end])

    def _consider(self, candidate: _Candidate, index: int) -> None:
        if candidate.refused:
            return
        hit, words = candidate.hit, candidate.words[index]
        unit = candidate.units[index]
        own = words, _telling(hit.text[unit.start : unit.end])
        whole = candidate.says
        if not candidate.chosen:
            twin = next((place for said, place in self._said if _says_the_same(whole, said)), "")
            if twin:
                candidate.refused, candidate.why_out = True, f"near-duplicate of {twin}"
                return
        if len(words) >= DUPLICATE_TERMS and own in self._said_units:
            candidate.why_out = "says what other sources say"
            return
        cost = self._cost(candidate, index)
        if cost > self._room:
            return
        self._room -= cost
        self._said_units.add(own)
        if not candidate.chosen:
            self._said.append((whole, hit.location))
            first, last = max(0, hit.position - 1), hit.position + 1
            for near in self._texts.neighbours(hit.document_id, first, last):
                score = candidate.score * NEIGHBOUR_DISCOUNT
                self._offer(near, score, f"beside {hit.location}")
        candidate.chosen.add(index)

    def _cost(self, candidate: _Candidate, index: int) -> int:
        """Tokens of a unit with the white space after it, and of a header where it stands alone.
        What joins two runs saves one.
        """
        hit, spans = candidate.hit, candidate.units
        start = spans[index].start if index else 0
        end = spans[index + 1].start if index + 1 < len(spans) else len(hit.text)
        if len(hit.text[start:end].split()) > self._room:  # a word is a token or more
            return self._room + 1
        before = index - 1 in candidate.chosen or (index == 0 and self._touches(hit, -1))
        last = index == len(spans) - 1
        after = index + 1 in candidate.chosen or (last and self._touches(hit, +1))
        size = self._counts(hit, Span(start=start, end=end))
        return size + (1 - before - after) * self._counter.count(self._header(hit))

    def _touches(self, hit: Hit, step: int) -> bool:
        """Whether the unit of the chunk before or after that is next to this one is in."""
        near = self._candidates.get((hit.document_id, hit.position + step))
        if near is None or near.hit.part != hit.part:
            return False
        return (len(near.units) - 1 if step < 0 else 0) in near.chosen

    def _pieces(self) -> Iterator[Piece]:
        for candidate in self._candidates.values():
            if not candidate.chosen:
                self.drop(candidate.hit, candidate.score, candidate.why_out)
                continue
            self._close_gaps(candidate)
            count = f", {len(candidate.chosen)} of {len(candidate.units)} sentences"
            whole = len(candidate.chosen) == len(candidate.units)
            for first, last in candidate.runs():
                yield _piece(candidate, first, last, "" if whole else count)

    def _close_gaps(self, candidate: _Candidate) -> None:
        """Take in what stands between two runs where it costs no more than another header."""
        header = self._counter.count(self._header(candidate.hit))
        runs = list(candidate.runs())
        for (_, last), (first, _) in pairwise(runs):
            if self._counter.count(candidate.text(last + 1, first - 1)) < header:
                candidate.chosen.update(range(last + 1, first))


def _piece(candidate: _Candidate, first: int, last: int, note: str) -> Piece:
    """The outermost units reach to the ends of their chunk."""
    hit, spans = candidate.hit, candidate.units
    start = spans[first].start if first else 0
    end = spans[last].end if last + 1 < len(spans) else len(hit.text)
    return Piece(
        hit=hit,
        span=Span(start=hit.start + start, end=hit.start + end),
        text=hit.text[start:end],
        score=candidate.score,
        worth=max(candidate.worth[first : last + 1]),
        reason=candidate.reason + note,
    )


def _worth(score: float, share: float) -> float:
    return score * (1 + share) / 2


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
        columns=_columns_above(hit, span.start - hit.start),
    )


def _columns_above(hit: Hit, at: int) -> str:
    """Of the table that a chunk goes on with; of the one that it begins, where ``at`` is below."""
    begins = hit.format == "table" and (hit.start == 0 or hit.text.startswith("# "))
    above = hit.text[:at].split("\n") if begins else ()
    return columns_of(hit) or next((row for row in above if " | " in row), "")


def _telling(text: str) -> frozenset[str]:
    """Figures and negations: texts that differ in one of them never say the same."""
    return figures(text) | negations(text)


def _says_the_same(one: _Said, other: _Said) -> bool:
    (words, telling), (others, of_the_other) = one, other
    union = len(words | others)
    alike = union > 0 and len(words & others) / union >= DUPLICATE_OVERLAP
    return alike and telling == of_the_other
