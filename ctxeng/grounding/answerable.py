"""Decides, before anything is generated, whether the sources can answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ctxeng.text.overlap import Idf, question_weights, recall
from ctxeng.text.quotable import quotes
from ctxeng.text.terms import terms
from ctxeng.types import Segment

Features = tuple[float, float, float, float]
"""Best sentence, best source, all sources together, the rarest term (see ``features``)."""

# Fitted by benchmarks/fit_answerability.py; docs/decisions/abstaining.md has the figures.
WEIGHTS: Features = (1.0, 1.0, 0.0, 0.0)
BIAS = -1.0


class Answerability:
    """The probability that the sources hold an answer, from terms alone.

    It sees whether the question's words stand together in one place, weighted by their rarity; it
    does not understand them.
    """

    threshold = 0.5

    def __init__(self, idf: Idf) -> None:
        self._idf = idf

    def score(self, question: str, sources: Sequence[Segment]) -> float:
        """In [0, 1]; 0 without sources."""
        if not sources:
            return 0.0
        values = features(question, sources, self._idf)
        logit = BIAS + sum(w * x for w, x in zip(WEIGHTS, values, strict=True))
        return 1 / (1 + math.exp(-logit))


def features(question: str, sources: Sequence[Segment], idf: Idf) -> Features:
    """Shares, in [0, 1], of the question's rarity-weighted terms.

    In order: what the best sentence (with its headings) holds; the best source; all sources
    together; and the rarest quarter of the terms in the best source.
    """
    wanted = question_weights(question, idf)
    rarest = dict(sorted(wanted.items(), key=lambda item: -item[1])[: max(1, len(wanted) // 4)])
    sentence = source = rare = 0.0
    together: set[str] = set()
    for segment in sources:
        words, best = _held(wanted, segment)
        together |= words
        sentence = max(sentence, best)
        source = max(source, recall(wanted, words))
        rare = max(rare, recall(rarest, words))
    return sentence, source, recall(wanted, together), rare


def _held(wanted: Mapping[str, float], segment: Segment) -> tuple[set[str], float]:
    """The segment's terms, and the share that its best sentence holds."""
    assert segment.source is not None
    headings = set(terms(" ".join((segment.source.title, *segment.source.heading_path))))
    words, best = set(headings), 0.0
    for quote in quotes(segment.text, segment.source.format):
        own = terms(quote.shown)
        words.update(own)
        best = max(best, recall(wanted, headings.union(own)))
    return words, best
