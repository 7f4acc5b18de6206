"""Chroma answers as exact search does, and only while its files are what it left behind."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ctxeng import Document, Engine, Scope, Settings
from ctxeng.embedding import StaticEmbedder
from ctxeng.indexing import ChromaIndex, ExactIndex
from ctxeng.indexing.chroma import Folder, Server
from ctxeng.settings import EmbeddingSettings, IndexingSettings
from ctxeng.types import Query

WORDS = """
leave travel budget parking canteen laptop visa pension bonus training office car
""".split()  # noqa: SIM905 - reads as the list that it is


def settings(**indexing):
    return Settings(
        embedding=EmbeddingSettings(model="static"), indexing=IndexingSettings(**indexing)
    )


CHROMA = settings(dense="chroma")


def documents(first, last, word=""):
    return [
        Document(
            id=str(i),
            text=f"{WORDS[i % 12]} {WORDS[i % 7]} rule {i} {word} of section {i * 7 % 31}",
            metadata={"parity": i % 2},
        )
        for i in range(first, last)
    ]


def opened(path, configured=CHROMA, **options):
    return Engine.open(path, settings=configured, **options)


def index_of(engine):
    return engine._parts.tiers[0].index


def exact_answers(engine, text, limit=10, where=None):
    parts = engine._parts
    vector = parts.tiers[0].embedder.embed([text], "query")[0]
    query = Query(text=text, filter=where or {}, scope=parts.scope)
    exact = ExactIndex(parts.store, parts.tiers[0].embedder.name)
    return exact.search(vector, query, limit)


def assert_answers_as_exact(engine, kind="chroma"):
    assert engine.status().dense == kind
    for text in ("parking rule", "visa of section 3", "bonus 17"):
        expected = {match.chunk_id: match.score for match in exact_answers(engine, text, 40)}
        hits = engine.search(text, limit=10, mode="dense")
        assert len(hits) == 10
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        tenth = sorted(expected.values(), reverse=True)[9]
        for hit in hits:  # which of several equal ones is open, how good they are is not
            assert hit.score == pytest.approx(expected[hit.id], abs=1e-5)
            assert hit.score >= tenth - 1e-5


def folder_of(workspace):
    (folder,) = [path for path in (workspace / "dense").glob("*/*") if path.is_dir()]
    return folder


@pytest.fixture
def workspace(tmp_path):
    """300 documents in Chroma, closed."""
    path = tmp_path / "workspace"
    with opened(path) as engine:
        engine.index(documents(0, 300), wait=True)
        assert engine.status().dense == "chroma"
    return path


def test_it_answers_as_exact_search_does_and_follows_every_change(tmp_path):
    with opened(tmp_path / "w") as engine:
        engine.index(documents(0, 300), wait=True)
        assert_answers_as_exact(engine)
        engine.index(documents(100, 200, "changed"), wait=True)
        assert_answers_as_exact(engine)
        engine.remove(*(str(i) for i in range(0, 300, 3)))
        engine.wait_vectors()
        assert_answers_as_exact(engine)
        ids = {hit.document_id for hit in engine.search("rule", limit=300, mode="dense")}
        assert ids == {str(i) for i in range(300) if i % 3}


def test_before_the_background_has_brought_it_up_exact_search_answers(tmp_path):
    with opened(tmp_path / "w") as engine:
        engine.index(documents(0, 50), fast=True)
        assert_answers_as_exact(engine, "exact")


def test_a_filter_is_applied_before_the_limit(workspace):
    with opened(workspace) as engine:
        hits = engine.search("parking", limit=7, mode="dense", filter={"parity": 1})
        expected = exact_answers(engine, "parking", 7, {"parity": ("1",)})
        assert [hit.id for hit in hits] == [match.chunk_id for match in expected]
        assert all(int(hit.document_id) % 2 for hit in hits)


def test_opening_again_takes_up_the_same_files(workspace):
    before = folder_of(workspace).name
    for _ in range(2):
        with opened(workspace) as engine:
            assert_answers_as_exact(engine)
    assert folder_of(workspace).name == before


def test_a_kill_while_it_only_reads_costs_nothing(workspace):
    before = folder_of(workspace).name
    code = f"""
