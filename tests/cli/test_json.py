"""``--json``: exactly one JSON value on standard output, whatever happens; exit codes."""

import json
import sqlite3

import pytest

ASK = "How many weeks of parental leave are there?"
GOOD = {
    "index": (["index", "handbook"], {"added", "unchanged", "failed", "status"}),
    "search": (["search", "sabbatical"], {"query", "mode", "hits"}),
    "context": (["context", ASK], {"segments", "dropped", "text", "tokens"}),
    "manifest": (["context", ASK, "--manifest"], {"manifest", "text"}),
    "ask": (["ask", ASK], {"text", "found", "claims", "citations", "context", "usage"}),
    "ask --path": (["ask", ASK, "--path", "handbook", "--wait"], {"text", "found"}),
    "status": (["status"], {"documents", "chunks", "vectors", "dense"}),
    "doctor": (["doctor"], {"ok", "checks"}),
    "reindex": (["reindex"], {"changed", "chunks"}),
    "remove": (["remove", "handbook"], {"removed"}),
}
MISTAKES = {
    "no such command": (["serch", "x"], "search"),
    "no command": ([], ""),
    "missing argument": (["search"], "QUERY"),
    "no such option": (["search", "x", "--frobnicate"], "--frobnicate"),
    "not a number": (["search", "x", "--limit", "many"], "--limit"),
    "limit below one": (["search", "x", "--limit", "0"], "--limit"),
    "no such mode": (["search", "x", "--mode", "psychic"], "psychic"),
    "filter without equals": (["search", "x", "--filter", "year"], "KEY=VALUE"),
    "missing path": (["index", "nowhere"], "nowhere"),
    "missing path of ask": (["ask", "x", "--path", "nowhere"], "nowhere"),
    "missing settings": (["search", "x", "--config", "nowhere.toml"], "nowhere.toml"),
    "broken settings": (["search", "x", "--config", "broken.toml"], "broken.toml"),
    "unknown setting": (["search", "x", "--config", "unknown.toml"], "context.bugdet"),
    "budget too small": (["context", ASK, "--budget", "3"], "budget"),
    "dense without vectors": (
        ["search", "x", "--mode", "dense", "--config", "none.toml"],
        "vectors",
    ),
    "watch and json": (["index", "handbook", "--watch", "--json"], "--watch"),
    "other chunker": (["search", "x", "--config", "chunker.toml"], "ctxeng reindex"),
}


@pytest.fixture
def settings_files(place):
    (place / "broken.toml").write_text("[context\n")
    (place / "unknown.toml").write_text("[context]\nbugdet = 5\n")
    (place / "none.toml").write_text("[embedding]\nmodel = 'none'\n")
    (place / "chunker.toml").write_text("[chunking]\nmin_words = 5\nmax_words = 9\n")


@pytest.mark.parametrize("name", GOOD)
def test_every_command_prints_one_json_value(ctxeng, indexed, name):
    arguments, keys = GOOD[name]
    ran = ctxeng(*arguments, "--json")
    assert ran.code == 0
    assert keys <= ran.value.keys()
    assert ran.out.count("\n") == 1


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_a_message_and_exit_code_2(ctxeng, indexed, settings_files, name):
    arguments, said = MISTAKES[name]
    plain = ctxeng(*[a for a in arguments if a != "--json" or name == "watch and json"])
    assert plain.code == 2
    ran = ctxeng(*arguments, *([] if "--json" in arguments else ["--json"]))
    assert ran.code == 2
    assert ran.value.keys() == {"error"}
    assert said in ran.value["error"]
    if name != "no command":
        assert said in " ".join(ran.err.split())


@pytest.mark.parametrize(
    "arguments",
    [["search", "x"], ["context", "x"], ["ask", "x"], ["status"], ["remove", "x"], ["reindex"]],
    ids=lambda a: a[0],
)
def test_reading_never_makes_a_workspace(ctxeng, place, arguments):
    ran = ctxeng(*arguments, "--json")
    assert ran.code == 2
    assert "ctxeng index PATH" in ran.value["error"]
    assert not (place / ".ctxeng").exists()


def test_a_wrong_path_makes_no_workspace_either(ctxeng, place):
    ctxeng("index", "nowhere")
    assert not (place / ".ctxeng").exists()


@pytest.mark.parametrize("harm", ["zeros", "text", "newer schema"])
def test_a_damaged_workspace_is_a_message(ctxeng, indexed, harm):
    file = indexed / ".ctxeng" / "store.sqlite3"
    if harm == "newer schema":
        with sqlite3.connect(file) as db:
            db.execute("PRAGMA user_version = 999")
    else:
        for leftover in indexed.glob(".ctxeng/store.sqlite3-*"):
            leftover.unlink()
        file.write_bytes(b"\0" * 8192 if harm == "zeros" else b"no database at all " * 500)
    for arguments in (["search", "x"], ["ask", "x"], ["status"], ["index", "handbook"]):
        if harm == "zeros" and arguments[0] != "search":
            continue
        ran = ctxeng(*arguments, "--json")
        assert ran.code == 2, ran.out
        assert str(file.parent.name) in ran.value["error"]
    assert ctxeng("doctor", "--json").code == 1


def test_a_busy_workspace_says_who_writes(ctxeng, indexed):
    from ctxeng.store import writer_lock

    with writer_lock(indexed / ".ctxeng", wait=False):
        ran = ctxeng("index", "handbook", "--json")
        assert ran.code == 2
        assert "process" in ran.value["error"]
        assert ctxeng("search", "sabbatical").code == 0


def test_failed_files_are_told_in_json_too(ctxeng, place):
    (place / "handbook" / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    ran = ctxeng("index", "handbook", "--json")
    assert ran.code == 1
    (failure,) = ran.value["failed"]
    assert failure["uri"].endswith("broken.pdf")
    assert failure["why"]
    asked = ctxeng("ask", ASK, "--path", "handbook", "--json")
    assert (asked.code, asked.value["found"]) == (1, True)


def test_an_empty_folder_is_no_error(ctxeng, place):
    (place / "empty").mkdir()
    ran = ctxeng("index", "empty", "--json")
    assert (ran.code, ran.value["added"]) == (0, 0)


@pytest.mark.parametrize("query", ["", " ", 'AND ( ^ ~ "', "*", "🙂", "\udcff"])
def test_no_query_breaks_a_command(ctxeng, indexed, query):
    for command in ("search", "context", "ask"):
        ran = ctxeng(command, "--json", "--", query)
        assert ran.code == 0, ran.err


def test_a_huge_query_searches_and_is_refused_by_the_budget(ctxeng, indexed):
    query = "sabbatical " * 10_000
    assert ctxeng("search", query, "--json").value["hits"]
    for command in ("context", "ask"):
        ran = ctxeng(command, query, "--json")
        assert ran.code == 2
        assert "budget" in ran.value["error"]


def test_not_found_is_no_failure(ctxeng, indexed):
    ran = ctxeng("ask", "What is the boiling point of tungsten?", "--json")
    assert (ran.code, ran.value["found"]) == (0, False)


def test_json_is_ascii_and_keeps_every_character(ctxeng, place):
    (place / "handbook" / "leave.md").write_text("# Ürlaub\n\nUrlaub \x1b 休假 dauert lange.\n")
    ctxeng("index", "handbook")
    ran = ctxeng("search", "Urlaub", "--json")
    assert ran.out.isascii()
    assert "休假" in json.loads(ran.out)["hits"][0]["text"]
