"""The laws of ``Store``, one function each. Each takes a function that makes an empty store."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import overload

import numpy as np

from ctxeng.chunking import chunk
from ctxeng.protocols import Change, Entry, Retention, Store, TraceRecord, Vectors
from ctxeng.types import Chunk, Document, Message, Metadata, Scope, sha256

MakeStore = Callable[[], Store]

HERE, THERE = Scope(), Scope(tenant="acme")
MODEL = "model@1"


def entry_of(*documents: Document, path: str = "", renamed_from: str = "") -> Entry:
    """A source with these documents, cut as by default; its path is the first one's id."""
    path = path or documents[0].id
    digest = " ".join(document.content_hash for document in documents)
    cut = [(document, chunk(document)) for document in documents]
    return Entry(path, digest, cut, renamed_from=renamed_from)


def long_document(document_id: str, words: Sequence[str]) -> Document:
    """A few chunks, one section for each of the words."""
    sections = [f"## About {word}\n\nHere it says {word} of {document_id}." for word in words]
    text = "\n\n".join(sections)
    return Document(id=document_id, text=text, format="markdown")


def state_of(store: Store) -> dict[tuple[str, str, str], Change]:
    """What an index that follows from the beginning ends up with."""
    found: dict[tuple[str, str, str], Change] = {}
    after = 0
    while True:
        changes, number = store.changes(after, 3)
        if number == after:
            return {key: change for key, change in found.items() if change.text is not None}
        found |= {(change.kind, change.scope, change.id): change for change in changes}
        after = number


# -- writing and reading


def what_is_put_is_read_back(make: MakeStore) -> None:
    from hypothesis import given, settings

    from ctxeng.testing.strategies import documents

    @settings(deadline=None, max_examples=50)
    @given(document=documents())
    def law(document: Document) -> None:
        with closing(make()) as store:
            entry = entry_of(document)
            store.put(HERE, [entry])
            chunks = entry.documents[0][1]
            assert store.document(HERE, document.id) == document
            assert store.document_ids(HERE) == [document.id]
            assert store.sources(HERE)[entry.path].hash == entry.hash
            assert list(store.sources(HERE)[entry.path].document_ids) == [document.id]
            hits = store.hits(HERE, [piece.id for piece in chunks] + ["unknown"])
            assert hits.keys() == {piece.id for piece in chunks}
            assert list(store.neighbours(HERE, document.id, 0, 10**6)) == [
                hits[piece.id] for piece in chunks
            ]
            for piece in chunks:
                hit = hits[piece.id]
                assert (hit.text, hit.span, hit.line) == (piece.text, piece.span, piece.line)
                assert (hit.prefix, hit.heading_path) == (piece.prefix, piece.heading_path)
                assert (hit.part, hit.format, hit.position) == (
                    piece.part,
                    piece.format,
                    piece.position,
                )
                assert (hit.uri, hit.title, hit.metadata) == (
                    document.uri,
                    document.title,
                    document.metadata,
                )
                assert hit.score == 0

    law()


def neighbours_come_in_order_and_within_bounds(make: MakeStore) -> None:
    with closing(make()) as store:
        document = long_document("d", ["pump", "seal", "valve", "rotor"])
        store.put(HERE, [entry_of(document, long_document("e", ["other"]), path="p")])
        pieces = chunk(document)
        for first, last in itertools.product(range(-1, 5), repeat=2):
            found = store.neighbours(HERE, "d", first, last)
            assert [hit.id for hit in found] == [
                piece.id for piece in pieces if first <= piece.position <= last
            ]
        assert store.neighbours(HERE, "unknown", 0, 9) == []


def a_source_that_cannot_be_read_is_remembered(make: MakeStore) -> None:
    with closing(make()) as store:
        store.put(HERE, [Entry("bad.pdf", "h", why="is encrypted", hint="Save it without")])
        record = store.sources(HERE)["bad.pdf"]
        assert (record.why, record.hint, list(record.document_ids)) == (
            "is encrypted",
            "Save it without",
            [],
        )
        counts = store.counts(HERE)
        assert (counts.sources, counts.failed, counts.documents) == (1, 1, 0)
        store.put(HERE, [entry_of(long_document("d", ["pump"]), path="bad.pdf")])
        assert store.sources(HERE)["bad.pdf"].why == ""
        assert store.counts(HERE).failed == 0


