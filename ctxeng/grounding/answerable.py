"""Decides, before anything is generated, whether the sources can answer."""

from __future__ import annotations

from collections.abc import Sequence

from ctxeng.text.overlap import Idf, recall, term_weights
from ctxeng.text.quotable import quotes
from ctxeng.text.terms import terms
from ctxeng.types import Segment


class Answerability:
    """Scores how much of a question the best source holds, by rarity-weighted terms."""

    threshold = 0.5

    def __init__(self, idf: Idf) -> None:
        self._idf = idf

    def score(self, question: str, sources: Sequence[Segment]) -> float:
        """In [0, 1]; 0 without sources."""
        wanted = term_weights(question, self._idf)
        return max((self._source(wanted, segment) for segment in sources), default=0.0)

    def _source(self, wanted: dict[str, float], segment: Segment) -> float:
        assert segment.source is not None
        headings = set(terms(" ".join((segment.source.title, *segment.source.heading_path))))
        best = max(
            (
                recall(wanted, headings.union(terms(quote.shown)))
                for quote in quotes(segment.text, segment.source.format)
            ),
            default=0.0,
        )
        return (best + recall(wanted, headings.union(terms(segment.text)))) / 2
