"""What each sentence of several texts says about a query, and which of them to take next."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from ctxeng.grounding.support import rarity
from ctxeng.protocols import Embedder
from ctxeng.text.overlap import Idf, question_weights, recall, term_weights

BESIDE = 0.5
"""A term in the sentence before or after counts for this share."""
REDUNDANCY = 0.1
"""Of how much a kept sentence says the same, this share is taken off (λ = .9 of MMR)."""
KEYS = 4
"""Rarest terms of a sentence, one of which another must have to be compared with it."""

Weights = Mapping[str, float]
"""Weight of each distinct term of a text."""


def said(texts: Sequence[str], idf: Idf | None) -> list[Weights]:
    """The terms of each text, weighted by rarity: among these texts where ``idf`` is None."""
    idf = idf or rarity(texts)
    return [term_weights(text, idf) for text in texts]


def relevance(
    query: str, groups: Sequence[Sequence[str]], *, idf: Idf | None, embedder: Embedder | None
) -> list[list[float]]:
    """How much each text of each group says about the query, in [0, 1].

    The share of the query's terms, weighted by rarity, that stand in the text, with half of its
    better neighbour's in the group. Where the query asks for nothing: how central the text is
    among all (cosine with their centroid, Radev et al. 2004, "Centroid-based summarization of
    multiple documents"). With an embedder half of it, less where its vocabulary knows little of
    the query, is the cosine with the query.
    """
    texts = [text for group in groups for text in group]
    words = said(texts, idf)
    wanted = question_weights(query, idf or rarity(texts))
    shares = [recall(wanted, one) for one in words] if wanted else _centrality(words)
    if embedder is not None and query.strip() and texts:
        cosines = embedder.embed(texts, "document") @ embedder.embed([query], "query")[0]
        weight = embedder.coverage(query) / 2
        shares = [
            (1 - weight) * share + weight * min(1.0, max(0.0, float(cosine)))
            for share, cosine in zip(shares, cosines, strict=True)
        ]
    found: list[list[float]] = []
    for group in groups:
        found.append(_with_neighbours(shares[: len(group)]))
        shares = shares[len(group) :]
    return found


def _with_neighbours(shares: Sequence[float]) -> list[float]:
    padded = [0.0, *shares, 0.0]
    return [
        (own + BESIDE * max(before, after)) / (1 + BESIDE)
        for before, own, after in zip(padded, padded[1:], padded[2:], strict=False)
    ]


def _centrality(words: Sequence[Weights]) -> list[float]:
    counts = Counter(term for one in words for term in one)
    weight = {term: w for one in words for term, w in one.items()}
    length = math.sqrt(sum((weight[term] * n) ** 2 for term, n in counts.items()))
    return [
        sum(w * w * counts[term] for term, w in one.items())
        / (math.sqrt(sum(w * w for w in one.values())) * length)
        if any(one.values())
        else 0.0
        for one in words
    ]


class MarginalQueue:
    """Hands out texts, the one of most marginal relevance first; of equal ones the first.

    A text's worth is lowered by its likeness (weighted Jaccard of the terms) to the kept text that
    is most like it. Only kept texts with one of its rarest terms are looked at, so that long inputs
    stay cheap. Worths only fall, so one is computed anew only when its turn comes (lazy greedy,
    Minoux 1978).

    Source: maximal marginal relevance, Carbonell & Goldstein 1998 (SIGIR '98).
    """

    def __init__(self, worths: Sequence[float], words: Sequence[Weights]) -> None:
        self._worths = worths
        self._words = words
        self._totals = [sum(one.values()) for one in words]
        self._kept: defaultdict[str, list[int]] = defaultdict(list)
        self._queue = [(-worth, item) for item, worth in enumerate(worths)]
        heapq.heapify(self._queue)

    def pop(self) -> int | None:
        """The next one; None when all were handed out."""
        while self._queue:
            _, item = heapq.heappop(self._queue)
            now = (REDUNDANCY * self._likeness(item) - self._worths[item], item)
            if not self._queue or now <= self._queue[0]:
                return item
            heapq.heappush(self._queue, now)
        return None

    def keep(self, item: int) -> None:
        for term in self._words[item]:
            self._kept[term].append(item)

    def _likeness(self, item: int) -> float:
        mine = self._words[item]
        rarest = sorted(mine, key=lambda term: (-mine[term], term))[:KEYS]
        near = {other for term in rarest for other in self._kept.get(term, ())}
        return max((self._jaccard(item, other) for other in near), default=0.0)

    def _jaccard(self, item: int, other: int) -> float:
        theirs = self._words[other]
        shared = sum([w for term, w in self._words[item].items() if term in theirs])
        union = self._totals[item] + self._totals[other] - shared
        return shared / union if union > 0 else 0.0
