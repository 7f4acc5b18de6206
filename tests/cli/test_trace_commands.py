"""``trace``, ``replay`` and ``diff`` on the command line."""

import sqlite3
from contextlib import closing

import pytest

QUESTION = "How long is parental leave?"


def ids(ctxeng):
    """Of the recorded runs, newest first."""
    return [one["id"] for one in ctxeng("trace", "list", "--json").value]


def test_a_run_is_listed_shown_and_replayed_byte_for_byte(ctxeng, indexed):
    printed = ctxeng("context", QUESTION, "--budget", 200).out
    (indexed / "handbook" / "leave.md").write_text("# Leave\n\nNobody has any leave now.\n")
    assert ctxeng("index", "handbook").code == 0
    (listed,) = ctxeng("trace", "list", "--json").value
    assert (listed["verb"], listed["query"], listed["runs"]) == ("context", QUESTION, 1)
    assert listed["id"][:12] in ctxeng("trace", "list").out
    shown = ctxeng("trace", "show", "last").out
    for part in (listed["id"], QUESTION, "retrieve", "assemble", "leave.md", "llama-2"):
        assert part in shown
    whole = ctxeng("trace", "show", listed["id"][:6], "--json").value
    assert whole["inputs"]["budget"] == 200
    assert len(whole["candidates"]) > 1
    for name in ("last", listed["id"], listed["id"][:4]):
        assert ctxeng("replay", name).out == printed
    replayed = ctxeng("replay", "last", "--json").value
    assert (replayed["text"], replayed["exact"]) == (printed, True)
    assert replayed["trace_id"] == listed["id"]


def test_an_answer_has_its_trace(ctxeng, indexed):
    answer = ctxeng("ask", QUESTION, "--json").value
    trace = ctxeng("trace", "show", answer["trace_id"], "--json").value
    assert trace["answer"]["text"] == answer["text"]
    assert "20 weeks" in ctxeng("trace", "show", answer["trace_id"]).out


def test_a_difference_is_told_with_its_cause(ctxeng, indexed):
    ctxeng("context", QUESTION)
    (indexed / "handbook" / "leave.md").write_text("# Leave\n\nParental leave is 9 weeks.\n")
    ctxeng("index", "handbook")
    ctxeng("context", QUESTION)
    ctxeng("context", QUESTION, "--budget", 70)
    small, new, old = ids(ctxeng)
    told = ctxeng("diff", old[:8], new[:8])
    assert told.code == 0
    assert "it was changed" in told.out
    found = ctxeng("diff", old, small, "--json").value
    assert (found["before"], found["after"], found["same"]) == (old, small, False)
    assert {"setting", "document"} <= {one["cause"] for one in found["differences"]}
    assert all(one["text"] for one in found["differences"])
    same = ctxeng("diff", new, "last")
    assert "budget" in same.out
    assert "the same, byte for byte" in ctxeng("diff", "last", small).out


def test_runs_are_forgotten(ctxeng, indexed):
    for budget in (100, 200, 300):
        ctxeng("context", QUESTION, "--budget", budget)
    assert ctxeng("trace", "remove", ids(ctxeng)[0][:8], "--json").value == {"removed": 1}
    assert len(ids(ctxeng)) == 2
    assert "2 runs forgotten" in ctxeng("trace", "remove", "--all").out
    assert ids(ctxeng) == []
    assert "No runs are recorded" in ctxeng("trace", "list").out


def test_keys_are_left_out_and_that_is_said(ctxeng, indexed):
    ctxeng("context", f"{QUESTION} sk-proj-abcdefghijklmnop1234")
    told = ctxeng("replay", "last")
    assert "sk-proj" not in told.out + ctxeng("trace", "show", "last", "--json").out
    assert "[redacted]" in told.out
    assert "keys were left out" in told.err
    assert ctxeng("replay", "last", "--json").value["exact"] is False


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("replay", "ffffffff"), "there is none here"),
        (("replay", "zz"), "at least 4 characters"),
        (("diff", "ffffffff", "last"), "there is none here"),
        (("trace", "show", "%%%%"), "there is none here"),
        (("trace", "remove"), "or give --all"),
        (("trace", "remove", "ffffffff"), "there is none here"),
    ],
)
def test_a_mistake_is_told_and_has_exit_code_two(ctxeng, indexed, command, said):
    ran = ctxeng(*command)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    ran = ctxeng(*command, "--json")
    assert ran.code == 2
    assert said in ran.value["error"]


def test_without_a_workspace_it_is_told(ctxeng, place):
    for command in (("trace", "list"), ("replay", "last"), ("diff", "last", "last")):
        ran = ctxeng(*command)
        assert ran.code == 2
        assert "no workspace" in ran.err


def test_a_damaged_line_of_the_list_costs_no_other(ctxeng, indexed):
    for question in (QUESTION, "Who approves it?"):
        ctxeng("context", question)
    newest = ctxeng("trace", "list", "--json").value[0]["id"]
    with closing(sqlite3.connect(indexed / ".ctxeng" / "store.sqlite3")) as db:
        db.execute("UPDATE trace SET summary = '{' WHERE id = ?", (newest,))
        db.commit()
    first, second = ctxeng("trace", "list", "--json").value
    assert (first["id"], first["damaged"]) == (newest, True)
    assert (second["query"], second["damaged"]) == (QUESTION, False)
    assert "(damaged: `ctxeng trace remove ID` takes it away)" in ctxeng("trace", "list").out
    assert ctxeng("trace", "remove", newest).code == 0


def test_the_run_before_the_newest_has_a_name(ctxeng, indexed):
    ctxeng("context", QUESTION)
    ctxeng("context", QUESTION, "--budget", "120")
    (setting, *_) = ctxeng("diff", "last-1", "last", "--json").value["differences"]
    assert (setting["what"], setting["before"], setting["after"]) == ("budget", 2_000, 120)
    assert ctxeng("diff", "last-9", "last").code == 2


def test_a_damaged_record_is_told(ctxeng, indexed):
    ctxeng("context", QUESTION)
    with closing(sqlite3.connect(indexed / ".ctxeng" / "store.sqlite3")) as db:
        db.execute("UPDATE text SET body = x'00'")
        db.commit()
    ran = ctxeng("replay", "last")
    assert ran.code == 2
    assert "damaged" in ran.err
    assert ctxeng("trace", "remove", "last").code == 0
    assert ctxeng("context", QUESTION).code == 0
