"""Asks the lexical and the dense index and fuses what they return."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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

Matches = dict[str, list[Match]]
"""By index: ``lexical``, ``dense``."""
Fuse = Callable[[Matches], dict[str, float]]
InWorker = Callable[[Callable[[], list[Hit]]], Awaitable[list[Hit]]]


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
        in_worker: InWorker = anyio.to_thread.run_sync,
    ) -> None:
        """``dense`` is asked at each query: which vectors are complete may change meanwhile.
        ``in_worker`` does the blocking work of a search by terms.
        """
        self._store = store
        self._lexical = lexical
        self._dense = dense
        self._settings = settings
        self._mode = mode
        self._in_worker = in_worker

    async def retrieve(self, query: Query, limit: int) -> list[Hit]:
        """The best ``limit`` chunks; each hit's ``stages`` has what every index gave it."""
        if limit <= 0 or not query.text.strip():
            return []
        dense = self._dense() if self._mode != "lexical" else None
        if dense is None:
            if self._mode == "dense":
                raise ConfigError(
                    "dense search needs vectors, and this workspace has none: set embedding.model "
                    "and run `ctxeng index`, or search with mode='lexical'."
                )
            return await self._in_worker(partial(self._by_terms, query, limit))
        depth = max(limit, self._settings.candidates)
        searches = {"lexical": self._lexical.search, "dense": dense.search}
        if self._mode == "dense":
            del searches["lexical"]
        after = self._lexical.applied
        matches: Matches = {name: [] for name in searches}

        async def ask(name: str) -> None:
            matches[name] = await anyio.to_thread.run_sync(
                _asked, name, searches[name], query, depth
            )

        try:
            async with anyio.create_task_group() as group:
                for name in searches:
                    group.start_soon(ask, name)
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed  # callers catch our errors, not groups of them
        fuse = partial(self._fuse, query=query, dense=dense, depth=depth)
        return await anyio.to_thread.run_sync(
            partial(self._hits, query, limit, matches, fuse, after=after)
        )

    def _by_terms(self, query: Query, limit: int) -> list[Hit]:
        """All of a search in one thread: to change threads costs as much as to search."""
        after = self._lexical.applied
        matches = {"lexical": _asked("lexical", self._lexical.search, query, limit)}
        return self._hits(query, limit, matches, _own_scores, after=after)

    def _fuse(
        self, matches: Matches, *, query: Query, dense: DenseSearch, depth: int
    ) -> dict[str, float]:
        if self._mode == "dense":
            return _own_scores(matches)
        lexical, by_vector = matches["lexical"], matches["dense"]
        weight = self._settings.dense_weight
        whole = len(lexical) < depth  # nothing else shares a term with the query
        return convex_fusion(
            _own_scores({"lexical": lexical}),
            _own_scores({"dense": by_vector}),
            dense_weight=(dense.weight if weight is None else weight)
            * dense.embedder.coverage(query.text),
            lexical_floor=0.0 if whole else None,
        )

    def _hits(
        self, query: Query, limit: int, matches: Matches, fuse: Fuse, *, after: int
    ) -> list[Hit]:
        """``after``: the change at which the lexical index stood when it was asked, or an earlier
        one.
        """
        best = _best(fuse(matches), limit)
        held = self._store.hits(query.scope, list(best))
        if len(held) < len(best):  # a writer has been here since the indexes took anything in
            held, matches = self._as_of_now(query, matches, after)
            best = _best(fuse(matches), limit)
        stages = _stages(matches)
        return [
            held[chunk_id].model_copy(
                update={"score": score, "stages": {**stages[chunk_id], "fused": score}}
            )
            for chunk_id, score in best.items()
        ]

    def _as_of_now(
        self, query: Query, matches: Matches, after: int
    ) -> tuple[dict[str, Hit], Matches]:
        """The matches without what is gone, and with what stands in its place: a document that is
        rewritten is found by its old text or by its new one, and never by neither.
        """
        ids = dict.fromkeys(match.chunk_id for found in matches.values() for match in found)
        held, changed = self._store.hits_now(query.scope, list(ids), after=after)
        kept = {
            name: [match for match in found if match.chunk_id in held]
            for name, found in matches.items()
        }
        if "lexical" in kept:
            known = {match.chunk_id for match in kept["lexical"]}
            new = self._lexical.score(query, changed)
            kept["lexical"] += [match for match in new if match.chunk_id not in known]
        return held, kept


def _asked(
    name: str, search: Callable[[Query, int], list[Match]], query: Query, limit: int
) -> list[Match]:
    with stage(f"retrieve.{name}") as facts:
        found = search(query, limit)
        facts["candidates"] = len(found)
    return found


def _own_scores(matches: Matches) -> dict[str, float]:
    """Of the one index that was asked."""
    return {match.chunk_id: match.score for found in matches.values() for match in found}


def _best(scores: dict[str, float], limit: int) -> dict[str, float]:
    """The highest first; ties by id."""
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:limit])


def _stages(matches: Matches) -> dict[str, dict[str, float]]:
    stages: dict[str, dict[str, float]] = {}
    for name, found in matches.items():
        for match in found:
            own = stages.setdefault(match.chunk_id, {})
            own[name] = match.score
            own.update({f"{name}.{part}": score for part, score in match.stages.items()})
    return stages
