"""The verbs, end to end, on real files and real indexes."""

import asyncio
import threading
from pathlib import Path

import pytest

from ctxeng import ConfigError, Document, Engine, LoadError, Scope, Settings, WorkspaceError, load
from ctxeng.settings import ChunkingSettings, EmbeddingSettings

LEAVE = """# Leave

## Parental leave

Every parent may take 20 weeks of parental leave. Full pay continues for all of it.

## Sabbatical

After five years a sabbatical of three months is possible.
"""
FAST = Settings(embedding=EmbeddingSettings(model="static"))


@pytest.fixture
def handbook(tmp_path):
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "leave.md").write_text(LEAVE)
    (folder / "pay.py").write_text(
        '"""Pay."""\n\n\ndef net_salary(gross: int) -> int:\n    """Take off the tax."""\n'
        "    return gross - gross // 4\n"
    )
    (folder / "offices.csv").write_text("city,desks\nBerlin,40\nPorto,12\n")
    return folder


@pytest.fixture
def engine(tmp_path):
    with Engine.open(tmp_path / "workspace", settings=FAST) as engine:
        yield engine


def test_a_folder_is_indexed_and_its_answer_cites_the_exact_place(engine, handbook):
    report = engine.index(handbook)
    assert (report.added, report.failed) == (3, ())
    answer = engine.ask("How many weeks of parental leave are there?")
    assert answer.found
    claim = answer.claims[0]
    source = claim.sources[0]
    document = load(handbook / "leave.md")[0]
    assert source.uri == str(handbook / "leave.md")
    quoted = document.text[source.span.start : source.span.end]
    assert quoted == "Every parent may take 20 weeks of parental leave."
    assert document.text.splitlines()[source.line - 1].startswith("Every parent")


def test_every_hit_is_a_slice_of_what_load_returns(engine, handbook):
    engine.index(handbook)
    texts = {document.id: document.text for document in load(handbook)}
    for query in ("sabbatical", "net_salary", "Porto desks"):
        hits = engine.search(query)
        assert hits
        for hit in hits:
            assert texts[hit.document_id][hit.start : hit.end] == hit.text
            assert hit.score == hit.stages["fused"]


def test_an_unchanged_folder_costs_no_writes(engine, handbook):
    engine.index(handbook)
    before = engine._parts.store.last_change()
    report = engine.index(handbook)
    assert (report.unchanged, report.added, report.changed, report.chunks) == (3, 0, 0, 0)
    assert engine._parts.store.last_change() == before


def test_what_was_edited_renamed_and_deleted_is_followed(engine, handbook):
    engine.index(handbook)
    kept = {hit.id for hit in engine.search("net_salary") if hit.uri.endswith("pay.py")}
    (handbook / "pay.py").rename(handbook / "salary.py")
    (handbook / "offices.csv").unlink()
    (handbook / "leave.md").write_text(LEAVE.replace("20 weeks", "26 weeks"))
    report = engine.index(handbook)
    assert (report.renamed, report.removed, report.changed, report.added) == (1, 1, 1, 0)
    renamed = [hit for hit in engine.search("net_salary") if hit.uri.endswith("salary.py")]
    assert {hit.id for hit in renamed} == kept
    assert not any("Porto" in hit.text for hit in engine.search("Porto"))
    assert "26 weeks" in engine.ask("How many weeks of parental leave?").text


def test_a_file_that_takes_the_old_name_of_another_gets_its_own_id(engine, handbook):
    engine.index(handbook)
    (handbook / "leave.md").rename(handbook / "old.md")
    engine.index(handbook)
    (handbook / "leave.md").write_text("# Other\n\nThe canteen serves soup on fridays.\n")
    engine.index(handbook)
    assert engine.search("sabbatical", limit=1)[0].uri.endswith("old.md")
    assert engine.search("canteen soup", limit=1)[0].uri.endswith("leave.md")
    assert engine.status().documents == 4


def test_a_bad_file_is_one_line_and_the_others_go_on(engine, handbook):
    (handbook / "broken.pdf").write_bytes(b"%PDF-1.7\nthis is not a pdf")
    report = engine.index(handbook)
    (failure,) = report.failed
    assert failure.uri.endswith("broken.pdf")
    assert failure.why
    assert failure.hint
    assert report.added == 3
    again = engine.index(handbook)
    assert again.failed == report.failed


