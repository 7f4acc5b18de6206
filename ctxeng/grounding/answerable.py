"""Decides, before anything is generated, whether the sources can answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import regex

from ctxeng.protocols import Embedder
from ctxeng.text.asking import is_function_word, without_asking
from ctxeng.text.overlap import Idf, corpus_size, question_weights
from ctxeng.text.terms import UNSPACED, terms
from ctxeng.types import Segment

SOURCES = 3
"""So many may share an answer: a question can ask two things."""
MOST_NAMED = 4
"""Words that an answer says are in no source."""
MOST_LOOKED_UP = 16
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}_]+(?:['’.-][\p{L}\p{M}\p{N}_]+)*")
LARGEST = 2_500
"""Chunks of the largest workspace that the weights were fitted on."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What of a question and its sources tells whether they can answer."""

    held: float
    """ln(1 + the rarity of those of the question's terms that the best source and its headings
    hold, added up): how unlikely it is that they stand together by chance."""
    missing: float
    """The same of the terms that the best ``SOURCES`` together lack."""
    size: float
    """ln of the number of chunks: the more there are, the better the best chance match."""
    similarity: float
    """The highest cosine of a source with the question; 0 without vectors."""
    whole: bool
    """One source holds all of the question's terms."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Of a logistic regression."""

    held: float
    missing: float
    size: float
    similarity: float
    bias: float

    def logit(self, signs: Signs) -> float:
        return (
            self.bias
            + self.held * signs.held
            + self.missing * signs.missing
            + self.size * signs.size
            + self.similarity * signs.similarity
        )


# Fitted by benchmarks/fit_answerability.py; docs/decisions/abstaining.md has the figures.
BY_TERMS = Weights(held=2.13, missing=-0.96, size=-0.45, similarity=0.0, bias=-1.36)
BY_EMBEDDER: Mapping[str, Weights] = {
    "wordllama-l2-supercat-256": Weights(1.88, -0.85, -0.43, 2.15, -1.92),
    "all-minilm-l6-v2-int8": Weights(1.63, -0.77, -0.42, 3.96, -2.51),
}
"""By the name of an embedder before the ``@``: what its cosines mean is its own. Those of other
embedders are not looked at.
"""
WHOLE = 0.75
"""Of questions that one source holds whole, at least so many have their answer there, also of those
of a single term, which the sums above think little of.
"""


class Answerability:
    """The probability that the sources hold an answer.

    It sees whether the question's words stand together in one place, and where there are vectors
    of a known embedder whether some source is about the same; it does not understand them.
    """

    threshold = 0.5

    def __init__(self, idf: Idf) -> None:
        self._idf = idf

    def score(
        self,
        question: str,
        sources: Sequence[Segment],
        *,
        searched: int | None = None,
        embedder: Embedder | None = None,
    ) -> float:
        """In [0, 1]; 0 without sources.

        Args:
            searched: how many chunks the sources were found among, where a filter makes them
                fewer than there are.
            embedder: whose cosines the sources' ``dense`` scores are. They count as far as it
                knows the question's language.
        """
        if not sources:
            return 0.0
        seen = signs(question, sources, self._idf, searched=searched)
        logit = BY_TERMS.logit(seen)
        weights = BY_EMBEDDER.get(embedder.name.partition("@")[0]) if embedder else None
        if embedder is not None and weights is not None and seen.similarity:
            logit += embedder.coverage(question) * (weights.logit(seen) - logit)
        score = 1 / (1 + math.exp(-logit))
        return max(score, WHOLE) if seen.whole else score


def unheld(question: str, is_held: Callable[[str], bool]) -> list[str]:
    """Words of a question that no source holds in any form, as written, ``MOST_NAMED`` at most.

    Of scripts without spaces none is named: where a word ends is not known.

    Args:
        is_held: whether some source holds a word.
    """
    found: list[str] = []
    asked = dict.fromkeys(_WORD.findall(without_asking(question)))
    for word in [word for word in asked if _says_something(word)][:MOST_LOOKED_UP]:
        if not is_held(word):
            found.append(word)
        if len(found) == MOST_NAMED:
            break
    return found


def _says_something(word: str) -> bool:
    own = terms(word)
    spaced = not UNSPACED.search(word)
    return spaced and bool(own) and not all(is_function_word(term) for term in own)


def signs(
    question: str, sources: Sequence[Segment], idf: Idf, *, searched: int | None = None
) -> Signs:
    chunks = corpus_size(idf) if searched is None else searched
    wanted = question_weights(question, idf)
    total = sum(wanted.values())
    held, missing = _covered(wanted, [_words(source) for source in sources])
    return Signs(
        held=math.log1p(held),
        missing=math.log1p(missing),
        size=math.log(max(1.0, min(chunks, LARGEST))),
        similarity=max((s.scores.get("dense.cosine", 0.0) for s in sources), default=0.0),
        whole=held >= total > 0,
    )


def _covered(wanted: Mapping[str, float], sources: Sequence[Set[str]]) -> tuple[float, float]:
    """The weight that the best source holds, and what is left when others have added theirs."""
    left, held = dict(wanted), 0.0
    for number in range(min(SOURCES, len(sources))):
        best = max(sources, key=lambda words: sum(left[term] for term in left if term in words))
        if number == 0:
            held = sum(left[term] for term in left if term in best)
        left = {term: weight for term, weight in left.items() if term not in best}
    return held, sum(left.values())


def _words(segment: Segment) -> set[str]:
    assert segment.source is not None
    above = (segment.source.title, *segment.source.heading_path)
    return set(terms("\n".join((*above, segment.text))))
