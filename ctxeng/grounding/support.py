"""How much of a sentence a text holds, told without a language model.

What these scorers see is whether the same things are spoken of. They do not understand: a text
that says the opposite in the same words scores high. So a low score means "no support found", and
a high one never "faithful". docs/decisions/support.md says how far they can be trusted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import log
from typing import Protocol

import anyio

from ctxeng.grounding.citations import cite
from ctxeng.protocols import Embedder
from ctxeng.text.details import lacks_details
from ctxeng.text.overlap import Idf, recall, term_weights
from ctxeng.text.quotable import segment_quotes
from ctxeng.text.sentences import sentences
from ctxeng.text.terms import terms
from ctxeng.trace import stage
from ctxeng.types import Claim, Segment, Source, Span

WINDOW = 3
"""Sentences in a row in which what belongs together is looked for."""
MAX_SENTENCES = 40
"""Of a longer text, those with most of the sentence's terms are embedded."""

_MARKER = re.compile(r"\s*\[\d{1,3}\]")

Pair = tuple[str, str]
"""A sentence, and the text that may hold it."""

SUPPORTED = 0.48
"""``TermSupport`` below this: no support found. Chosen on one half of five labelled sets; see
docs/decisions/support.md."""


class SupportScorer(Protocol):
    """Says how much of a sentence a text holds.

    Laws: one score a pair, in [0, 1], whatever the other pairs are; 0 where the sentence or the
    text is blank.
    """

    @property
    def name(self) -> str: ...
    def score(self, pairs: Sequence[Pair]) -> list[float]: ...


class TermSupport:
    """Recall of the sentence's terms, weighted by their rarity: the mean of what the whole text
    and what its best three sentences in a row hold; half of that where the text lacks a figure or
    a name of the sentence. More text never scores less.

    Sources: word overlap weighted by idf is the baseline of Mihalcea, Corley & Strapparava 2006
    (AAAI-06, "Corpus-based and knowledge-based measures of text semantic similarity"); figures and
    names are what Nan et al. 2021 (arXiv:2102.09130) look up in the source.
    """

    def __init__(self, idf: Idf, *, details: bool = True) -> None:
        """``details``: figures and names are looked at separately."""
        self._idf = idf
        self._details = details
        self.name = "terms, figures and names" if details else "terms"

    def score(self, pairs: Sequence[Pair]) -> list[float]:
        return [self._score(sentence, text) for sentence, text in pairs]

    def _score(self, sentence: str, text: str) -> float:
        wanted = term_weights(sentence, self._idf)
        held = [set(terms(unit)) for unit in _sentences(text)]
        whole = set(chain.from_iterable(held))
        near = max((recall(wanted, set().union(*w)) for w in _windows(held)), default=0.0)
        score = (recall(wanted, whole) + near) / 2
        return score / 2 if self._details and lacks_details(sentence, text, whole) else score