def test_a_file_that_breaks_keeps_its_last_good_version(engine, handbook):
    engine.index(handbook)
    (handbook / "leave.md").write_bytes(b"\x00\x01\x02\xff" * 500)
    report = engine.index(handbook)
    assert len(report.failed) == 1
    assert engine.search("sabbatical", limit=1)[0].uri.endswith("leave.md")


def test_globs_index_a_part_and_leave_the_rest_alone(engine, handbook):
    engine.index(handbook)
    report = engine.index(handbook, include=["*.md"])
    assert report.removed == 0
    assert engine.status().documents == 3


def test_a_missing_path_is_an_error_and_touches_nothing(engine, handbook):
    engine.index(handbook)
    with pytest.raises(LoadError, match="no such file"):
        engine.index([handbook, handbook / "nowhere"])
    assert engine.status().documents == 3


def test_documents_are_replaced_by_id_and_filtered_by_metadata():
    with Engine.open(":memory:", settings=FAST) as engine:
        engine.index(
            [
                Document(id="a", text="The cat sleeps.", metadata={"year": 2024, "tags": ["pet"]}),
                Document(id="b", text="The cat hunts.", metadata={"year": 2025, "ok": True}),
            ]
        )
        engine.index(Document(id="a", text="The dog sleeps.", metadata={"year": 2024}))
        assert engine.status().documents == 2
        assert [h.document_id for h in engine.search("cat", mode="lexical")] == ["b"]
        for wanted, expected in [
            ({"year": 2024}, {"a"}),
            ({"year": [2024, 2025]}, {"a", "b"}),
            ({"ok": True}, {"b"}),
            ({"year": []}, set()),
            ({"year": "2024 OR 1=1"}, set()),
        ]:
            found = {h.document_id for h in engine.search("sleeps hunts cat", filter=wanted)}
            assert found == expected
        with pytest.raises(ConfigError, match="filter"):
            engine.search("cat", filter={"year": None})


def test_scopes_never_see_each_other(tmp_path):
    for name in ("red", "blue"):
        with Engine.open(tmp_path, settings=FAST, scope=Scope(tenant=name)) as engine:
            engine.index(Document(id="same", text=f"The {name} secret is kept."))
    with Engine.open(tmp_path, settings=FAST, scope=Scope(tenant="red")) as engine:
        for mode in ("lexical", "dense", "hybrid"):
            assert [h.text for h in engine.search("secret", mode=mode)] == [
                "The red secret is kept."
            ]
        assert engine.status().documents == 1
        with pytest.raises(ConfigError, match="scope"):
            engine.index(Document(id="x", text="y", scope=Scope(tenant="blue")))


@pytest.mark.parametrize("query", ["", "   ", 'AND ( ^ ~ "', "\x00", "a" * 100_000, "*:*", "🙂"])
def test_no_query_breaks_search(engine, handbook, query):
    engine.index(handbook)
    assert isinstance(engine.search(query), list)


def test_remove_takes_paths_folders_and_ids(engine, handbook):
    engine.index(handbook)
    engine.index(Document(id="note", text="A note about nothing."))
    assert engine.remove("note") == 1
    assert engine.remove(handbook / "leave.md") == 1
    assert engine.remove(handbook) == 2
    assert engine.status().documents == 0
    assert engine.search("sabbatical") == []


def test_other_chunking_is_refused_until_reindexed(tmp_path, handbook):
    with Engine.open(tmp_path / "w", settings=FAST) as engine:
        engine.index(handbook)
    other = FAST.model_copy(update={"chunking": ChunkingSettings(min_words=20, max_words=30)})
    with pytest.raises(WorkspaceError, match="ctxeng reindex"):
        Engine.open(tmp_path / "w", settings=other)
    with Engine.open(tmp_path / "w", settings=other, check=False) as engine:
        assert engine.reindex().changed == 3
    with Engine.open(tmp_path / "w", settings=other) as engine:
        assert engine.search("sabbatical", limit=1)[0].uri.endswith("leave.md")


def test_without_an_embedder_search_is_lexical_and_dense_says_why(tmp_path, handbook):
    settings = Settings(embedding=EmbeddingSettings(model="none"))
    with Engine.open(tmp_path / "w", settings=settings) as engine:
        engine.index(handbook)
        assert engine.search("sabbatical")[0].stages.keys() >= {"lexical"}
        with pytest.raises(ConfigError, match="vectors"):
            engine.search("sabbatical", mode="dense")


