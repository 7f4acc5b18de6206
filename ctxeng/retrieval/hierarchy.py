"""What a chunk's document adds to the chunk's own cosine."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from ctxeng.protocols import Match, Store, Vectors
from ctxeng.types import Scope

HELD = 20_000
"""Document vectors kept in memory: 30 MB of 384 dimensions."""


class ParentCosines:
    """Scores chunks by the weighted mean of their own cosine and their document's.

    A document's vector is the mean of its chunks' vectors, scaled to length 1. Only documents of
    the chunks that were found are looked up, so that this works beside any index.
    """

    def __init__(self, store: Store, model: str, *, weight: float) -> None:
        """``weight``: of the document's cosine; the chunk's own counts 1."""
        self._store = store
        self._model = model
        self._weight = weight
        self._lock = threading.Lock()
        self._state = (0, 0)
        self._held: dict[tuple[str, str], Vectors] = {}

    def added(self, vector: Vectors, scope: Scope, found: Sequence[Match]) -> list[Match]:
        """The matches with their documents' cosines in the score, best first; ties by id.

        Args:
            vector: the query's, shape (d,).
            found: scores are cosines in [-1, 1], and so are those of the result.
        """
        if not self._weight or not found:
            return list(found)
        parents = self._store.parents(scope, [match.chunk_id for match in found])
        documents = list(dict.fromkeys(parents.values()))
        held = self._vectors(scope, documents)
        cosines = {document: float(own @ vector) for document, own in held.items()}
        scored = []
        for match in found:  # what a writer has removed meanwhile stands for itself
            parent = cosines.get(parents.get(match.chunk_id, ""), match.score)
            score = (match.score + self._weight * parent) / (1 + self._weight)
            scored.append(Match(match.chunk_id, score, {"cosine": match.score, "parent": parent}))
        return sorted(scored, key=lambda match: (-match.score, match.chunk_id))

    def _vectors(self, scope: Scope, documents: Sequence[str]) -> dict[str, Vectors]:
        state = self._store.vector_state(self._model)
        with self._lock:
            if state != self._state or len(self._held) > HELD:
                self._held.clear()
                self._state = state
            known = {d: self._held[scope.key, d] for d in documents if (scope.key, d) in self._held}
        missing = [document for document in documents if document not in known]
        if missing:
            ids, matrix = self._store.document_vectors(scope, self._model, missing)
            new = dict(zip(ids, np.asarray(matrix), strict=True))
            with self._lock:
                if state == self._state:
                    self._held.update(((scope.key, d), row) for d, row in new.items())
            known |= new
        return known
