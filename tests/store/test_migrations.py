"""A workspace of an older version is brought up to date, whole or not at all."""

import re
import shutil
import sqlite3
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from version_1 import TRACES, make_version_1

from ctxeng import Document, Engine, Scope, Settings, WorkspaceError
from ctxeng.settings import EmbeddingSettings
from ctxeng.store import migrations, open_store
from ctxeng.store.schema import TABLES, VERSION
from ctxeng.store.store import FILE
from ctxeng.testing.stores import trace_record
from ctxeng.types import sha256

SETTINGS = Settings(embedding=EmbeddingSettings(model="static"))
SCOPE = Scope()
QUESTION = "How long is parental leave?"
TIMEOUT = 60


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workspace of version 1, and the hits and the context that its content gives."""
    folder = tmp_path_factory.mktemp("workspaces")
    present, old = folder / "present", folder / "old"
    with Engine.open(present, settings=SETTINGS) as engine:
        engine.index([Document(id="leave", text="Parental leave is 20 weeks, fully paid.")])
        hits = engine.search(QUESTION)
        context = engine.context(QUESTION)
    shutil.copytree(present, old)
    (old / FILE).unlink()
    make_version_1(old / FILE, present / FILE)
    return old, hits, context


@pytest.fixture
def workspace(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "w")
    return tmp_path / "w"


def version_of(workspace):
    with closing(sqlite3.connect(workspace / FILE)) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


def shape_of(db):
    """What was made, without white space, comments and the order of making."""
    rows = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    return {(*row[:3], re.sub(r"--[^\n]*|\s+", "", row[3] or "")) for row in rows}


def test_content_answers_as_before(made, workspace):
    _, hits, context = made
    with Engine.open(workspace, settings=SETTINGS) as engine:
        assert engine.search(QUESTION) == hits
        assert engine.context(QUESTION) == context
        assert engine._parts.store.replies.get_reply("key") == "{}"
        assert engine._parts.store.replies.spent("2026-01-31") == 0.5
        engine.index([Document(id="pay", text="Pay day is the 25th.")])
        assert engine.search("pay day")[0].document_id == "pay"
        assert engine._parts.store.check() == "ok"


def test_an_upgraded_file_has_the_shape_of_a_new_one(workspace):
    open_store(workspace).close()
    assert version_of(workspace) == VERSION
    with closing(sqlite3.connect(workspace / FILE)) as db, closing(sqlite3.connect("")) as new:
        new.executescript(TABLES)
        assert shape_of(db) == shape_of(new)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_there_is_a_step_from_every_version():
    assert sorted(migrations.STEPS) == list(range(1, VERSION))


def test_old_traces_are_shown_and_say_why_they_cannot_be_replayed(workspace):
    with Engine.open(workspace, settings=SETTINGS) as engine:
        old = next(trace_id for trace_id in TRACES if trace_id != "torn")
        assert {run.id for run in engine.traces()} == set(TRACES)
        trace = engine.trace(old[:8])
        assert (trace.verb, trace.format, trace.inputs["query"]) == ("ask", 1, "How long?")
        with pytest.raises(WorkspaceError, match=r"ctxeng 0\.1\.0, which kept no texts"):
            engine.replay(old)
        with pytest.raises(WorkspaceError, match="trace torn: damaged"):
            engine.trace("torn")
        assert engine.remove_traces("torn") == 1


def test_where_a_workspace_has_several_scopes_old_traces_are_nobodys(workspace):
    with closing(sqlite3.connect(workspace / FILE)) as db:
        db.execute(
            "INSERT INTO source (scope, path, hash) VALUES (?, 'p', 'h')", (Scope(user="b").key,)
        )
        db.commit()
    store = open_store(workspace)
    assert store.traces(SCOPE) == store.traces(Scope(user="b")) == []
    store.close()


def test_documents_that_were_stored_as_untrusted_are_documents(tmp_path):
    """That was what loaded ones had once; runs and turns kept it too."""
    old, new = '"trust":"untrusted"', '"trust":"document"'
    with Engine.open(tmp_path, settings=SETTINGS) as engine:
        engine.index([Document(id="leave", text="Parental leave is 20 weeks, fully paid.")])
        context = engine.context(QUESTION)
        engine.chat("talk").say(QUESTION)
        turns = engine._parts.store.turns(SCOPE, "talk")
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        for table, column in (("document", "record"), ("turn", "message")):
            count = db.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?) "
                f"WHERE instr({column}, ?)", (new, old, new)
            ).rowcount  # fmt: skip
            assert count == 1
        for row, payload in db.execute("SELECT row, payload FROM trace").fetchall():
            first, _, second = zlib.decompress(payload).decode().partition("\n")
            assert new in first
            first = first.replace(new, old)
            squeezed = zlib.compress(f"{first}\n{second}".encode())
            db.execute(
                "UPDATE trace SET id = ?, payload = ? WHERE row = ?",
                (sha256(first)[:32], squeezed, row),
            )
        db.commit()
    for read_only in (True, False):
        with Engine.open(tmp_path, settings=SETTINGS, read_only=read_only) as engine:
            assert engine.search(QUESTION)[0].trust == "document"
            assert engine._parts.store.document(SCOPE, "leave").trust == "document"
            assert engine.context(QUESTION) == context
            assert engine._parts.store.turns(SCOPE, "talk") == turns
            assert engine.replay("last-1" if read_only else "last-2") == context


def test_who_only_reads_reads_an_older_workspace_as_it_is(made, workspace):
    before = (workspace / FILE).read_bytes()
    with Engine.open(workspace, settings=SETTINGS, read_only=True) as engine:
        assert engine.search(QUESTION) == made[1]
        assert engine.context(QUESTION) == made[2]
        for read in (engine.traces, lambda: engine.trace("last")):
            with pytest.raises(WorkspaceError, match=r"schema 1.*open it to write"):
                read()
        with pytest.raises(WorkspaceError, match="schema 1"):
            engine._parts.store.turns(SCOPE, "session")
    assert (workspace / FILE).read_bytes() == before
    assert version_of(workspace) == 1


def test_a_step_that_fails_leaves_everything_as_it_was(made, workspace, monkeypatch):
    step = migrations.STEPS[1]

    def fails_at_the_end(db):
        step(db)
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(migrations, "STEPS", {1: fails_at_the_end})
    with pytest.raises(WorkspaceError, match="What was written before is kept"):
        open_store(workspace)
    assert version_of(workspace) == 1
    with Engine.open(workspace, settings=SETTINGS, read_only=True) as engine:
        assert engine.search(QUESTION) == made[1]
    monkeypatch.undo()
    open_store(workspace).close()
    assert version_of(workspace) == VERSION


def test_those_who_open_it_at_once_upgrade_it_once(workspace):
    start = threading.Barrier(6)

    def open_it(number):
        start.wait(TIMEOUT)
        store = open_store(workspace)
        store.put_trace(SCOPE, trace_record(f"run {number}", "text"))
        store.close()

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(open_it, number) for number in range(6)]:
            done.result(TIMEOUT)
    store = open_store(workspace)
    assert {run.id for run in store.traces(SCOPE)} == {*TRACES, *(f"run {n}" for n in range(6))}
    store.close()


def test_a_trace_does_not_wait_for_a_writer(tmp_path):
    """Of another process; the content of a run is told later."""
    store = open_store(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(WorkspaceError, match="another process is writing"):
            store.put_trace(SCOPE, trace_record("a"), wait=False)
        other.execute("ROLLBACK")
    store.put_trace(SCOPE, trace_record("a"), wait=False)
    assert store.trace(SCOPE, "a") == trace_record("a")
    store.close()


def test_forgotten_texts_leave_no_bytes_behind(tmp_path):
    store = open_store(tmp_path)
    store.put_trace(SCOPE, trace_record("a", "xylophone-secret " * 9))
    store.add_turns(SCOPE, "session", [])
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        (body,) = db.execute("SELECT body FROM text").fetchone()
    store.remove_traces(SCOPE, ["a"])
    store.close()
    assert all(body not in file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