def an_entry_replaces_all_that_its_path_held(make: MakeStore) -> None:
    with closing(make()) as store:
        old, kept = long_document("old", ["pump", "seal"]), long_document("kept", ["valve"])
        store.put(HERE, [entry_of(old, kept, path="p")])
        store.put(HERE, [entry_of(kept, long_document("new", ["rotor"]), path="p")])
        assert sorted(store.document_ids(HERE)) == ["kept", "new"]
        assert store.hits(HERE, [piece.id for piece in chunk(old)]) == {}
        assert {key[2] for key in state_of(store) if key[0] == "document"} == {"kept", "new"}


def a_changed_document_loses_the_chunks_that_it_no_longer_has(make: MakeStore) -> None:
    with closing(make()) as store:
        old, new = (long_document("d", words) for words in (["pump", "seal"], ["pump", "valve"]))
        store.put(HERE, [entry_of(old)])
        before = store.last_change()
        store.put(HERE, [entry_of(new)])
        ids = {piece.id for piece in chunk(new)}
        gone = {piece.id for piece in chunk(old)} - ids
        assert gone
        assert store.hits(HERE, list(gone)) == {}
        changes, _ = store.changes(before, 100)
        assert {change.id for change in changes if change.text is None} == gone
        assert store.counts(HERE).chunks == len(ids)


def in_the_place_of_what_is_gone_comes_what_has_come_since(make: MakeStore) -> None:
    """What an index that is behind has found is read as the store stands now."""
    old, new = (long_document("d", words) for words in (["pump", "seal"], ["pump", "valve"]))
    other = Document(id="other", text="A rotor.")
    with closing(make()) as store:
        store.put(HERE, [entry_of(old), entry_of(other)])
        before = store.last_change()
        found = [piece.id for piece in (*chunk(old), *chunk(other))]
        hits, changes = store.hits_now(HERE, found, after=before)
        assert (hits, changes) == (store.hits(HERE, found), [])
        store.put(HERE, [entry_of(new), entry_of(Document(id="third", text="A seal."))])
        ids = {piece.id for piece in chunk(new)}
        came = ids - {piece.id for piece in chunk(old)}
        hits, changes = store.hits_now(HERE, [*found, "unknown"], after=before)
        assert hits.keys() == ids | {piece.id for piece in chunk(other)}
        assert came <= {change.id for change in changes} <= ids
        assert came == {one.id for one in changes if "says valve" in (one.text or "")}
        assert store.hits_now(THERE, found, after=before) == ({}, [])
        store.remove(HERE, document_ids=["d"])
        hits, changes = store.hits_now(HERE, found, after=before)
        assert (set(hits), changes) == ({piece.id for piece in chunk(other)}, [])


def what_is_removed_is_gone(make: MakeStore) -> None:
    """By path or by id; the answer says how many documents went."""
    with closing(make()) as store:
        documents = [long_document(name, ["pump", name]) for name in ("a", "b", "c")]
        store.put(HERE, [entry_of(*documents[:2], path="p"), entry_of(documents[2])])
        assert store.remove(HERE, paths=["unknown"], document_ids=["unknown"]) == 0
        assert store.remove(HERE, document_ids=["a"]) == 1
        assert "p" in store.sources(HERE)
        assert store.remove(HERE, document_ids=["b"]) == 1
        assert store.sources(HERE).keys() == {"c"}
        assert store.remove(HERE, paths=["c"]) == 1
        counts = store.counts(HERE)
        assert (counts.sources, counts.documents, counts.chunks) == (0, 0, 0)
        assert state_of(store) == {}


def a_renamed_source_keeps_its_documents(make: MakeStore) -> None:
    with closing(make()) as store:
        document, other = long_document("d", ["pump", "seal"]), long_document("e", ["valve"])
        store.put(HERE, [entry_of(document, path="old"), entry_of(other, path="taken")])
        ids = [piece.id for piece in chunk(document)]
        moved = document.model_copy(update={"uri": "new"})
        store.put(HERE, [entry_of(moved, path="new", renamed_from="old")])
        assert store.sources(HERE).keys() == {"new", "taken"}
        assert store.hits(HERE, ids).keys() == set(ids)
        # Onto a path that holds something: that is replaced.
        store.put(HERE, [entry_of(moved, path="taken", renamed_from="new")])
        assert store.sources(HERE).keys() == {"taken"}
        assert store.document_ids(HERE) == ["d"]
        assert store.counts(HERE).chunks == len(ids)


