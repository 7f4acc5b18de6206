"""Exact search: one matrix multiplication over the vectors of the record."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import ThreadpoolController

from ctxeng.protocols import Match, OnProgress, Stopped, Store, Vectors
from ctxeng.types import Query, Scope


@dataclass(frozen=True, slots=True)
class _Matrix:
    state: tuple[int, int]
    ids: Sequence[str]
    vectors: Vectors


class ExactIndex:
    """All cosines of one model's vectors; nothing on disk but the record itself.

    The matrix of a scope is read when it is first asked for and again after it has changed.
    10,000 × 384 take 15 MB.
    """

    name = "exact"

    def __init__(self, store: Store, model: str) -> None:
        self._store = store
        self._model = model
        self._matrices: dict[str, _Matrix] = {}
        self._lock = threading.Lock()
        # One thread: for a single query, two that spin on a busy machine are slower than one.
        self._blas = ThreadpoolController()

    def search(self, vector: Vectors, query: Query, limit: int) -> list[Match]:
        """The rows with the highest cosine; ties in the order of their ids."""
        matrix = self._matrix(query.scope)
        if not len(matrix.ids) or limit <= 0:
            return []
        with self._blas.limit(limits=1, user_api="blas"):
            cosines = matrix.vectors @ vector
        rows = np.arange(len(matrix.ids))
        if query.filter:
            allowed = self._allowed(query.scope, query.filter)
            rows = np.array([i for i, key in enumerate(matrix.ids) if key in allowed], np.intp)
        best = _best(cosines, rows, limit)
        return [Match(matrix.ids[i], float(cosines[i]), {}) for i in best]

    def _allowed(self, scope: Scope, where: Mapping[str, tuple[str, ...]]) -> set[str]:
        return self._store.matching_chunks(scope, where)

    def _matrix(self, scope: Scope) -> _Matrix:
        state = self._store.vector_state(self._model)
        with self._lock:
            held = self._matrices.get(scope.key)
            if held is None or held.state != state:
                held = _Matrix(state, *self._store.vectors(scope, self._model))
                self._matrices[scope.key] = held
        return held

    def sync(self, *, stopped: Stopped, on_progress: OnProgress) -> None:
        """There is nothing to bring up to date."""

    def close(self) -> None:
        self._matrices.clear()


def _best(
    cosines: Vectors, rows: np.ndarray[tuple[int], np.dtype[np.intp]], limit: int
) -> list[int]:
    """Row numbers of the ``limit`` highest cosines; equal ones by row number."""
    if limit < len(rows):
        # Everything that ties with the last place stays in, so that the cut is in fixed order too.
        last = np.partition(cosines[rows], len(rows) - limit)[len(rows) - limit]
        rows = rows[cosines[rows] >= last]
    order = np.lexsort((rows, -cosines[rows]))
    return [int(row) for row in rows[order][:limit]]
