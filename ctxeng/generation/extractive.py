"""Answers by quoting: picks the sentences of the sources that answer, and cites each."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from ctxeng.protocols import Delta
from ctxeng.text.overlap import Idf, recall, term_weights
from ctxeng.text.quotable import Quote, quotes
from ctxeng.text.terms import terms
from ctxeng.types import Message, Segment, Usage

NOT_FOUND = "Not found in the sources."

MAX_SENTENCES = 3
CONTEXT_SHARE = 0.6
"""What a query term is worth that stands in the headings or just before, not in the sentence."""
CONTEXT_SENTENCES = 2
WORTH_ADDING = 0.15
"""Share of the query's weight that a further sentence must bring."""
NUMBER_BONUS = 0.1
_ASKS_FOR_NUMBER = re.compile(
    r"\b(how (many|much|long|old|far|often|tall|big)|when|what (year|date|time|percentage))\b", re.I
)


@dataclass(frozen=True, slots=True)
class _Candidate:
    segment: Segment
    quote: Quote
    own: frozenset[str]
    score: float


class ExtractiveGenerator:
    """Ranks every sentence by the share of the question's rarity-weighted terms that it holds.

    Terms in the headings above a sentence or in the two sentences before it count in part. After
    the best sentence, others follow only while they bring terms that are still missing.
    """

    name = "extractive"

    def __init__(self, idf: Idf) -> None:
        self._idf = idf

    async def stream(self, messages: Sequence[Message]) -> AsyncIterator[Delta]:
        began = time.perf_counter()
        question, sources = _read(messages)
        first = True
        for candidate in self._choose(question, sources):
            number = candidate.segment.number or 0
            yield Delta(text=("" if first else " ") + cited(candidate.quote.shown, number))
            first = False
        if first:
            yield Delta(text=NOT_FOUND)
        yield Delta(usage=Usage(seconds=time.perf_counter() - began))

    def _choose(self, question: str, sources: Iterable[Segment]) -> list[_Candidate]:
        wanted = term_weights(question, self._idf)
        numeric = bool(_ASKS_FOR_NUMBER.search(question))
        ranked = [c for segment in sources for c in self._candidates(segment, wanted, numeric)]
        ranked.sort(key=lambda c: (-c.score, c.segment.number or 0, c.quote.span.start))
        chosen: list[_Candidate] = []
        missing = dict(wanted)
        for candidate in ranked:
            if len(chosen) == MAX_SENTENCES or not candidate.own & missing.keys():
                continue
            gain = recall(wanted, candidate.own & missing.keys())
            if chosen and gain < WORTH_ADDING:
                continue
            chosen.append(candidate)
            missing = {t: w for t, w in missing.items() if t not in candidate.own}
        return chosen

    def _candidates(
        self, segment: Segment, wanted: dict[str, float], numeric: bool
    ) -> Iterable[_Candidate]:
        assert segment.source is not None
        headings = set(terms(" ".join((segment.source.title, *segment.source.heading_path))))
        before: list[frozenset[str]] = []
        for quote in quotes(segment.text, segment.source.format):
            own = frozenset(terms(quote.shown))
            around = headings.union(*before[-CONTEXT_SENTENCES:]) - own
            score = recall(wanted, own) + CONTEXT_SHARE * recall(wanted, around)
            if numeric and any(c.isdigit() for c in quote.shown):
                score += NUMBER_BONUS
            before.append(own)
            if not quote.is_heading:
                yield _Candidate(segment, quote, own, score)


def cited(sentence: str, number: int) -> str:
    """The sentence with its marker before the final stop: ``It is so [1].``"""
    stripped = sentence.rstrip()
    stop = re.search(r"[.!?。！？।؟]+[\"'”’)\]]*$", stripped)
    if stop is None:
        return f"{stripped} [{number}]"
    return f"{stripped[: stop.start()]} [{number}]{stop.group()}"


def _read(messages: Sequence[Message]) -> tuple[str, list[Segment]]:
    """The question and the numbered sources: the prompt's own structure, not its text."""
    segments = [s for m in messages if not isinstance(m.content, str) for s in m.content]
    sources = [s for s in segments if s.source is not None and s.number is not None]
    asked = [s.text for s in segments if s.section == "question" and s.trust == "user"]
    plain = [m.content for m in messages if m.role == "user" and isinstance(m.content, str)]
    return (asked or plain or [""])[-1], sources