def a_write_that_fails_changes_nothing(make: MakeStore) -> None:
    """Whatever happens between its first row and its last."""

    class Torn(Sequence[Chunk]):
        """Chunks that cannot all be read."""

        def __init__(self, chunks: Sequence[Chunk]) -> None:
            self._chunks = chunks

        @overload
        def __getitem__(self, index: int) -> Chunk: ...
        @overload
        def __getitem__(self, index: slice) -> Sequence[Chunk]: ...
        def __getitem__(self, index: int | slice) -> Chunk | Sequence[Chunk]:
            return self._chunks[index]

        def __len__(self) -> int:
            return len(self._chunks)

        def __iter__(self) -> Iterator[Chunk]:
            yield self._chunks[0]
            raise InterruptedError("torn")

    import pytest

    with closing(make()) as store:
        before, after = long_document("d", ["pump", "seal"]), long_document("d", ["valve", "rotor"])
        store.put(HERE, [entry_of(before)])
        numbers, seen = store.last_change(), state_of(store)
        torn = Entry("d", "other", [(after, Torn(chunk(after)))])
        with pytest.raises(InterruptedError):
            store.put(HERE, [entry_of(long_document("e", ["new"])), torn])
        assert store.document(HERE, "d") == before
        assert store.document_ids(HERE) == ["d"]
        assert store.sources(HERE).keys() == {"d"}
        assert store.last_change() == numbers
        store.put(HERE, [entry_of(long_document("f", ["more"]))])
        assert seen.items() <= state_of(store).items()


# -- changes


def what_is_unchanged_makes_no_change(make: MakeStore) -> None:
    from hypothesis import given, settings

    from ctxeng.testing.strategies import documents

    @settings(deadline=None, max_examples=25)
    @given(document=documents())
    def law(document: Document) -> None:
        with closing(make()) as store:
            store.put(HERE, [entry_of(document)])
            before = store.last_change()
            store.put(HERE, [entry_of(document)])
            store.put(HERE, [])
            store.remove(HERE)
            assert store.last_change() == before
            assert store.changes(before, 10) == ([], before)

    law()


def change_numbers_rise_and_never_come_back(make: MakeStore) -> None:
    with closing(make()) as store:
        seen = [store.last_change()]
        for words in (["pump"], ["seal"], ["pump"]):
            store.put(HERE, [entry_of(long_document("d", words))])
            seen.append(store.last_change())
            store.remove(HERE, document_ids=["d"])
            seen.append(store.last_change())
        assert seen == sorted(set(seen))


def any_reading_of_the_changes_ends_in_the_present_state(make: MakeStore) -> None:
    """Each thing once in a window, as it is now; the end of the log is told by its number."""
    with closing(make()) as store:
        store.put(HERE, [entry_of(long_document("d", ["pump", "seal", "valve"]))])
        store.put(THERE, [entry_of(long_document("d", ["pump", "rotor"]))])
        store.put(HERE, [entry_of(long_document("d", ["seal", "motor"]))])
        store.put(HERE, [entry_of(long_document("e", ["pump"]))])
        store.remove(HERE, document_ids=["e"])
        whole, last = store.changes(0, 10_000)
        assert last == store.last_change()
        assert len({(c.kind, c.scope, c.id) for c in whole}) == len(whole)
        live = {(c.kind, c.scope, c.id): c.text for c in whole if c.text is not None}
        assert {key: change.text for key, change in state_of(store).items()} == live
        for scope, words in ((HERE, ["seal", "motor"]), (THERE, ["pump", "rotor"])):
            pieces = chunk(long_document("d", words))
            expected = {("chunk", scope.key, piece.id): piece.indexed_text for piece in pieces}
            assert {k: v for k, v in live.items() if k[:2] == ("chunk", scope.key)} == expected


def a_change_of_what_filters_compare_reaches_every_chunk(make: MakeStore) -> None:
    with closing(make()) as store:
        document = long_document("d", ["pump", "seal"])
        store.put(HERE, [entry_of(document)])
        before = store.last_change()
        store.put(HERE, [entry_of(document.model_copy(update={"metadata": {"team": ["a", 1]}}))])
        changes, _ = store.changes(before, 100)
        chunks = [change for change in changes if change.kind == "chunk"]
        assert len(chunks) == len(chunk(document))
        assert all(list(change.attributes["team"]) == ["a", "1"] for change in chunks)


