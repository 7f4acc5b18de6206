"""The laws of ``DenseIndex``, one function each.

Each takes a function that makes an index over a store and a model; the store is ours. Before each
question the index is brought up to date, or it is not: it must answer rightly either way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

import numpy as np

from ctxeng.chunking import chunk
from ctxeng.protocols import DenseIndex, Match, Store, Vectors
from ctxeng.store import open_store
from ctxeng.testing.stores import entry_of
from ctxeng.types import Document, Query, Scope

MakeDenseIndex = Callable[[Store, str], DenseIndex]

MODEL = "model@1"
DIMENSIONS = 8
HERE, THERE = Scope(), Scope(tenant="acme")
ALL = 1_000


class _Shelf:
    """A store, an index over it, and the numbers that name its one-chunk documents."""

    def __init__(self, store: Store, index: DenseIndex) -> None:
        self.store = store
        self.index = index
        self._random = np.random.default_rng(0)

    def put(self, numbers: Sequence[int], *, scope: Scope = HERE, team: str = "") -> None:
        self.store.put(scope, [entry_of(_document(number, team)) for number in numbers])

    def remove(self, numbers: Sequence[int], *, scope: Scope = HERE) -> None:
        self.store.remove(scope, document_ids=[str(number) for number in numbers])

    def embed(self, vectors: Vectors | None = None, *, model: str = MODEL) -> None:
        """Give all texts that lack one a vector, at random where none are handed in."""
        missing = self.store.missing_vectors(model, ALL)
        rows = self.directions(len(missing)) if vectors is None else vectors
        self.store.put_vectors(model, [digest for digest, _ in missing], rows)

    def directions(self, count: int) -> Vectors:
        rows: Vectors = self._random.normal(size=(count, DIMENSIONS)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows

    def sync(self) -> None:
        self.index.sync(stopped=lambda: False, on_progress=lambda _: None)

    def ask(
        self,
        vector: Vectors,
        limit: int = ALL,
        *,
        scope: Scope = HERE,
        **where: tuple[str, ...],
    ) -> list[Match]:
        query = Query(text="asked by its vector", scope=scope, filter=dict(where))
        return self.index.search(vector, query, limit)

    def found(self, scope: Scope = HERE, **where: tuple[str, ...]) -> list[str]:
        matches = self.ask(self.directions(1)[0], ALL, scope=scope, **where)
        return sorted(match.chunk_id for match in matches)


def it_finds_what_brute_force_finds(make: MakeDenseIndex) -> None:
    """The highest cosines, best first, at most the limit."""
    for synced in (True, False):
        with _shelf(make) as shelf:
            shelf.put(range(60))
            shelf.embed()
            if synced:
                shelf.sync()
            ids, vectors = shelf.store.vectors(HERE, MODEL)
            for vector in shelf.directions(5):
                cosines = dict(zip(ids, (vectors @ vector).tolist(), strict=True))
                best = sorted(ids, key=lambda chunk_id: -cosines[chunk_id])
                for limit in (1, 10, 60, ALL):
                    matches = shelf.ask(vector, limit)
                    assert [match.chunk_id for match in matches] == best[:limit]
                    for match in matches:
                        assert abs(match.score - cosines[match.chunk_id]) < 1e-5
            for limit in (0, -1):
                assert shelf.ask(vectors[0], limit) == []


def nothing_is_found_where_nothing_is(make: MakeDenseIndex) -> None:
    for synced in (True, False):
        with _shelf(make) as shelf:
            if synced:
                shelf.sync()
            assert shelf.found() == []
            shelf.put([1, 2])  # no vectors yet
            assert shelf.found() == []
            shelf.embed(model="another")
            if synced:
                shelf.sync()
            assert shelf.found() == []


def every_vector_finds_its_own_chunk(make: MakeDenseIndex) -> None:
    with _shelf(make) as shelf:
        for first in range(0, 60, 20):
            shelf.put(range(first, first + 20))
            shelf.embed()
            shelf.sync()
        ids, vectors = shelf.store.vectors(HERE, MODEL)
        for chunk_id, vector in zip(ids, vectors, strict=True):
            (best,) = shelf.ask(vector, 1)
            assert best.chunk_id == chunk_id
            assert abs(best.score - 1) < 1e-5


def what_is_deleted_is_never_returned(make: MakeDenseIndex) -> None:
    for synced in (True, False):
        with _shelf(make) as shelf:
            shelf.put(range(10))
            shelf.embed()
            shelf.sync()
            shelf.remove(range(7))
            if synced:
                shelf.sync()
            assert shelf.found() == _ids(7, 8, 9)
            vectors = shelf.directions(1)
            assert {m.chunk_id for m in shelf.ask(vectors[0], 2)} <= set(_ids(7, 8, 9))
            shelf.put([3])
            shelf.embed()
            if synced:
                shelf.sync()
            assert shelf.found() == _ids(3, 7, 8, 9)


def no_search_crosses_its_scope(make: MakeDenseIndex) -> None:
    """Scopes come before the limit, and each has rows of its own, also under one id."""
    for synced in (True, False):
        with _shelf(make) as shelf:
            shelf.put([1, 2])
            shelf.put(range(2, 40), scope=THERE)
            shelf.embed()
            if synced:
                shelf.sync()
            theirs, vectors = shelf.store.vectors(THERE, MODEL)
            for vector in vectors[:5]:
                matches = shelf.ask(vector, 2)
                assert sorted(match.chunk_id for match in matches) == _ids(1, 2)
            assert shelf.found(THERE) == sorted(theirs)
            assert shelf.found(Scope(tenant="nobody")) == []
            shelf.remove([2])
            if synced:
                shelf.sync()
            assert shelf.found() == _ids(1)
            assert shelf.found(THERE) == sorted(theirs)


def filters_come_before_the_limit(make: MakeDenseIndex) -> None:
    """Every key must match, by one of its values."""
    for synced in (True, False):
        with _shelf(make) as shelf:
            shelf.put(range(30), team="a")
            shelf.put([30, 31], team="b")
            shelf.embed()
            if synced:
                shelf.sync()
            for vector in shelf.store.vectors(HERE, MODEL)[1][:5]:
                matches = shelf.ask(vector, 2, team=("b",))
                assert sorted(match.chunk_id for match in matches) == _ids(30, 31)
            assert shelf.found(team=("a", "b")) == _ids(*range(32))
            assert shelf.found(team=("b",), document_id=("30",)) == _ids(30)
            assert shelf.found(team=("c",)) == []
            assert shelf.found(team=()) == []
            assert shelf.found(unknown=("a",)) == []
            shelf.put([30], team="a")  # a filter asks for what is true now
            if synced:
                shelf.sync()
            assert shelf.found(team=("b",)) == _ids(31)


def a_new_vector_replaces_the_old_one(make: MakeDenseIndex) -> None:
    for synced in (True, False):
        with _shelf(make) as shelf:
            shelf.put(range(5))
            missing = [digest for digest, _ in shelf.store.missing_vectors(MODEL, ALL)]
            shelf.embed()
            shelf.sync()
            vectors = shelf.directions(len(missing))
            shelf.store.put_vectors(MODEL, missing, vectors)
            if synced:
                shelf.sync()
            ids, present = shelf.store.vectors(HERE, MODEL)
            for chunk_id, vector in zip(ids, present, strict=True):
                (best,) = shelf.ask(vector, 1)
                assert best.chunk_id == chunk_id
                assert abs(best.score - 1) < 1e-5
            assert shelf.found() == _ids(*range(5))


def equal_vectors_all_come_back_in_fixed_order(make: MakeDenseIndex) -> None:
    with _shelf(make) as shelf:
        shelf.put(range(9))
        vector = shelf.directions(1)
        shelf.embed(np.repeat(vector, 9, axis=0))
        shelf.sync()
        order = [match.chunk_id for match in shelf.ask(vector[0])]
        assert sorted(order) == _ids(*range(9))
        assert order == [match.chunk_id for match in shelf.ask(vector[0])]
        some = [match.chunk_id for match in shelf.ask(vector[0], 4)]
        assert len(set(some)) == 4
        assert some == [match.chunk_id for match in shelf.ask(vector[0], 4)]


def following_twice_is_following_once(make: MakeDenseIndex) -> None:
    with _shelf(make) as shelf:
        shelf.put(range(6))
        shelf.embed()
        for _ in range(3):
            shelf.sync()
            assert shelf.found() == _ids(*range(6))


def made_anew_it_answers_alike(make: MakeDenseIndex) -> None:
    """Whatever it went through before, only what the store holds now counts."""
    with _shelf(make) as shelf:
        for first in (0, 10, 20):
            shelf.put(range(first, first + 15))
            shelf.embed()
            shelf.sync()
            shelf.remove(range(first, first + 5))
            shelf.sync()
        with closing(make(shelf.store, MODEL)) as anew:
            other = _Shelf(shelf.store, anew)
            other.sync()
            for vector in shelf.directions(5):
                mine, theirs = shelf.ask(vector, 10), other.ask(vector, 10)
                assert [m.chunk_id for m in mine] == [m.chunk_id for m in theirs]


def it_has_a_name(make: MakeDenseIndex) -> None:
    with _shelf(make) as shelf:
        assert shelf.index.name


@contextmanager
def _shelf(make: MakeDenseIndex) -> Iterator[_Shelf]:
    with closing(open_store(None)) as store, closing(make(store, MODEL)) as index:
        yield _Shelf(store, index)


def _document(number: int, team: str = "") -> Document:
    return Document(id=str(number), text=f"Text {number}.", metadata={"team": team} if team else {})


def _ids(*numbers: int) -> list[str]:
    """Of the chunks of those documents, sorted."""
    return sorted(piece.id for number in numbers for piece in chunk(_document(number)))


DENSE_INDEX_LAWS: Sequence[Callable[[MakeDenseIndex], None]] = (
    it_finds_what_brute_force_finds,
    nothing_is_found_where_nothing_is,
    every_vector_finds_its_own_chunk,
    what_is_deleted_is_never_returned,
    no_search_crosses_its_scope,
    filters_come_before_the_limit,
    a_new_vector_replaces_the_old_one,
    equal_vectors_all_come_back_in_fixed_order,
    following_twice_is_following_once,
    made_anew_it_answers_alike,
    it_has_a_name,
)