def test_verbs_work_inside_a_running_loop_and_from_many_threads(engine, handbook):
    async def notebook():
        engine.index(handbook)  # plain, though this loop is busy
        return await engine.asearch("sabbatical"), engine.search("sabbatical")

    awaited, plain = asyncio.run(notebook())
    assert awaited == plain
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(engine.search("sabbatical")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [plain] * 8


def test_the_stream_is_the_answer(engine, handbook):
    engine.index(handbook)
    *deltas, answer = engine.stream("How long is a sabbatical?")
    assert "".join(delta.text for delta in deltas) == answer.text
    assert engine.trace(answer.trace_id).verb == "ask"


def test_what_no_source_holds_is_not_found(engine, handbook):
    engine.index(handbook)
    answer = engine.ask("What is the boiling point of tungsten hexafluoride?")
    assert not answer.found
    said, _, words = answer.text.partition(" No source has the words: ")
    assert said == "Not found in the sources."
    assert words == "boiling, point, tungsten, hexafluoride."
    assert answer.claims == answer.citations == ()


def test_a_read_only_engine_reads_and_refuses_to_write(tmp_path, handbook):
    with Engine.open(tmp_path / "w", settings=FAST) as engine:
        engine.index(handbook)
    with Engine.open(tmp_path / "w", settings=FAST, read_only=True) as engine:
        assert engine.ask("How long is a sabbatical?").found
        with pytest.raises(WorkspaceError, match="read-only"):
            engine.index(handbook)


def test_what_has_nothing_to_read_is_passed_over_in_a_folder_and_an_error_by_name(tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "main.py").write_text("def run():\n    return 1\n")
    (folder / "__init__.py").write_bytes(b"")
    (folder / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (folder / "old.pdf").write_bytes(b"%PDF-1.4 broken")
    with Engine.open(":memory:") as engine:
        report = engine.index(folder, fast=True)
        assert [Path(passed.uri).name for passed in report.skipped] == ["__init__.py", "logo.png"]
        assert [Path(failure.uri).name for failure in report.failed] == ["old.pdf"]
        assert engine.status().sources == 2
        by_name = engine.index(folder / "__init__.py", fast=True)
        assert [failure.why for failure in by_name.failed] == ["is empty"]
        assert by_name.skipped == ()


@pytest.mark.parametrize("nothing", [b"", b" \n\n", b"\xef\xbb\xbf\r\n"])
def test_what_an_emptied_file_said_is_no_longer_found(tmp_path, nothing):
    """A file that cannot be read any longer is another matter: nobody took its text away."""
    (tmp_path / "plan.md").write_text("The heron is blue.\n")
    (tmp_path / "wing.md").write_text("The heron has a wing.\n")
    with Engine.open(":memory:", settings=FAST) as engine:
        engine.index(tmp_path)
        (tmp_path / "plan.md").write_bytes(nothing)
        (tmp_path / "wing.md").write_bytes(b"%PDF-1.4 broken")
        report = engine.index(tmp_path)
        assert [Path(passed.uri).name for passed in report.skipped] == ["plan.md"]
        assert (report.removed, [Path(f.uri).name for f in report.failed]) == (1, ["wing.md"])
        assert "still found" in report.failed[0].hint
        found = engine.search("heron", mode="lexical")
        assert [hit.text for hit in found] == ["The heron has a wing."]
        assert engine.status().sources == 1
        (tmp_path / "plan.md").write_text("The heron is grey.\n")
        assert engine.index(tmp_path).added == 1
        assert len(engine.search("heron", mode="lexical")) == 2


def test_an_emptied_files_text_that_has_moved_is_found_where_it_is_now(tmp_path):
    (tmp_path / "a.md").write_text("The heron is blue.\n")
    with Engine.open(":memory:", settings=FAST) as engine:
        engine.index(tmp_path)
        (old,) = engine.search("heron")
        (tmp_path / "a.md").rename(tmp_path / "b.md")
        (tmp_path / "a.md").touch()
        assert engine.index(tmp_path).renamed == 1
        (hit,) = engine.search("heron")
        assert (hit.id, Path(hit.uri).name) == (old.id, "b.md")
