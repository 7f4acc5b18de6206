"""Scores rankings, and says how sure the scores and the differences between them are.

A query that a run forgot counts as zero, never as absent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import Qrels, Row

Run = Mapping[str, Sequence[str]]
"""Document ids by query id, best first."""

RESAMPLES = 2_000


class Measure(Protocol):
    @property
    def name(self) -> str: ...
    def __call__(self, ranking: Sequence[str], relevant: Mapping[str, int]) -> float: ...


@dataclass(frozen=True)
class NDCG:
    """Linear gains, logarithmic discount, as trec_eval's ``ndcg_cut``."""

    k: int

    @property
    def name(self) -> str:
        return f"nDCG@{self.k}"

    def __call__(self, ranking: Sequence[str], relevant: Mapping[str, int]) -> float:
        gains = [relevant.get(document, 0) for document in ranking[: self.k]]
        ideal = sorted(relevant.values(), reverse=True)[: self.k]
        return _discounted(gains) / _discounted(ideal) if any(ideal) else 0.0


@dataclass(frozen=True)
class Recall:
    """Share of the relevant documents among the first k."""

    k: int

    @property
    def name(self) -> str:
        return f"recall@{self.k}"

    def __call__(self, ranking: Sequence[str], relevant: Mapping[str, int]) -> float:
        wanted = {document for document, relevance in relevant.items() if relevance > 0}
        return len(wanted.intersection(ranking[: self.k])) / len(wanted) if wanted else 0.0


def query_scores(run: Run, qrels: Qrels, measure: Measure) -> NDArray[np.float64]:
    """One score for each judged query, in the order of their ids.

    Raises:
        ValueError: a ranking names a document twice.
    """
    for query, ranking in run.items():
        if len(set(ranking)) < len(ranking):
            raise ValueError(f"the ranking for query {query} names a document twice")
    return np.array([measure(run.get(query, ()), qrels[query]) for query in sorted(qrels)])


def bootstrap(scores: NDArray[np.float64], *, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean, by resampling queries.

    Hand in the differences of two systems' scores, query by query, for a paired interval.
    """
    picks = np.random.default_rng(seed).integers(0, len(scores), (RESAMPLES, len(scores)))
    low, high = np.quantile(scores[picks].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def compare(
    runs: Mapping[str, Run],
    qrels: Qrels,
    measures: Sequence[Measure],
    *,
    name: str,
    baseline: str,
) -> Iterator[Row]:
    """For each system and measure its mean, and (``Δ``) its mean difference from the baseline.

    Args:
        runs: by name of the system.
        name: of the set.
        baseline: the system that the differences are taken from.
    """
    for measure in measures:
        reference = query_scores(runs[baseline], qrels, measure)
        for system, run in runs.items():
            scores = query_scores(run, qrels, measure)
            yield mean_row(system, name, measure.name, scores)
            if system != baseline:
                yield mean_row(system, name, f"Δ{measure.name}", scores - reference)


def mean_row(system: str, name: str, metric: str, scores: NDArray[np.float64]) -> Row:
    """The mean with its 95 % interval; of one score that is the score itself."""
    low, high = bootstrap(scores)
    return Row(
        system=system, set=name, metric=metric, value=float(scores.mean()), low=low, high=high
    )


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
