"""Damaged, emptied and deleted files: what is derived is made anew, the record is never touched."""

import hashlib
import os
import shutil
import sqlite3
from contextlib import closing

import pytest
from anomalies import Loop
from damage import DAMAGES, cut_to, flip

import ctxeng.store.store
from ctxeng import Document, Engine, Settings
from ctxeng.settings import EmbeddingSettings
from ctxeng.store import SqliteStore, open_store

FAST = Settings(embedding=EmbeddingSettings(model="static"))

STORE = "store.sqlite3"


@pytest.fixture(scope="module")
def loop(forks, tmp_path_factory):
    return Loop(forks, tmp_path_factory.mktemp("damage") / "loop")


@pytest.fixture(scope="module")
def whole(loop, tmp_path_factory):
    """A sound workspace, and what is found in it."""
    loop.start_anew()
    assert not loop.work_until_killed(60)
    before = loop.answers()
    assert len(before["found"]) > 20
    kept = tmp_path_factory.mktemp("whole") / "workspace"
    shutil.copytree(loop.root / "workspace", kept)
    return kept, before


@pytest.fixture
def workspace(loop, whole):
    """The sound workspace, to be damaged."""
    shutil.rmtree(loop.root / "workspace")
    return shutil.copytree(whole[0], loop.root / "workspace")


def lexical_files(folder):
    """One file of each kind in each of the two tables."""
    kinds = {
        (path.parent.name, path.suffix or path.name): path.relative_to(folder)
        for path in sorted(folder.glob("lexical/**/*"))
        if path.is_file()
    }
    return sorted(kinds.values())


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_whatever_happens_to_a_lexical_file_the_answers_stay(loop, whole, workspace, damage):
    kept, before = whole
    names = lexical_files(kept)
    assert {".del", ".fast", ".idx", ".json", ".pos", ".store", ".term"} <= {
        n.suffix for n in names
    }
    wrong = {}
    for name in names:
        damage(workspace / name)
        after = loop.answers()
        if after != before:
            wrong[str(name)] = after.get("error", "other answers")
        shutil.rmtree(workspace / "lexical")
        shutil.copytree(kept / "lexical", workspace / "lexical")
    assert wrong == {}


def test_without_its_folder_the_lexical_index_is_made_anew(loop, whole, workspace):
    shutil.rmtree(workspace / "lexical")
    assert loop.answers() == whole[1]


def test_with_an_empty_folder_the_lexical_index_is_made_anew(loop, whole, workspace):
    for path in workspace.glob("lexical/**/*"):
        if path.is_file():
            path.unlink()
    assert loop.answers() == whole[1]


def test_the_lexical_index_of_another_workspace_is_not_believed(loop, whole, workspace, forks):
    other = Loop(forks, loop.root.parent / "other", world={"files": 9, "rounds": 1})
    shutil.rmtree(workspace / "lexical")
    shutil.copytree(other.root / "workspace" / "lexical", workspace / "lexical")
    assert loop.answers() == whole[1]


def test_who_may_not_repair_a_damaged_index_is_told_instead_of_finding_nothing(loop, workspace):
    path = next(workspace.glob("lexical/chunks/*.term"))
    flip(path)
    told = loop.answers(read_only=True)["error"]
    assert path.name in told
    assert "Nothing is lost" in told
    assert "ctxeng index" in told


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


RECORD_DAMAGES = {
    "emptied": cut_to(0),
    "cut to half": cut_to(0.5),
    "cut to 99 %": cut_to(0.99),
    "no header": lambda path: path.write_bytes(bytes(100) + path.read_bytes()[100:]),
}


@pytest.mark.parametrize("damage", RECORD_DAMAGES.values(), ids=RECORD_DAMAGES)
def test_a_damaged_record_is_named_and_not_touched(loop, workspace, damage):
    damage(workspace / STORE)
    left = digest(workspace / STORE)
    for read_only in (False, True):
        told = loop.answers(read_only=read_only)["error"]
        assert str(workspace / STORE) in told
        assert "damaged" in told
        assert "Nothing was overwritten" in told
        assert "backup" in told
    assert digest(workspace / STORE) == left


def test_flipped_bits_in_a_record_that_was_left_open_are_found_before_it_is_used(loop, workspace):
    with closing(sqlite3.connect(workspace / STORE)) as db:
        db.execute("INSERT INTO meta VALUES ('writing 1 of another start', 'another start')")
        db.commit()
    data = bytearray((workspace / STORE).read_bytes())
    for page in range(4096, len(data), 4096):  # in each page but the first, what says where it goes
        data[page + 3] ^= 0xFF
    (workspace / STORE).write_bytes(data)
    left = digest(workspace / STORE)
    assert "damaged" in loop.answers()["error"]
    assert digest(workspace / STORE) == left


def test_flipped_bits_never_end_in_anything_but_a_clear_error(loop, whole, workspace):
    kept, _ = whole
    for seed in range(8):
        shutil.copy(kept / STORE, workspace / STORE)
        path = workspace / STORE
        path = path.rename(path.with_suffix(f".{seed}"))  # the suffix seeds the places
        flip(path)
        path.rename(workspace / STORE)
        told = loop.answers().get("error", "")
        assert not told or "damaged" in told


def opened(folder):
    """Whether a store that is opened now finds that a writer died, and how often it is checked."""
    checks = []

    class Watched(SqliteStore):
        def check(self):
            checks.append(folder)
            return super().check()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ctxeng.store.store, "SqliteStore", Watched)
        store = open_store(folder)
    store.close()
    return store.left_open, len(checks)


def test_the_record_is_checked_once_after_a_kill_and_never_beside_a_living_writer(loop):
    loop.start_anew()
    loop.die_after(1)
    assert opened(loop.root / "workspace") == (True, 1)
    assert opened(loop.root / "workspace") == (False, 0)
    with Engine.open(loop.root / "workspace", settings=FAST) as engine:
        engine.index(Document(id="zebra", text="The zebra grazes."))
        assert opened(loop.root / "workspace") == (False, 0)
    assert opened(loop.root / "workspace") == (False, 0)


def test_doctor_names_a_lexical_file_that_was_changed_and_reindex_repairs_it(loop, workspace):
    path = next(workspace.glob("lexical/documents/*.pos"))
    with Engine.open(workspace, settings=FAST) as engine:
        before = path.stat()
        flip(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        (check,) = [one for one in engine.doctor() if one.name == "lexical index"]
        assert not check.ok
        assert path.name in check.found
        assert "reindex" in check.advice
        engine.reindex()
        assert all(one.ok for one in engine.doctor() if one.name == "lexical index")


def test_that_an_index_was_made_anew_is_said_in_one_line(workspace, caplog):
    path = next(workspace.glob("lexical/chunks/*.idx"))
    flip(path)
    with Engine.open(workspace, settings=FAST):
        pass
    (line,) = [record.getMessage() for record in caplog.records]
    assert path.name in line
    assert "made anew from the record" in line


def test_garbage_beside_the_record_is_ignored(loop, whole, workspace):
    (workspace / f"{STORE}-wal").write_bytes(b"garbage" * 1_000)
    assert loop.answers() == whole[1]
