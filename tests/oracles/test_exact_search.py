"""Exact search against brute force: the same rows, also among equals and under a filter."""

from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxeng.indexing import ExactIndex
from ctxeng.store import open_store
from ctxeng.testing.stores import entry_of
from ctxeng.testing.strategies import unit_vectors
from ctxeng.types import Document, Query, Scope

COUNT, MODEL, SCOPE = 40, "m", Scope()


def filled(vectors):
    store = open_store(None)
    documents = [
        Document(id=str(n), text=f"Text {n}.", metadata={"third": n % 3}) for n in range(COUNT)
    ]
    store.put(SCOPE, [entry_of(document) for document in documents])
    missing = [digest for digest, _ in store.missing_vectors(MODEL, COUNT)]
    store.put_vectors(MODEL, missing, vectors)
    return store


@settings(max_examples=40)
@given(
    vectors=unit_vectors(COUNT),
    asked=unit_vectors(1),
    limit=st.integers(1, COUNT + 1),
    third=st.sampled_from([None, ("0",), ("1", "2")]),
)
def test_it_returns_what_brute_force_returns(vectors, asked, limit, third):
    with closing(filled(vectors)) as store:
        query = Query(text="", filter={} if third is None else {"third": third})
        found = ExactIndex(store, MODEL).search(asked[0], query, limit)
        ids, rows = store.vectors(SCOPE, MODEL)
        allowed = store.matching_chunks(SCOPE, query.filter)
        cosines = {
            key: float(np.dot(row.astype(np.float64), asked[0].astype(np.float64)))
            for key, row in zip(ids, rows, strict=True)
            if key in allowed
        }
        assert len(found) == min(limit, len(cosines))
        for match in found:
            assert match.score == pytest.approx(cosines[match.chunk_id], abs=1e-6)
        best = sorted(cosines.values(), reverse=True)[: len(found)]
        assert [match.score for match in found] == pytest.approx(best, abs=1e-6)
        assert found == sorted(found, key=lambda match: (-match.score, match.chunk_id))


def test_the_cut_among_equals_is_in_the_order_of_ids():
    vectors = np.zeros((COUNT, 64), np.float32)
    vectors[:, :4] = 0.5  # halves, so that every sum is exact
    with closing(filled(vectors)) as store:
        ids, _ = store.vectors(SCOPE, MODEL)
        asked = np.full(64, 0.125, np.float32)
        for limit in (1, 7, 39):
            found = ExactIndex(store, MODEL).search(asked, Query(text=""), limit)
            assert [match.chunk_id for match in found] == sorted(ids)[:limit]