# -- scopes and filters


def no_read_or_write_crosses_its_scope(make: MakeStore) -> None:
    """Two scopes hold documents of the same ids, and neither sees or touches the other's."""
    from hypothesis import given, settings
    from hypothesis import strategies as st

    from ctxeng.testing.strategies import SCOPES

    pairs = st.permutations(SCOPES).map(lambda order: order[:2])

    @settings(deadline=None, max_examples=12)
    @given(pair=pairs)
    def law(pair: Sequence[Scope]) -> None:
        mine, theirs = pair
        with closing(make()) as store:
            shared = long_document("d", ["pump"])
            secret = long_document("secret", ["rotor"])
            store.put(theirs, [entry_of(shared, secret, path="p")])
            _embed_all(store, MODEL)
            ids = [piece.id for document in (shared, secret) for piece in chunk(document)]
            for scope in (mine, Scope(tenant="nobody")):
                assert store.sources(scope) == {}
                assert store.document_ids(scope) == []
                assert store.document(scope, "d") is None
                assert store.hits(scope, ids) == {}
                assert store.neighbours(scope, "d", 0, 99) == []
                assert store.matching_chunks(scope, {}) == set()
                assert store.vectors(scope, MODEL)[0] == []
                assert store.vectors_of(scope.key, MODEL, ids)[0] == []
                assert store.vector_progress(scope, MODEL) == (0, 0)
                assert store.counts(scope).sources == 0
                assert store.remove(scope, paths=["p"], document_ids=["d", "secret"]) == 0
            store.put(mine, [entry_of(shared, path="p")])
            assert store.document_ids(mine) == ["d"]
            assert set(store.vectors(mine, MODEL)[0]) == {piece.id for piece in chunk(shared)}
            store.remove(mine, document_ids=["d"])
            assert store.document_ids(theirs) == ["d", "secret"]
            assert store.hits(theirs, ids).keys() == set(ids)
            assert store.vector_progress(theirs, MODEL) == (len(ids), len(ids))

    law()


def a_filter_asks_for_one_value_of_every_key(make: MakeStore) -> None:
    """Compared as strings: ``true`` and ``1``, and any item of a list."""
    from hypothesis import given, settings
    from hypothesis import strategies as st

    from ctxeng.testing import strategies

    texts = st.sampled_from(["a", "b", "A", "true", "1", "-3", "", "ä b", "nowhere"])
    filters = st.dictionaries(
        st.sampled_from(["lang", "team", "x.y", "", "unknown"]),
        st.lists(texts, max_size=2).map(tuple),
        max_size=2,
    )

    @settings(deadline=None, max_examples=50)
    @given(values=st.lists(strategies.metadata, min_size=1, max_size=4), where=filters)
    def law(values: list[Metadata], where: dict[str, tuple[str, ...]]) -> None:
        with closing(make()) as store:
            documents = [
                Document(id=str(number), text=f"Text {number}.", metadata=own)
                for number, own in enumerate(values)
            ]
            store.put(HERE, [entry_of(document) for document in documents])
            expected = {
                piece.id
                for document in documents
                for piece in chunk(document)
                if all(_as_strings(document, key) & set(wanted) for key, wanted in where.items())
            }
            assert store.matching_chunks(HERE, where) == expected

    law()


def a_filter_knows_what_every_document_has(make: MakeStore) -> None:
    with closing(make()) as store:
        document = Document(id="d", text="Text.", title="T", uri="u", media_type="text/x")
        store.put(HERE, [entry_of(document)])
        (piece,) = chunk(document)
        for key, value in (
            ("document_id", "d"),
            ("title", "T"),
            ("uri", "u"),
            ("media_type", "text/x"),
        ):
            assert store.matching_chunks(HERE, {key: (value,)}) == {piece.id}
            assert store.matching_chunks(HERE, {key: ("another",)}) == set()


# -- vectors