import os, signal
from tests.indexing.test_chroma import opened, assert_answers_as_exact
engine = opened({str(workspace)!r})
assert_answers_as_exact(engine)
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = Path(__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, timeout=100, check=False)
    assert ran.returncode == -9
    with opened(workspace) as engine:
        assert_answers_as_exact(engine)
    assert folder_of(workspace).name == before


DAMAGES = {
    "emptied": lambda data: b"",
    "halved": lambda data: data[: len(data) // 2],
    "one bit": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    ),
}
FILES = ("data_level0.bin", "header.bin", "link_lists.bin", "index_metadata.pickle")


@pytest.mark.parametrize("damage", [*DAMAGES, "deleted"])
def test_damaged_files_are_never_opened_and_made_anew(tmp_path, damage):
    """More than Chroma's sync threshold, so that it has written its segment files."""
    workspace = tmp_path / "w"
    with opened(workspace) as engine:
        engine.index(documents(0, 1_100), wait=True)
    folder = folder_of(workspace)
    names = [path for path in folder.rglob("*") if path.name in (*FILES, "chroma.sqlite3")]
    assert len(names) == 5
    for file in names:
        data = file.read_bytes()
        if damage == "deleted":
            file.unlink()
        else:
            file.write_bytes(DAMAGES[damage](data) or b"")
        if file.exists() and file.read_bytes() == data:
            continue  # an empty file cannot be made smaller
        with opened(workspace) as engine:
            assert_answers_as_exact(engine, "exact")
            assert "damaged" in index_of(engine).problem
            (check,) = [c for c in engine.doctor() if c.name == "dense index"]
            assert not check.ok
            assert "ctxeng index" in check.advice
        file.write_bytes(data)
        with opened(workspace) as engine:
            assert_answers_as_exact(engine)
    names[0].unlink()
    with opened(workspace) as engine:
        engine.index(documents(0, 1), wait=True)
        assert_answers_as_exact(engine)
    assert folder_of(workspace) != folder
    assert not folder.exists()


def test_what_was_being_written_when_its_process_ended_is_made_anew(workspace, monkeypatch):
    old = folder_of(workspace)

    def die(*_):
        raise KeyboardInterrupt  # as a kill would, it leaves the flag as it is

    with opened(workspace) as engine:
        engine.index(documents(300, 310), fast=True)
        monkeypatch.setattr(ChromaIndex, "_put", die)
        with pytest.raises(KeyboardInterrupt):
            index_of(engine).sync(stopped=lambda: False, on_progress=lambda _: None)
        monkeypatch.undo()
    with opened(workspace) as engine:
        assert_answers_as_exact(engine, "exact")
        engine.index(documents(300, 310), wait=True)
        assert_answers_as_exact(engine)
    assert not old.exists()


def test_a_search_that_fails_is_answered_exactly(workspace, monkeypatch):
    def fail(*_):
        raise RuntimeError("no such segment")

    with opened(workspace) as engine:
        assert engine.status().dense == "chroma"
        monkeypatch.setattr(ChromaIndex, "_ask", fail)
        hits = engine.search("parking", limit=5, mode="dense")
        monkeypatch.undo()
        assert [hit.id for hit in hits] == [
            match.chunk_id for match in exact_answers(engine, "parking", 5)
        ]
        assert_answers_as_exact(engine, "exact")
        assert "no such segment" in index_of(engine).problem
        engine.index(documents(0, 1), wait=True)
        assert_answers_as_exact(engine)


def test_stopped_early_it_leaves_exact_search_and_is_made_by_the_next_run(tmp_path):
    with opened(tmp_path / "w") as engine:
        engine.index(documents(0, 50), fast=True)
        index_of(engine).sync(stopped=lambda: True, on_progress=lambda _: None)
        assert_answers_as_exact(engine, "exact")
        engine.index(documents(0, 50), wait=True)
        assert_answers_as_exact(engine)


def test_one_process_has_the_folder_and_the_next_one_searches_exactly(workspace):
    with opened(workspace) as first, opened(workspace) as second:
        assert_answers_as_exact(first)
        assert_answers_as_exact(second, "exact")
        second.index(documents(300, 320), wait=True)
        assert_answers_as_exact(second, "exact")
        assert_answers_as_exact(first, "exact")  # it is behind, and says so
        first.index(documents(0, 1), wait=True)
        assert_answers_as_exact(first)


