"""One writer, many readers, threads and processes."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ctxeng import Document, Scope, WorkspaceError
from ctxeng.errors import WorkspaceBusyError
from ctxeng.store import open_store, writer_lock
from ctxeng.testing.stores import entry_of, long_document, trace_record

SCOPE = Scope()
SMALL = long_document("d", ["pump"])
LARGE = long_document("d", [f"topic {n} " + "filler " * 60 for n in range(20)])
TIMEOUT = 60


@pytest.fixture(params=["file", "memory"])
def store(request, tmp_path):
    opened = open_store(tmp_path if request.param == "file" else None)
    yield opened
    opened.close()


def test_a_reader_beside_a_writer_sees_one_state(store):
    """Never the chunks of one version and the counts of another."""
    entries = [entry_of(SMALL), entry_of(LARGE)]
    states = {len(entry.documents[0][1]): entry.documents[0][0] for entry in entries}
    store.put(SCOPE, entries[:1])
    done = threading.Event()

    def write():
        try:
            for turn in range(60):
                store.put(SCOPE, [entries[turn % 2]])
        finally:
            done.set()

    def read():
        seen = set()
        while not done.is_set():
            counts = store.counts(SCOPE)
            assert counts.chunks in states
            hits = store.neighbours(SCOPE, "d", 0, 99)
            assert len(hits) in states
            whole = states[len(hits)].text
            assert all(whole[hit.start : hit.end] == hit.text for hit in hits)
            assert store.document(SCOPE, "d") in states.values()
            seen.add(len(hits))
        return seen

    with ThreadPoolExecutor(5) as pool:
        writer, *readers = pool.submit(write), *(pool.submit(read) for _ in range(4))
        writer.result(TIMEOUT)
        seen = set().union(*(reader.result(TIMEOUT) for reader in readers))
    assert seen <= set(states)


def test_many_threads_write_without_loss(store):
    def write(worker):
        for number in range(15):
            document = Document(id=f"{worker}-{number}", text=f"text {number} of {worker}")
            store.put(SCOPE, [entry_of(document)])
            missing = store.missing_vectors("m", 3)
            assert isinstance(missing, list)
            store.set_meta(f"key {worker}", str(number))
            store.put_trace(SCOPE, trace_record(f"{worker} {number}"))

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(write, worker) for worker in range(6)]:
            done.result(TIMEOUT)
    assert store.counts(SCOPE).documents == 90
    assert {store.get_meta(f"key {worker}") for worker in range(6)} == {"14"}
    assert len(store.traces(SCOPE)) == 90
    changes, last = store.changes(0, 1_000)
    assert last == store.last_change() == 180
    assert len({change.number for change in changes}) == 180


def test_an_error_in_the_middle_rolls_back_and_the_store_goes_on(store):
    class Broken:
        def __iter__(self):
            raise RuntimeError("torn")

    bad = entry_of(SMALL)
    object.__setattr__(bad, "documents", [(SMALL, Broken())])
    for _ in range(3):
        with pytest.raises(RuntimeError, match="torn"):
            store.put(SCOPE, [entry_of(LARGE.model_copy(update={"id": "e"})), bad])
        assert store.document_ids(SCOPE) == []
        assert store.last_change() == 0
    store.put(SCOPE, [entry_of(SMALL)])
    assert store.document_ids(SCOPE) == ["d"]


def test_what_is_closed_says_so_and_may_be_closed_again(store):
    store.put(SCOPE, [entry_of(SMALL)])
    store.close()
    store.close()
    for use in (
        lambda: store.counts(SCOPE),
        lambda: store.put(SCOPE, [entry_of(SMALL)]),
        lambda: store.get_meta("key"),
    ):
        with pytest.raises(WorkspaceError, match="closed"):
            use()


def test_what_was_written_is_there_for_the_next_one(tmp_path):
    first = open_store(tmp_path)
    first.put(SCOPE, [entry_of(SMALL)])
    second = open_store(tmp_path)  # beside the first, which has not been closed
    assert second.document(SCOPE, "d") == SMALL
    second.put(SCOPE, [entry_of(LARGE)])
    assert first.document(SCOPE, "d") == LARGE
    first.close()
    second.close()
    third = open_store(tmp_path, read_only=True)
    assert third.document(SCOPE, "d") == LARGE
    third.close()


OPENER = """
import sys
from pathlib import Path
from ctxeng.store import open_store
sys.stdin.readline()
store = open_store(Path(sys.argv[1]))
store.set_meta(sys.argv[2], "here")
store.close()
"""


def test_processes_that_make_a_workspace_at_once_all_get_it(tmp_path):
    folder = tmp_path / "w"
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, str(folder), str(number)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for opener in openers:
        opener.stdin.write("go\n")
        opener.stdin.flush()
    for opener in openers:
        _, said = opener.communicate(timeout=TIMEOUT)
        assert opener.returncode == 0, said
    store = open_store(folder)
    assert [store.get_meta(str(number)) for number in range(4)] == ["here"] * 4
    store.close()


def test_threads_that_make_a_workspace_at_once_all_get_it(tmp_path):
    start = threading.Barrier(8)

    def open_it(number):
        start.wait(TIMEOUT)
        store = open_store(tmp_path / "w")
        store.set_meta(str(number), "here")
        store.close()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(open_it, number) for number in range(8)]:
            done.result(TIMEOUT)


def test_text_that_is_none_is_refused_clearly(store):
    for use in (
        lambda: store.document(SCOPE, "\udcff"),
        lambda: store.set_meta("key", "\ud800"),
        lambda: store.remove(SCOPE, paths=["\udcff"]),
    ):
        with pytest.raises(WorkspaceError, match="surrogate"):
            use()
    store.put(SCOPE, [entry_of(SMALL)])
    assert store.document_ids(SCOPE) == ["d"]


# -- one writer


def test_a_second_writer_is_told_at_once_who_writes(tmp_path):
    with writer_lock(tmp_path, wait=False):  # noqa: SIM117
        with (
            pytest.raises(WorkspaceBusyError, match=r"is being written by process \d+ since"),
            writer_lock(tmp_path, wait=False),
        ):
            pytest.fail("two writers at once")
    with writer_lock(tmp_path, wait=False):
        pass  # it is free again


def test_a_workspace_in_memory_needs_no_lock():
    with writer_lock(None, wait=False), writer_lock(None, wait=False):
        pass


def test_one_that_waits_gets_its_turn(tmp_path):
    entered = threading.Event()

    def second():
        with writer_lock(tmp_path, wait=True):
            entered.set()

    with ThreadPoolExecutor(1) as pool:
        with writer_lock(tmp_path, wait=False):
            waiting = pool.submit(second)
            assert not entered.is_set()
        waiting.result(TIMEOUT)
    assert entered.is_set()