def every_text_is_embedded_once(make: MakeStore) -> None:
    """What lacks a vector is told until it has one, per model; equal texts share it."""
    with closing(make()) as store:
        words = ["pump", "seal", "valve"]
        store.put(HERE, [entry_of(long_document("d", words))])
        store.put(THERE, [entry_of(long_document("d", words))])
        total = len(chunk(long_document("d", words)))
        assert store.vector_progress(HERE, MODEL) == (0, total)
        assert len(store.missing_vectors(MODEL, 1)) == 1
        missing = store.missing_vectors(MODEL, 100)
        texts = {piece.embedded_text for piece in chunk(long_document("d", words))}
        assert sorted(text for _, text in missing) == sorted(texts)
        before = store.vector_state(MODEL)
        store.put_vectors(MODEL, [missing[0][0]], _vectors(1))
        assert store.vector_state(MODEL) != before
        assert store.vector_progress(HERE, MODEL) == (1, total)
        assert store.vector_progress(THERE, MODEL) == (1, total)
        assert store.missing_vectors(MODEL, 100) == [row for row in missing if row != missing[0]]
        assert len(store.missing_vectors("another", 100)) == total


def vectors_come_back_bit_for_bit(make: MakeStore) -> None:
    with closing(make()) as store:
        store.put(HERE, [entry_of(long_document("d", ["pump", "seal", "valve"]))])
        missing = store.missing_vectors(MODEL, 100)
        given = _vectors(len(missing))
        store.put_vectors(MODEL, [digest for digest, _ in missing], given)
        by_text = dict(zip((text for _, text in missing), given, strict=True))
        ids, matrix = store.vectors(HERE, MODEL)
        assert matrix.dtype == np.float32
        pieces = {piece.id: piece for piece in chunk(long_document("d", ["pump", "seal", "valve"]))}
        assert sorted(ids) == sorted(pieces)
        for chunk_id, row in zip(ids, matrix, strict=True):
            np.testing.assert_array_equal(row, by_text[pieces[chunk_id].embedded_text])
        some, rows = store.vectors_of(HERE.key, MODEL, [ids[0], "unknown"])
        assert some == ids[:1]
        np.testing.assert_array_equal(rows[0], matrix[0])
        assert store.vectors(HERE, "another")[0] == []


def a_documents_vector_is_the_mean_of_its_chunks(make: MakeStore) -> None:
    """Of unit length; of this scope's document alone, and of the chunks that have a vector."""
    with closing(make()) as store:
        for scope in (HERE, THERE):
            store.put(scope, [entry_of(long_document("d", ["pump", "seal", "valve"]))])
        store.put(HERE, [entry_of(long_document("other", ["rotor"]))])
        assert store.document_vectors(HERE, MODEL, ["d"])[0] == []
        _embed_all(store, MODEL)
        own = [piece.id for piece in chunk(long_document("d", ["pump", "seal", "valve"]))]
        assert store.parents(HERE, [*own, "unknown"]) == dict.fromkeys(own, "d")
        ids, means = store.document_vectors(HERE, MODEL, ["other", "d", "unknown"])
        assert sorted(ids) == ["d", "other"]
        mean = store.vectors_of(HERE.key, MODEL, own)[1].mean(axis=0)
        np.testing.assert_allclose(
            means[ids.index("d")], mean / np.linalg.norm(mean), rtol=1e-4, atol=1e-6
        )


def a_vector_goes_with_the_last_chunk_that_needs_it(make: MakeStore) -> None:
    """Also one that was still being made when its text went."""
    with closing(make()) as store:
        document = long_document("d", ["pump"])
        store.put(HERE, [entry_of(document)])
        store.put(THERE, [entry_of(document)])
        ((digest, _),) = store.missing_vectors(MODEL, 100)
        store.put_vectors(MODEL, [digest], _vectors(1))
        store.remove(HERE, document_ids=["d"])
        assert store.vector_progress(THERE, MODEL) == (1, 1)
        store.remove(THERE, document_ids=["d"])
        store.put_vectors(MODEL, [digest], _vectors(1))
        store.put(HERE, [entry_of(document)])
        assert store.vector_progress(HERE, MODEL) == (0, 1)