class CosineSupport:
    """The highest cosine of the sentence with a sentence of the text; 0 where it is negative.

    Source: the sentence-level maximum of Laban et al. 2022 (SummaC, arXiv:2111.09525), with cosines
    in the place of entailment.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.name = f"cosine {embedder.name.partition('@')[0]}"

    def score(self, pairs: Sequence[Pair]) -> list[float]:
        looked_at = [_nearest(sentence, _sentences(text)) for sentence, text in pairs]
        all_texts = chain((sentence for sentence, _ in pairs), chain.from_iterable(looked_at))
        rows = {text: row for row, text in enumerate(dict.fromkeys(all_texts))}
        vectors = self._embedder.embed(list(rows), "document")
        return [
            _clipped((vectors[[rows[unit] for unit in units]] @ vectors[rows[sentence]]).max())
            if units and sentence.strip()
            else 0.0
            for (sentence, _), units in zip(pairs, looked_at, strict=True)
        ]


class CombinedSupport:
    """The mean of terms and cosine; the cosine counts as far as the embedder knows the language."""

    def __init__(self, idf: Idf, embedder: Embedder) -> None:
        self._by_terms = TermSupport(idf)
        self._by_cosine = CosineSupport(embedder)
        self._embedder = embedder
        self.name = f"{self._by_terms.name}, {self._by_cosine.name}"

    def score(self, pairs: Sequence[Pair]) -> list[float]:
        shares = [self._embedder.coverage(sentence) / 2 for sentence, _ in pairs]
        return [
            _clipped((1 - share) * by_terms + share * by_cosine)
            for share, by_terms, by_cosine in zip(
                shares, self._by_terms.score(pairs), self._by_cosine.score(pairs), strict=True
            )
        ]


class SupportVerifier:
    """Scores every sentence of an answer against what it cites; fits ``Verifier``."""

    def __init__(self, scorer: SupportScorer, idf: Idf) -> None:
        """``idf``: by which the best place for a sentence is found."""
        self._scorer = scorer
        self._idf = idf
        self.name = scorer.name

    async def verify(self, answer: str, segments: Sequence[Segment]) -> list[Claim]:
        with stage("ground.support") as facts:
            claims = await anyio.to_thread.run_sync(self._verify, answer, segments)
            facts["scorer"], facts["support"] = self.name, [claim.support for claim in claims]
        return claims

    def _verify(self, answer: str, segments: Sequence[Segment]) -> list[Claim]:
        placed = to_check(answer, segments, self._idf)
        scores = self._scorer.score([(said(claim), text) for claim, text in placed])
        return [
            with_support(claim, score) for (claim, _), score in zip(placed, scores, strict=True)
        ]


def to_check(answer: str, segments: Sequence[Segment], idf: Idf) -> list[tuple[Claim, str]]:
    """Every sentence of an answer with the text that it has to stand in.

    That is the text, titles and headings of the segments that it cites, or, where it has no marker,
    of the one that holds most of its terms. A sentence whose markers name no segment, or whose
    terms none holds, names no source, and its text is empty.
    """
    sources = [s for s in segments if s.number is not None and s.source is not None]
    words = [set(terms(_text(segment))) for segment in sources]
    placed: list[tuple[Claim, str]] = []
    for claim in cite(answer, segments, idf)[0]:
        if claim.numbers:
            cited = [s for number in claim.numbers for s in sources if s.number == number]
            placed.append((claim, "\n\n".join(map(_text, cited))))
            continue
        wanted = term_weights(said(claim), idf)
        held = [recall(wanted, one) for one in words]
        if not any(held):
            placed.append((claim, ""))
            continue
        best = sources[held.index(max(held))]
        source = _best_place(wanted, best)
        placed.append((Claim(**{**dict(claim), "sources": (source,)}), _text(best)))
    return placed


def said(claim: Claim) -> str:
    """The sentence without its markers."""
    return _MARKER.sub("", claim.text)


def with_support(claim: Claim, score: float) -> Claim:
    return Claim(**{**dict(claim), "support": score})


def rarity(texts: Iterable[str]) -> Idf:
    """Rarity of terms among these texts, for those who have no index to ask."""
    having: Counter[str] = Counter()
    count = 0
    for text in texts:
        having.update(set(terms(text)))
        count += 1
    return lambda term: log(1 + (count - having[term] + 0.5) / (having[term] + 0.5))


def _text(segment: Segment) -> str:
    assert segment.source is not None
    above = (segment.source.title, *segment.source.heading_path)
    return "\n\n".join(filter(None, (*above, segment.text)))


def _best_place(wanted: Mapping[str, float], segment: Segment) -> Source:
    """The quotable unit of the segment that holds most of a sentence; all of it where only its
    headings hold something.
    """
    source = segment.source
    assert source is not None
    units = segment_quotes(segment)
    held = [recall(wanted, set(terms(unit.shown))) for unit in units]
    if not any(held):
        return source
    span = units[held.index(max(held))].span
    start = source.span.start
    return Source(
        **{
            **dict(source),
            "span": Span(start=start + span.start, end=start + span.end),
            "line": source.line + segment.text[: span.start].count("\n"),
        }
    )


def _sentences(text: str) -> list[str]:
    return [text[span.start : span.end] for span in sentences(text)]


def _windows(held: Sequence[set[str]]) -> Iterable[Sequence[set[str]]]:
    return (held[start : start + WINDOW] for start in range(max(1, len(held) - WINDOW + 1)))


def _nearest(sentence: str, units: Sequence[str]) -> Sequence[str]:
    """At most ``MAX_SENTENCES`` of the units; those with most of the sentence's terms."""
    if len(units) <= MAX_SENTENCES:
        return units
    wanted = set(terms(sentence))
    return sorted(units, key=lambda unit: -len(wanted.intersection(terms(unit))))[:MAX_SENTENCES]


def _clipped(score: float) -> float:
    return min(1.0, max(0.0, float(score)))


__all__ = [
    "SUPPORTED",
    "CombinedSupport",
    "CosineSupport",
    "SupportScorer",
    "SupportVerifier",
    "TermSupport",
    "rarity",
]
