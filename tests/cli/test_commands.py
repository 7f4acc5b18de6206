"""The main job from the command line, for people to read."""

import pytest


def test_index_says_what_it_did_and_that_all_is_searchable(ctxeng):
    ran = ctxeng("index", "handbook")
    assert (ran.code, ran.out.split(" (")[0]) == (0, "3 added")
    assert "Searchable now" in ran.err
    assert ctxeng("index", "handbook").out.startswith("3 unchanged")


def test_a_bad_file_is_one_line_with_a_way_out_and_exit_code_1(ctxeng, place):
    (place / "handbook" / "broken.pdf").write_bytes(b"%PDF-1.7\nthis is not a pdf")
    ran = ctxeng("index", "handbook")
    assert ran.code == 1
    line = next(line for line in ran.out.splitlines() if line.startswith("handbook/broken.pdf: "))
    assert line.endswith(".")
    assert ctxeng("search", "sabbatical").code == 0


def test_globs_choose_files(ctxeng):
    assert ctxeng("index", "handbook", "--include", "*.md").out.startswith("1 added")
    assert ctxeng("index", "handbook", "--exclude", "*.csv").out.startswith("1 added, 1 unchanged")


def test_search_shows_rank_place_span_score_and_the_best_sentence(ctxeng, indexed):
    first, excerpt, *_ = ctxeng("search", "sabbatical three months").out.splitlines()
    assert first.startswith(" 1  handbook/leave.md:")
    assert "[" in first
    assert ")" in first
    assert float(first.split()[-1]) > 0
    assert excerpt.strip().startswith("After five years")


def test_explain_tells_the_score_of_each_stage(ctxeng, indexed):
    shown = ctxeng("search", "sabbatical", "--explain").out
    assert all(stage in shown for stage in ("lexical", "dense", "fused"))


def test_filters_and_modes_are_handed_on(ctxeng, indexed):
    uri = indexed / "handbook" / "offices.csv"
    shown = ctxeng("search", "leave desks", "--filter", f"uri={uri}", "--mode", "lexical").out
    assert "offices.csv" in shown
    assert "leave.md" not in shown
    assert ctxeng("search", "xyzzy", "--mode", "lexical").out == "Nothing found.\n"


def test_context_is_printed_byte_for_byte(ctxeng, indexed):
    from ctxeng import Engine

    printed = ctxeng("context", "How long is parental leave?", "--budget", "300").out
    with Engine.open(".ctxeng") as engine:
        assert printed == engine.context("How long is parental leave?", budget=300).render()


def test_the_manifest_has_a_row_with_a_reason_for_every_segment(ctxeng, indexed):
    shown = ctxeng("context", "How long is parental leave?", "--manifest").out
    assert "handbook/leave.md" in shown
    assert "the question" in shown
    assert "tokens" in shown


def test_ask_answers_with_markers_and_lists_its_sources(ctxeng):
    ran = ctxeng("ask", "How many weeks of parental leave are there?", "--path", "handbook")
    assert ran.code == 0
    answer, _, sources = ran.out.partition("\n\n")
    assert "20 weeks of parental leave [1]" in answer
    assert sources.startswith("[1] handbook/leave.md:5\n")
    assert "Every parent may take 20 weeks" in sources


def test_ask_says_when_nothing_answers(ctxeng, indexed):
    ran = ctxeng("ask", "What is the boiling point of tungsten hexafluoride?")
    assert (ran.code, ran.out) == (0, "Not found in the sources.\n")


def test_remove_reports_how_much_went(ctxeng, indexed):
    assert ctxeng("remove", "handbook/leave.md").out == "1 document removed\n"
    ran = ctxeng("remove", "handbook/leave.md")
    assert (ran.code, ran.out) == (1, "0 documents removed\n")
    assert "sabbatical" not in ctxeng("search", "sabbatical").out


def test_reindex_takes_new_settings_that_other_commands_refuse(ctxeng, indexed):
    other = indexed / "other.toml"
    other.write_text(
        "[embedding]\nmodel='static'\n[chunking]\nmin_words=10\nmax_words=20\n", "utf-8"
    )
    refused = ctxeng("search", "sabbatical", "--config", other)
    assert refused.code == 2
    assert "ctxeng reindex" in refused.err
    assert ctxeng("reindex", "--config", other).code == 0
    assert ctxeng("search", "sabbatical", "--config", other).code == 0


def test_status_counts(ctxeng, indexed):
    shown = ctxeng("status").out
    assert "documents" in shown
    assert "2" in shown
    assert "wordllama" in shown


def test_missing_vectors_are_told_once_beside_the_result(ctxeng, indexed, monkeypatch):
    monkeypatch.setenv("CTXENG_EMBEDDING__MODEL", "none")
    ran = ctxeng("search", "sabbatical")
    assert ran.err.count("by terms alone") == 1
    assert "by terms alone" not in ran.out


@pytest.mark.parametrize("name", ["\x1b[31mred\x1b[0m", "[bold]x[/bold]", "\u202egnp"])
def test_names_and_texts_of_files_never_steer_the_terminal(ctxeng, place, name):
    (place / "handbook" / f"{name.replace('/', '_')}.md").write_text(
        f"# Zebra {name}\n\nThe zebra \x1b]0;owned\x07 grazes \x9b31m here.\n", "utf-8"
    )
    (place / "handbook" / f"broken {name.replace('/', '_')}.pdf").write_bytes(b"%PDF-1.7 nothing")
    runs = [
        ctxeng("index", "handbook"),
        ctxeng("search", "zebra grazes", "--explain"),
        ctxeng("context", "zebra", "--manifest"),
        ctxeng("ask", "Where does the zebra graze?"),
        ctxeng("search", "zebra", "--json"),
        ctxeng("ask", "zebra", "--json"),
        ctxeng("status"),
        ctxeng("doctor"),
    ]
    for ran in runs:
        assert not set("\x1b\x07\x9b\u202e") & set(ran.out + ran.err)
    if name.startswith("["):
        assert "[bold]x" in runs[1].out  # shown as written, not taken as markup