def changed_vectors_lead_to_the_present_ones(make: MakeStore) -> None:
    """Following them from any state ends with what ``vectors`` says."""
    with closing(make()) as store:
        held: set[tuple[str, str]] = set()
        reached = (0, 0)

        def follow() -> None:
            nonlocal reached
            changed, reached = store.changed_vectors(MODEL, reached)
            for scope_key, chunk_id in changed:
                held.discard((scope_key, chunk_id))
                if store.vectors_of(scope_key, MODEL, [chunk_id])[0]:
                    held.add((scope_key, chunk_id))
            assert held == {
                (scope.key, chunk_id)
                for scope in (HERE, THERE)
                for chunk_id in store.vectors(scope, MODEL)[0]
            }

        follow()
        store.put(HERE, [entry_of(long_document("d", ["pump", "seal"]))])
        follow()
        _embed_all(store, MODEL)
        follow()
        store.put(THERE, [entry_of(long_document("d", ["pump"]))])
        follow()
        store.put(HERE, [entry_of(long_document("d", ["seal", "valve"]))])
        _embed_all(store, MODEL)
        _embed_all(store, "another")
        follow()
        store.remove(HERE, document_ids=["d"])
        follow()
        assert {scope for scope, _ in held} == {THERE.key}


# -- small things


def meta_is_kept(make: MakeStore) -> None:
    with closing(make()) as store:
        assert store.get_meta("key") is None
        for value in ("one", "two", ""):
            store.set_meta("key", value)
            assert store.get_meta("key") == value


def source_hashes_are_those_that_were_put(make: MakeStore) -> None:
    with closing(make()) as store:
        entry = entry_of(long_document("a", ["pump"]), long_document("b", ["seal"]), path="p")
        store.put(HERE, [entry])
        assert store.source_hashes(HERE, ["a", "b", "x"]) == {"a": entry.hash, "b": entry.hash}
        assert store.source_hashes(THERE, ["a"]) == {}


def changed_documents_are_those_between_two_numbers(make: MakeStore) -> None:
    with closing(make()) as store:
        numbers = [store.last_change()]
        for name, scope in (("a", HERE), ("b", HERE), ("a", THERE)):
            store.put(scope, [entry_of(long_document(name, ["pump", "seal"]))])
            numbers.append(store.last_change())
        store.remove(HERE, document_ids=["b"])
        end = store.last_change()
        assert store.changed_documents(HERE, 0, end) == {"a": True, "b": False}
        assert store.changed_documents(HERE, 0, numbers[1]) == {"a": True}
        assert store.changed_documents(HERE, numbers[1], numbers[3]) == {"b": False}
        assert store.changed_documents(THERE, 0, end) == {"a": True}
        assert store.changed_documents(HERE, end, end + 9) == {}


# -- runs


def trace_record(
    trace_id: str, *texts: str, time: str = "2026-01-31T10:00:00.000000+00:00"
) -> TraceRecord:
    """A run that names these texts."""
    return TraceRecord(
        id=trace_id,
        verb="ask",
        time=time,
        summary=f'{{"query": "{trace_id}"}}',
        payload=f"payload of {trace_id}",
        texts={sha256(text): text for text in texts},
    )


def a_run_is_read_back_with_its_texts(make: MakeStore) -> None:
    from hypothesis import given, settings
    from hypothesis import strategies as st

    @settings(deadline=None, max_examples=50)
    @given(payload=st.text(), texts=st.sets(st.text(), max_size=6))
    def law(payload: str, texts: set[str]) -> None:
        with closing(make()) as store:
            run = replace(trace_record("a", *texts), payload=payload)
            store.put_trace(HERE, run)
            store.put_trace(HERE, trace_record("b", *texts, "another"))
            assert store.trace(HERE, "a") == run
            assert store.trace(HERE, "c") is None

    law()


def runs_are_listed_newest_first(make: MakeStore) -> None:
    with closing(make()) as store:
        hours = {"aa": 12, "ab": 10, "b": 11}
        for trace_id, hour in hours.items():
            store.put_trace(HERE, trace_record(trace_id, "text", time=_at(hour)))
        assert [row.id for row in store.traces(HERE)] == ["aa", "b", "ab"]
        assert [row.id for row in store.traces(HERE, limit=1)] == ["aa"]
        assert [row.id for row in store.traces(HERE, prefix="a")] == ["aa", "ab"]
        assert store.traces(HERE, prefix="x") == []
        (first, *_) = store.traces(HERE)
        assert first == replace(trace_record("aa", time=_at(12)), payload="")


