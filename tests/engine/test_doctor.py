"""What doctor and status say of a workspace, healthy and not."""

import shutil

import pytest

from ctxeng import Document, Engine, Settings
from ctxeng.engine.doctor import examine_installation
from ctxeng.settings import EmbeddingSettings

FAST = Settings(embedding=EmbeddingSettings(model="static"))


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "one.md").write_text("# One\n\nThe first note is about apples.\n")
    (folder / "two.md").write_text("# Two\n\nThe second note is about pears.\n")
    return folder


@pytest.fixture
def workspace(tmp_path, notes):
    with Engine.open(tmp_path / "workspace", settings=FAST) as engine:
        engine.index(notes)
    return tmp_path / "workspace"


def named(checks, name):
    return next(check for check in checks if check.name == name)


def test_a_healthy_workspace_has_no_bad_check(workspace):
    with Engine.open(workspace, settings=FAST) as engine:
        checks = engine.doctor()
    assert all(check.ok for check in checks), checks
    assert {"python", "packages", "workspace", "record", "lexical index", "sources", "disk"} <= {
        check.name for check in checks
    }


def test_status_tells_what_is_there(workspace):
    with Engine.open(workspace, settings=FAST) as engine:
        status = engine.status()
        assert (status.sources, status.documents, status.failed) == (2, 2, 0)
        assert status.changes_behind == 0
        (tier,) = status.vectors
        assert (tier.done, tier.total, tier.searched) == (status.chunks, status.chunks, True)
        assert status.dense == "exact"


def test_without_an_embedder_nothing_searches_vectors(tmp_path):
    settings = Settings(embedding=EmbeddingSettings(model="none"))
    with Engine.open(tmp_path / "workspace", settings=settings) as engine:
        engine.index(Document(id="a", text="Some text."))
        status = engine.status()
        assert (status.dense, status.vectors) == ("none", ())


def test_files_that_are_gone_or_unreadable_are_named(workspace, notes):
    (notes / "one.md").unlink()
    (notes / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    with Engine.open(workspace, settings=FAST) as engine:
        gone = named(engine.doctor(), "deleted files")
        assert not gone.ok
        assert gone.found.startswith("1 of 2")
        assert "ctxeng index" in gone.advice
        engine.index(notes)
        sources = named(engine.doctor(), "sources")
        assert not sources.ok
        assert "1 could not be read" in sources.found


def test_a_lexical_index_that_was_emptied_is_found_and_made_anew(workspace):
    with Engine.open(workspace, settings=FAST) as engine:
        engine._parts.lexical.reset()
        check = named(engine.doctor(), "lexical index")
        assert not check.ok or "changes behind" in check.found
    with Engine.open(workspace, settings=FAST) as engine:
        assert named(engine.doctor(), "lexical index").ok
        assert engine.search("apples", mode="lexical")


def test_a_deleted_lexical_index_costs_nothing(workspace):
    shutil.rmtree(workspace / "lexical")
    with Engine.open(workspace, settings=FAST) as engine:
        assert engine.search("apples", mode="lexical")
        assert all(check.ok for check in engine.doctor())


def test_the_installation_is_examined_without_a_workspace():
    checks = examine_installation(FAST)
    assert named(checks, "python").ok
    assert "tantivy" in named(checks, "packages").found
