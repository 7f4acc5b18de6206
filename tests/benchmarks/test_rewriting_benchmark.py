import json

import pytest

from benchmarks.rewriting import AS_IS, GOLD, RULES, WHOLE, read_turns, rows_of

ASKED = "How long is parental leave at Example?"
SAID = "Parental leave is twenty weeks, fully paid."
APPROVES = "The personnel office approves leave of parents."


def row(number, history, question, rewrite):
    return {"id": f"2021_1_{number}", "history": history, "question": question, "rewrite": rewrite}


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "mine"
    found.mkdir()
    rows = [
        row(1, [], ASKED, ASKED),
        row(2, [ASKED, SAID], "Who approves it?", "Who approves parental leave at Example?"),
        row(
            3,
            [ASKED, SAID, "Who approves it?", APPROVES],
            "What may hotels in Berlin cost?",
            "what may hotels in Berlin cost",
        ),
        row(
            4,
            [ASKED, SAID, "Who approves it?", APPROVES, "What may hotels in Berlin cost?", "Ask."],
            "And in Porto?",
            "What may hotels in Porto cost?",
        ),
    ]
    (found / "turns.jsonl").write_text("\n".join(json.dumps(one) for one in rows))
    return found


def test_turns_are_read_with_who_said_what_and_the_answer_that_followed(folder):
    second, third, fourth = read_turns(folder)
    assert [message.role for message in second.history] == ["user", "assistant"]
    assert (second.answer, third.answer, fourth.answer) == (APPROVES, "", "")  # too short, none
    assert [turn.stands_alone for turn in (second, third, fourth)] == [False, True, False]


def test_the_rows_say_what_was_searched_for_and_found(folder):
    rows = list(rows_of(folder, "", limit=None, model_turns=0))
    value = {(one["system"], one["metric"]): one["value"] for one in rows}
    assert value[GOLD, "terms held"] == value[GOLD, "terms right"] == 1
    assert value[AS_IS, "terms held"] < value[RULES, "terms held"] <= value[WHOLE, "terms held"]
    assert value[WHOLE, "terms right"] < value[RULES, "terms right"]
    assert value[RULES, "Δterms held"] > 0
    assert value[RULES, "left alone"] == 1
    assert value[WHOLE, "left alone"] == 0
    assert (GOLD, "left alone") not in value
    assert value[GOLD, "answer found"] == 1
