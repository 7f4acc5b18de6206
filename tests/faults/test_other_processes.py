"""What other processes, other settings and other users do to a workspace."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import jobs
import pytest
from anomalies import Loop
from forks import Forks

import ctxeng.engine.index
import ctxeng.engine.wiring
import ctxeng.indexing.view
from ctxeng import Document, Engine, Settings, WorkspaceError
from ctxeng.errors import WorkspaceBusyError
from ctxeng.settings import ChunkingSettings, EmbeddingSettings

FAST = Settings(embedding=EmbeddingSettings(model="static"))
PLAIN = {"dense": "auto", "small_batches": False}
SECONDS = 120


@pytest.fixture
def other():
    """A second process to fork from, for what runs beside."""
    with Forks() as forks:
        yield forks


@pytest.fixture
def held(other, tmp_path):
    """A workspace that another process is writing, until told to go on."""
    other.start("hold", root=str(tmp_path), **PLAIN)
    jobs.wait_for(tmp_path / "holding")
    yield tmp_path / "workspace"
    (tmp_path / "go on").touch()


def ended(other, held):
    (held.parent / "go on").touch()
    said = other.finish()["said"]
    assert said["added"] == 1
    return said


def cli(*arguments, cwd):
    return subprocess.Popen(
        [sys.executable, "-m", "ctxeng", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(child):
    out, err = child.communicate(timeout=SECONDS)
    assert "Traceback" not in err, err
    return out, err


def test_a_second_writer_is_told_at_once_who_holds_the_workspace(held, other):
    with Engine.open(held, settings=FAST) as engine:
        began = time.monotonic()
        with pytest.raises(WorkspaceBusyError) as caught:
            engine.index(Document(id="second", text="The second writer."))
        assert time.monotonic() - began < 1
    pid = ended(other, held)["pid"]
    assert f"process {pid} since" in str(caught.value)
    assert "--wait-for-writer" in str(caught.value)


def test_a_second_writer_waits_when_asked_to(held, other):
    (held.parent / "note.md").write_text("# Note\n\nThe second writer wrote this.\n")
    (held.parent / "ctxeng.toml").write_text('[embedding]\nmodel = "static"\n')
    arguments = ("index", "note.md", "--workspace", held)
    refused = cli(*arguments, cwd=held.parent)
    _, err = finished(refused)
    assert refused.returncode == 2
    assert "is being written by process" in err
    waiting = cli(*arguments, "--wait-for-writer", "--json", cwd=held.parent)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(2)
    ended(other, held)
    out, _ = finished(waiting)
    assert json.loads(out)["added"] == 1
    with Engine.open(held, settings=FAST) as engine:
        for query, document_id in (("okapi", "held"), ("second writer", None)):
            (hit,) = engine.search(query, mode="lexical")
            assert document_id in (hit.document_id, None)


def test_who_waits_for_a_writer_can_still_be_closed(held, other):
    engine = Engine.open(held, settings=FAST, wait_for_writer=True)
    child = cli("index", ".", "--workspace", held, "--wait-for-writer", cwd=held.parent)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(2)
    child.send_signal(signal.SIGINT)
    finished(child)
    assert child.returncode == 130
    engine.close()
    ended(other, held)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_reader_beside_a_writer_sees_one_version_of_each_document_and_none_older_than_before(
    forks, other, tmp_path, read_only
):
    """1,000 queries while 25 documents change again and again. By its terms each is always found;
    by vectors from when it has one.
    """
    request = {**PLAIN, "root": str(tmp_path), "documents": 25}
    with Engine.open(tmp_path / "workspace", settings=FAST) as engine:
        engine.index(
            [Document(id="steady", text="The steady okapi stays."), *jobs.generation(0, 25)]
        )
    other.start("write_generations", **request, generations=40)
    read = forks.run("read_beside", **request, queries=1_000, read_only=read_only)
    assert other.finish()["trace"] == ""
    assert read["trace"] == ""
    assert read["said"]["wrong"] == []
    assert read["said"]["newest"] > 0
    assert (read["said"]["short"]["lexical"], read["said"]["short"]["hybrid"]) == (0, 0)
    last = forks.run("read_beside", **request, queries=3, read_only=read_only)
    nowhere = {"lexical": 0, "dense": 0, "hybrid": 0}
    assert last["said"] == {"wrong": [], "short": nowhere, "newest": 40}


# -- other settings


def many_sentences(count):
    return " ".join(
        f"Sentence {n} says that the {n}th lamp of the house is lit." for n in range(count)
    )


def refusal(workspace, **arguments):
    with pytest.raises(WorkspaceError, match="ctxeng reindex") as caught:
        Engine.open(workspace, **arguments)
    return str(caught.value)


def test_another_chunker_is_refused_and_reindex_repairs(tmp_path):
    other = FAST.model_copy(update={"chunking": ChunkingSettings(min_words=20, max_words=30)})
    with Engine.open(tmp_path / "w", settings=FAST) as engine:
        engine.index(Document(id="lamps", text=many_sentences(40)))
        before = engine.status().chunks
    assert "chunker" in refusal(tmp_path / "w", settings=other)
    with Engine.open(tmp_path / "w", settings=other, check=False) as engine:
        engine.reindex()
        assert engine.status().chunks > before
    with Engine.open(tmp_path / "w", settings=other) as engine:
        assert "39th" in engine.search("39th lamp", limit=1)[0].text


def test_a_reindex_that_was_cut_off_does_not_pass_for_done(tmp_path, monkeypatch):
    other = FAST.model_copy(update={"chunking": ChunkingSettings(min_words=20, max_words=30)})
    with Engine.open(tmp_path / "w", settings=FAST) as engine:
        engine.index([Document(id=str(n), text=many_sentences(40)) for n in range(6)])
    cut = ctxeng.engine.index._cut
    calls = iter(range(100))

    def cut_off(*arguments):
        if next(calls) == 3:
            raise ZeroDivisionError
        return cut(*arguments)

    monkeypatch.setattr(ctxeng.engine.index, "BATCH_SOURCES", 1)
    monkeypatch.setattr(ctxeng.engine.index, "_cut", cut_off)
    with (
        pytest.raises(ZeroDivisionError),
        Engine.open(tmp_path / "w", settings=other, check=False) as engine,
    ):
        engine.reindex()
    monkeypatch.undo()
    assert "chunker" in refusal(tmp_path / "w", settings=other)
    with Engine.open(tmp_path / "w", settings=other, check=False) as engine:
        assert engine.reindex().changed == 6
    with Engine.open(tmp_path / "w", settings=other) as engine:
        assert len({hit.document_id for hit in engine.search("39th lamp")}) == 6


def test_another_analyzer_is_refused_and_reindex_repairs(tmp_path, monkeypatch):
    with Engine.open(tmp_path / "w", settings=FAST) as engine:
        engine.index(Document(id="zebra", text="The zebra grazes."))
    monkeypatch.setattr(ctxeng.engine.wiring, "ANALYZER", "another-9")
    monkeypatch.setattr(ctxeng.indexing.view, "ANALYZER", "another-9")
    assert "another-9" in refusal(tmp_path / "w", settings=FAST)
    with Engine.open(tmp_path / "w", settings=FAST, check=False) as engine:
        engine.reindex()
    with Engine.open(tmp_path / "w", settings=FAST) as engine:
        assert engine.search("zebra", mode="lexical")


class OtherEmbedder:
    """Vectors of another model and another dimension."""

    name = "other-3@1"
    dimensions = 3

    def embed(self, texts, kind):
        import numpy as np

        return np.tile(np.array([[1.0, 0.0, 0.0]], np.float32), (len(texts), 1))

    def coverage(self, text):
        return 1.0


def test_another_embedder_is_refused_and_reindex_repairs(tmp_path):
    with Engine.open(tmp_path / "w", settings=FAST) as engine:
        engine.index(Document(id="zebra", text="The zebra grazes."))
    assert "other-3@1" in refusal(tmp_path / "w", settings=FAST, embedders=[OtherEmbedder()])
    with Engine.open(
        tmp_path / "w", settings=FAST, embedders=[OtherEmbedder()], check=False
    ) as engine:
        engine.reindex(wait=True)
    with Engine.open(tmp_path / "w", settings=FAST, embedders=[OtherEmbedder()]) as engine:
        assert engine.search("zebra", mode="dense")


def test_a_damaged_index_with_the_right_count_is_repaired_by_reindex(tmp_path):
    with Engine.open(tmp_path / "w", settings=FAST) as engine:
        engine.index(Document(id="zebra", text="The zebra grazes."))
        engine._parts.lexical._chunks.damage = "is not to be trusted"
        with pytest.raises(WorkspaceError, match="not to be trusted"):
            engine.search("zebra")
        engine.reindex()
        assert engine.search("zebra", mode="lexical")


# -- other users, and no room


@pytest.fixture
def shared(forks):
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory(dir=Path(tempfile.gettempdir()).resolve()) as name:
        Path(name).chmod(0o755)
        yield Path(name)
        for path in [Path(name), *Path(name).rglob("*")]:
            path.chmod(0o755)


@pytest.mark.parametrize("clean", [True, False], ids=["closed", "left open by a killed writer"])
def test_a_folder_that_may_not_be_written_can_be_searched_and_says_so(forks, shared, clean):
    loop = Loop(forks, shared / "loop", world={"files": 4, "rounds": 1})
    if not clean:
        loop.start_anew()
        loop.die_after(1)
    workspace = loop.root / "workspace"
    assert (workspace / "store.sqlite3-wal").exists() == (not clean)
    for path in [workspace, *workspace.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    ran = forks.run(
        "read_and_write_as_another_user",
        root=str(loop.root),
        uid=65_534,
        question="story",
        **PLAIN,
    )
    assert ran["trace"] == ""
    said = ran["said"]
    assert all(said["found"][mode] for mode in ("lexical", "dense", "hybrid"))
    assert "permissions" in said["open"]
    assert "read-only" in said["write"]
    code, out, err = said["command"]
    assert code == 0
    assert json.loads(out)["hits"]
    assert "Reading only" in err


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_files_that_may_not_grow_lose_nothing_and_indexing_goes_on_when_they_may(
    forks, tmp_path, share
):
    loop = Loop(forks, tmp_path / "loop")
    largest = max(path.stat().st_size for path in loop.root.glob("workspace/store*"))
    loop.start_anew()
    ran = forks.run("work_with_small_files", **loop.request, fault=None, bytes=int(largest * share))
    assert ran["trace"] == ""
    (message,) = ran["said"]["errors"]
    assert "store.sqlite3" in message
    assert "free space" in message
    assert ran["said"]["unreadable"] == []
    assert loop.check() == []


def test_a_workspace_that_is_deleted_while_open_acknowledges_nothing_more(tmp_path):
    with Engine.open(tmp_path / "w", settings=FAST) as engine:
        engine.index(Document(id="zebra", text="The zebra grazes."), wait=True)
        shutil.rmtree(tmp_path / "w")
        with pytest.raises(WorkspaceError, match="deleted or replaced"):
            engine.index(Document(id="gnu", text="The gnu grazes."))
    with Engine.open(tmp_path / "w", settings=FAST) as engine:
        assert engine.status().documents == 0
        engine.index(Document(id="gnu", text="The gnu grazes."))
        assert engine.search("gnu")


def test_a_record_that_is_replaced_while_open_is_not_written(tmp_path):
    with Engine.open(tmp_path / "other", settings=FAST) as engine:
        engine.index(Document(id="okapi", text="The okapi grazes."))
    with Engine.open(tmp_path / "w", settings=FAST) as engine:
        engine.index(Document(id="zebra", text="The zebra grazes."), wait=True)
        (tmp_path / "other" / "store.sqlite3").replace(tmp_path / "w" / "store.sqlite3")
        left = (tmp_path / "w" / "store.sqlite3").read_bytes()
        with pytest.raises(WorkspaceError, match="deleted or replaced"):
            engine.index(Document(id="gnu", text="The gnu grazes."))
        assert (tmp_path / "w" / "store.sqlite3").read_bytes() == left


# -- Ctrl-C


def stored(workspace):
    """Documents in the record of a workspace that may not be there yet."""
    file = workspace / "store.sqlite3"
    if not file.exists():
        return 0
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        try:
            return db.execute("SELECT count(*) FROM document").fetchone()[0]
        except sqlite3.OperationalError:
            return 0  # its tables are being made


@pytest.mark.slow
def test_ctrl_c_while_files_are_read_loses_nothing_and_the_next_run_goes_on(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    for number in range(2_000):
        (files / f"{number}.md").write_text(f"# Note {number}\n\nWord{number} stands here. " * 8)
    (tmp_path / "ctxeng.toml").write_text('[embedding]\nmodel = "static"\n')
    child = cli("index", "files", cwd=tmp_path)
    end = time.monotonic() + SECONDS
    while not stored(tmp_path / ".ctxeng"):
        assert time.monotonic() < end
        assert child.poll() is None
    child.send_signal(signal.SIGINT)
    _, err = finished(child)
    assert child.returncode == 130
    assert "the next run goes on" in err
    kept = stored(tmp_path / ".ctxeng")
    assert 0 < kept < 2_000
    again = cli("index", "files", "--json", cwd=tmp_path)
    out, _ = finished(again)
    report = json.loads(out)
    assert report["unchanged"] == kept
    assert report["added"] == 2_000 - kept
    assert report["status"]["documents"] == 2_000


def test_a_run_that_is_cut_off_removes_no_file_that_was_only_renamed(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    for number in range(8):
        (files / f"a{number}.md").write_text(f"# Note {number}\n\nWord{number} stands here.\n")
    engine = Engine.open(tmp_path / "w", settings=FAST)
    engine.index(files)
    for path in sorted(files.iterdir()):
        path.rename(path.with_name(f"b{path.name}"))

    def cut_off(progress):
        if progress.stage == "files" and progress.done == 3:
            engine._closing.set()

    report = engine.index(files, on_progress=cut_off)
    assert report.renamed == 3
    assert report.removed == 0
    engine.close()
    with Engine.open(tmp_path / "w", settings=FAST) as engine:
        assert engine.status().documents == 8
        assert engine.index(files).renamed == 5
        assert engine.status().documents == 8