def equal_runs_are_counted(make: MakeStore) -> None:
    with closing(make()) as store:
        for hour in (10, 12):
            store.put_trace(HERE, trace_record("a", "text", time=_at(hour)))
        store.put_trace(HERE, trace_record("b", "text", time=_at(11)))
        assert [(row.id, row.runs) for row in store.traces(HERE)] == [("a", 2), ("b", 1)]
        run = store.trace(HERE, "a")
        assert run is not None
        assert (run.time, run.runs) == (_at(12), 2)


def runs_cross_no_scope(make: MakeStore) -> None:
    with closing(make()) as store:
        store.put_trace(HERE, trace_record("a", "text"))
        assert store.trace(THERE, "a") is None
        assert store.traces(THERE) == []
        assert store.remove_traces(THERE, ["a"]) == 0
        store.put_trace(THERE, trace_record("a", "text"), Retention(runs=1, since=_at(10)))
        assert store.trace(HERE, "a") == store.trace(THERE, "a") == trace_record("a", "text")


def a_text_goes_with_the_last_run_that_names_it(make: MakeStore) -> None:
    """Whoever removes runs; and what another run names stays whole."""
    with closing(make()) as store:
        for name, scope in (("a", HERE), ("b", HERE), ("c", THERE)):
            store.put_trace(scope, trace_record(name, f"only {name}", "of all"))
        assert store.remove_traces(HERE, ["a", "unknown"]) == 1
        assert store.trace(HERE, "a") is None
        assert store.trace(HERE, "b") == trace_record("b", "only b", "of all")
        assert store.remove_traces(HERE, ["b"]) == 1
        assert store.trace(THERE, "c") == trace_record("c", "only c", "of all")


def old_runs_go_when_one_is_written(make: MakeStore) -> None:
    with closing(make()) as store:
        for hour in range(10, 16):
            run = trace_record(f"at {hour}", f"text {hour}", time=_at(hour))
            store.put_trace(HERE, run, Retention(runs=3))
        assert [row.id for row in store.traces(HERE)] == ["at 15", "at 14", "at 13"]
        late = trace_record("late", "text 15", time=_at(16))
        store.put_trace(HERE, late, Retention(since=_at(15)))
        assert [row.id for row in store.traces(HERE)] == ["late", "at 15"]
        assert store.trace(HERE, "late") == late


# -- conversations


def turns_come_back_in_order(make: MakeStore) -> None:
    from hypothesis import given, settings
    from hypothesis import strategies as st

    from ctxeng.testing.strategies import messages

    @settings(deadline=None, max_examples=50)
    @given(batches=st.lists(st.lists(messages(), max_size=4), max_size=4))
    def law(batches: list[list[Message]]) -> None:
        with closing(make()) as store:
            held: list[Message] = []
            for batch in batches:
                held += batch
                assert store.add_turns(HERE, "session", batch) == len(held)
            assert store.turns(HERE, "session") == held
            for after in range(len(held) + 2):
                assert store.turns(HERE, "session", after=after) == held[after:]

    law()


def a_session_keeps_its_last_state(make: MakeStore) -> None:
    with closing(make()) as store:
        assert store.session_state(HERE, "session") is None
        for state in ("{}", "", '{"pinned": ["äöü"]}'):
            store.put_session_state(HERE, "session", state)
            assert store.session_state(HERE, "session") == state


def sessions_stay_apart_until_they_are_forgotten(make: MakeStore) -> None:
    """Those of one scope, and those of one id in two scopes."""
    with closing(make()) as store:
        hello, bye = Message(role="user", content="hello"), Message(role="user", content="bye")
        for scope, session in ((HERE, "a"), (HERE, "b"), (THERE, "a")):
            store.add_turns(scope, session, [hello, bye])
        store.put_session_state(HERE, "a", "state")
        store.put_session_state(HERE, "c", "state")
        assert store.sessions(HERE) == ["a", "b", "c"]
        assert store.session_state(THERE, "a") is None
        assert store.remove_session(HERE, "a")
        assert not store.remove_session(HERE, "a")
        assert store.turns(HERE, "a") == []
        assert store.session_state(HERE, "a") is None
        assert store.sessions(HERE) == ["b", "c"]
        assert store.turns(HERE, "b") == store.turns(THERE, "a") == [hello, bye]