def test_scopes_are_apart(tmp_path):
    ann, ben = Scope(user="ann"), Scope(user="ben")
    with opened(tmp_path / "w", scope=ann) as engine:
        engine.index(documents(0, 40), wait=True)
    with opened(tmp_path / "w", scope=ben) as engine:
        engine.index(documents(100, 140), wait=True)
        assert engine.status().dense == "chroma"
        found = engine.search("parking rule", limit=100, mode="dense")
        assert {int(hit.document_id) for hit in found} == set(range(100, 140))


def test_auto_is_exact_up_to_the_limit_and_chroma_above(tmp_path):
    configured = settings(dense="auto", exact_limit=60)
    with opened(tmp_path / "w", configured) as engine:
        engine.index(documents(0, 60), wait=True)
        assert_answers_as_exact(engine, "exact")
        engine.index(documents(0, 61), wait=True)
        assert_answers_as_exact(engine, "chroma")
        engine.remove("60")
        engine.wait_vectors()
        assert_answers_as_exact(engine, "exact")


def test_who_may_only_read_searches_exactly(workspace):
    with opened(workspace, read_only=True) as engine:
        assert_answers_as_exact(engine, "exact")


def test_in_memory_it_needs_a_server():
    with pytest.raises(Exception, match="workspace on disk"):
        opened(":memory:")


@pytest.mark.parametrize("url", ["localhost:8000", "file:///tmp", "http://"])
def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(Exception, match="chroma_url"):
        Server(url)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real Chroma server on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    chroma = Path(sys.executable).with_name("chroma")
    folder = tmp_path_factory.mktemp("server")
    process = subprocess.Popen(
        [chroma, "run", "--path", folder, "--port", str(port), "--host", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline
    yield process, f"http://127.0.0.1:{port}"
    process.kill()
    process.wait(20)


def test_a_server_holds_the_vectors_of_many_processes(server, tmp_path):
    _, url = server
    configured = settings(chroma_url=url)
    with opened(tmp_path / "a", configured) as a, opened(tmp_path / "b", configured) as b:
        a.index(documents(0, 60), wait=True)
        b.index(documents(100, 160), wait=True)
        assert_answers_as_exact(a)
        assert_answers_as_exact(b)
        with opened(tmp_path / "a", configured) as again:
            assert_answers_as_exact(again)


def test_a_server_that_is_gone_leaves_exact_search(server, tmp_path):
    process, url = server
    with opened(tmp_path / "w", settings(chroma_url=url)) as engine:
        engine.index(documents(0, 60), wait=True)
        assert_answers_as_exact(engine)
        process.kill()
        process.wait(20)
        assert len(engine.search("parking", limit=5, mode="dense")) == 5
        assert_answers_as_exact(engine, "exact")
        engine.index(documents(60, 70), wait=True)
        assert_answers_as_exact(engine, "exact")
        assert index_of(engine).problem


def test_closing_frees_the_folder(workspace):
    home = Folder(next((workspace / "dense").iterdir()))
    with opened(workspace) as engine:
        assert engine.status().dense == "chroma"
        assert not home.claim()
    assert home.claim()
    home.leave()


def test_recall_of_the_ten_best_is_that_of_exact_search(tmp_path):
    rng = np.random.default_rng(5)
    texts = [" ".join(rng.choice(WORDS, 8)) + f" {i}" for i in range(2_000)]
    with opened(tmp_path / "w") as engine:
        engine.index([Document(id=str(i), text=text) for i, text in enumerate(texts)], wait=True)
        assert engine.status().dense == "chroma"
        shares = []
        for text in texts[:50]:
            expected = {match.chunk_id for match in exact_answers(engine, text)}
            found = engine.search(text, limit=10, mode="dense")
            shares.append(len(expected & {hit.id for hit in found}) / 10)
        assert np.mean(shares) > 0.98


def test_the_embedder_is_the_packaged_one():
    with opened(":memory:", settings()) as engine:
        assert isinstance(engine._parts.tiers[0].embedder, StaticEmbedder)
        assert isinstance(index_of(engine), ExactIndex)
