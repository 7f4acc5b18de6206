"""Answers by quoting: picks the sentences of the sources that answer, and cites each."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ctxeng.protocols import Delta
from ctxeng.text.overlap import Idf, question_weights, recall
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
    """A sentence, its terms, and the terms of its headings and of the sentences before it."""

    segment: Segment
    quote: Quote
    own: frozenset[str]
    around: frozenset[str]

    def score(
        self, missing: Mapping[str, float], share: float, bonus: float
    ) -> tuple[float, int, int]:
        """By what it brings of the ``missing`` terms, which weigh ``share`` of the question's;
        earlier sources and sentences win ties.
        """
        value = share * (recall(missing, self.own) + CONTEXT_SHARE * recall(missing, self.around))
        if bonus and any(c.isdigit() for c in self.quote.shown):
            value += bonus
        return value, -(self.segment.number or 0), -self.quote.span.start


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
        wanted = question_weights(question, self._idf)
        total = sum(wanted.values())
        bonus = NUMBER_BONUS if _ASKS_FOR_NUMBER.search(question) else 0.0
        candidates = [c for segment in sources for c in _candidates(segment)]
        chosen: list[_Candidate] = []
        missing = dict(wanted)
        while missing and len(chosen) < MAX_SENTENCES:
            share = sum(missing.values()) / total
            fitting = [c for c in candidates if c.own & missing.keys()]
            best = max(fitting, key=lambda c: c.score(missing, share, bonus), default=None)
            if best is None or (chosen and share * recall(missing, best.own) < WORTH_ADDING):
                break
            chosen.append(best)
            missing = {t: w for t, w in missing.items() if t not in best.own}
        return chosen


def _candidates(segment: Segment) -> Iterable[_Candidate]:
    assert segment.source is not None
    headings = frozenset(terms(" ".join((segment.source.title, *segment.source.heading_path))))
    before: list[frozenset[str]] = []
    for quote in quotes(segment.text, segment.source.format):
        own = frozenset(terms(quote.shown))
        around = headings.union(*before[-CONTEXT_SENTENCES:]) - own
        before.append(own)
        if not quote.is_heading:
            yield _Candidate(segment, quote, own, around)


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
