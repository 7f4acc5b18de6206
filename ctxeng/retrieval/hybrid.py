"""Asks the lexical and the dense index and fuses what they return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import anyio

from ctxeng.errors import ConfigError
from ctxeng.protocols import DenseIndex, Embedder, LexicalIndex, Match, Store
from ctxeng.retrieval.fusion import convex_fusion
from ctxeng.retrieval.hierarchy import ParentCosines
from ctxeng.settings import RetrievalSettings
from ctxeng.trace import stage
from ctxeng.types import Hit, Query, SearchMode


@dataclass(frozen=True, slots=True)
class DenseSearch:
    """An embedder, the index of its vectors, what documents add to their chunks, and how much its
    scores count by default.
    """

    embedder: Embedder
    index: DenseIndex
    parents: ParentCosines
    weight: float

    def search(self, query: Query, limit: int) -> list[Match]:
        vector = self.embedder.embed([query.text], "query")[0]
        return self.parents.added(vector, query.scope, self.index.search(vector, query, limit))


class HybridRetriever:
    """BM25 and vectors, side by side in worker threads; see ``convex_fusion``."""

    def __init__(
        self,
        store: Store,
        lexical: LexicalIndex,
        dense: Callable[[], DenseSearch | None],
        *,
        settings: RetrievalSettings,
        mode: SearchMode = "hybrid",
    ) -> None:
        """``dense`` is asked at each query: which vectors are complete may change meanwhile."""
        self._store = store
        self._lexical = lexical
        self._dense = dense
        self._settings = settings
        self._mode = mode

    async def retrieve(self, query: Query, limit: int) -> list[Hit]:
        """The best ``limit`` chunks; each hit's ``stages`` has what every index gave it."""
        if limit <= 0 or not query.text.strip():
            return []
        depth = max(limit, self._settings.candidates)
        dense_search = self._dense() if self._mode != "lexical" else None
        coverage = 0.0 if dense_search is None else dense_search.embedder.coverage(query.text)
        if self._mode == "dense" and dense_search is None:
            raise ConfigError(
                "dense search needs vectors, and this workspace has none: set embedding.model "
                "and run `ctxeng index`, or search with mode='lexical'."
            )
        matches: dict[str, list[Match]] = {"lexical": [], "dense": []}

        async def ask(name: str, search: Callable[[Query, int], list[Match]]) -> None:
            with stage(f"retrieve.{name}") as facts:
                matches[name] = await anyio.to_thread.run_sync(partial(search, query, depth))
                facts["candidates"] = len(matches[name])

        try:
            async with anyio.create_task_group() as group:
                if self._mode != "dense":
                    group.start_soon(ask, "lexical", self._lexical.search)
                if dense_search is not None:
                    group.start_soon(ask, "dense", dense_search.search)
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed  # callers catch our errors, not groups of them

        scores = self._fuse(matches["lexical"], matches["dense"], dense_search, depth, coverage)
        best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:limit]
        found = await anyio.to_thread.run_sync(
            self._store.hits, query.scope, [chunk_id for chunk_id, _ in best]
        )
        stages = _stages(matches)
        return [
            found[chunk_id].model_copy(
                update={"score": score, "stages": {**stages[chunk_id], "fused": score}}
            )
            for chunk_id, score in best
            if chunk_id in found  # removed by a writer since the indexes answered
        ]

    def _fuse(
        self,
        lexical: list[Match],
        dense: list[Match],
        search: DenseSearch | None,
        depth: int,
        coverage: float,
    ) -> dict[str, float]:
        by_terms = {match.chunk_id: match.score for match in lexical}
        by_vector = {match.chunk_id: match.score for match in dense}
        if self._mode == "lexical" or search is None:
            return by_terms
        if self._mode == "dense":
            return by_vector
        weight = self._settings.dense_weight
        whole = len(lexical) < depth  # nothing else shares a term with the query
        return convex_fusion(
            by_terms,
            by_vector,
            dense_weight=(search.weight if weight is None else weight) * coverage,
            lexical_floor=0.0 if whole else None,
        )


def _stages(matches: dict[str, list[Match]]) -> dict[str, dict[str, float]]:
    stages: dict[str, dict[str, float]] = {}
    for name, found in matches.items():
        for match in found:
            own = stages.setdefault(match.chunk_id, {})
            own[name] = match.score
            own.update({f"{name}.{part}": score for part, score in match.stages.items()})
    return stages