def a_state_is_changed_whole_or_not_at_all(make: MakeStore) -> None:
    """With the records that go with it, and with the turns that it forgets."""
    import pytest

    with closing(make()) as store:
        store.add_turns(HERE, "a", [Message(role="user", content="hello")])
        assert store.change_session_state(HERE, "a", lambda old: f"{old}1") == "None1"

        def fails(old: str | None) -> str:
            raise ValueError(old)

        with pytest.raises(ValueError, match="None1"):
            store.change_session_state(HERE, "a", fails, archived={"x": "X"}, forget_turns=True)
        assert store.session_state(HERE, "a") == "None1"
        assert len(store.turns(HERE, "a")) == 1
        assert store.archived(HERE, "a", "x") is None
        store.change_session_state(HERE, "a", lambda old: f"{old}2", archived={"x": "X", "y": "Y"})
        assert store.session_state(HERE, "a") == "None12"
        assert store.archived(HERE, "a", "x") == "X"
        assert store.archived(HERE, "b", "x") is store.archived(THERE, "a", "x") is None
        store.change_session_state(HERE, "a", lambda _: "3", archived={"z": "Z"}, forget_turns=True)
        assert store.turns(HERE, "a") == []
        assert [store.archived(HERE, "a", name) for name in "xyz"] == [None, None, "Z"]
        assert store.remove_session(HERE, "a")
        assert store.archived(HERE, "a", "z") is None
        store.change_session_state(HERE, "a", lambda _: "", archived={}, forget_turns=True)
        assert store.session_state(HERE, "a") is None
        assert store.sessions(HERE) == []


def counts_count(make: MakeStore) -> None:
    with closing(make()) as store:
        documents = [long_document(name, ["pump", "seal"]) for name in ("a", "b")]
        store.put(HERE, [entry_of(*documents, path="p"), Entry("bad", "h", why="is broken")])
        counts = store.counts(HERE)
        chunks = sum(len(chunk(document)) for document in documents)
        assert (counts.sources, counts.failed, counts.documents) == (2, 1, 2)
        assert counts.chunks == chunks


def _at(hour: int) -> str:
    return f"2026-01-31T{hour}:00:00.000000+00:00"


def _as_strings(document: Document, key: str) -> set[str]:
    found = document.metadata.get(key, [])
    values = found if isinstance(found, list) else [found]
    return {str(one).lower() if isinstance(one, bool) else str(one) for one in values}


def _vectors(count: int) -> Vectors:
    rows: Vectors = np.random.default_rng(count).normal(size=(count, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _embed_all(store: Store, model: str) -> Mapping[str, str]:
    missing = dict(store.missing_vectors(model, 10_000))
    store.put_vectors(model, list(missing), _vectors(len(missing)))
    return missing


STORE_LAWS: Sequence[Callable[[MakeStore], None]] = (
    what_is_put_is_read_back,
    neighbours_come_in_order_and_within_bounds,
    a_source_that_cannot_be_read_is_remembered,
    an_entry_replaces_all_that_its_path_held,
    a_changed_document_loses_the_chunks_that_it_no_longer_has,
    in_the_place_of_what_is_gone_comes_what_has_come_since,
    what_is_removed_is_gone,
    a_renamed_source_keeps_its_documents,
    a_write_that_fails_changes_nothing,
    what_is_unchanged_makes_no_change,
    change_numbers_rise_and_never_come_back,
    any_reading_of_the_changes_ends_in_the_present_state,
    a_change_of_what_filters_compare_reaches_every_chunk,
    no_read_or_write_crosses_its_scope,
    a_filter_asks_for_one_value_of_every_key,
    a_filter_knows_what_every_document_has,
    every_text_is_embedded_once,
    vectors_come_back_bit_for_bit,
    a_documents_vector_is_the_mean_of_its_chunks,
    a_vector_goes_with_the_last_chunk_that_needs_it,
    changed_vectors_lead_to_the_present_ones,
    meta_is_kept,
    source_hashes_are_those_that_were_put,
    changed_documents_are_those_between_two_numbers,
    a_run_is_read_back_with_its_texts,
    runs_are_listed_newest_first,
    equal_runs_are_counted,
    runs_cross_no_scope,
    a_text_goes_with_the_last_run_that_names_it,
    old_runs_go_when_one_is_written,
    turns_come_back_in_order,
    a_session_keeps_its_last_state,
    sessions_stay_apart_until_they_are_forgotten,
    a_state_is_changed_whole_or_not_at_all,
    counts_count,
)
