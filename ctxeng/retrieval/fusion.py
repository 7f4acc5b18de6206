"""Makes one ranking out of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Scores = Mapping[str, float]
"""Scores by id; higher is better."""


def normalised(scores: Scores, floor: float | None = None) -> dict[str, float]:
    """Scaled to [0, 1] from ``floor`` (None: the lowest) to the highest; equal ones are all 1."""
    if not scores:
        return {}
    low = min(scores.values()) if floor is None else floor
    high = max(scores.values())
    if high == low:
        return dict.fromkeys(scores, 1.0)
    return {key: (score - low) / (high - low) for key, score in scores.items()}


def convex_fusion(
    lexical: Scores,
    dense: Scores,
    *,
    dense_weight: float,
    lexical_floor: float | None = None,
) -> dict[str, float]:
    """Fuse two score lists.

    Args:
        lexical: BM25 scores, unbounded.
        dense: cosine similarities in [-1, 1].
        dense_weight: share of the dense list, in [0, 1]; fit it on labelled queries.
        lexical_floor: 0 where the lexical list holds everything that shares a term with the query:
            its last entry is then a hit, and not the edge of what was asked for.

    Returns:
        A score in [0, 1] for every id of either list. Each list is min-max scaled over what it
        returned; an id that it did not return gets 0 from it.

    Raises:
        ValueError: ``dense_weight`` is outside [0, 1].

    Source: Bruch, Gai & Ingber 2022, arXiv:2210.11934.
    """
    if not 0 <= dense_weight <= 1:
        raise ValueError(f"dense_weight must be in [0, 1], not {dense_weight}")
    a, b = normalised(lexical, lexical_floor), normalised(dense)
    return {
        key: (1 - dense_weight) * a.get(key, 0.0) + dense_weight * b.get(key, 0.0)
        for key in {**a, **b}
    }


def reciprocal_rank_fusion(rankings: Sequence[Sequence[str]], *, k: int = 60) -> dict[str, float]:
    """Fuse any number of rankings by rank alone: the sum of 1 / (k + rank), ranks from 1.

    Source: Cormack, Clarke & Büttcher 2009, SIGIR.
    """
    fused: dict[str, float] = {}
    for ranking in rankings:
        for rank, key in enumerate(ranking, start=1):
            fused[key] = fused.get(key, 0.0) + 1 / (k + rank)
    return fused
