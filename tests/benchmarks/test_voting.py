import json
from functools import partial

import anyio
import pytest

from benchmarks import cascade, voting
from benchmarks.voting import HandedOut, Puzzle, equations, solutions, vote, wrong_equations
from ctxeng.types import GenerationOptions, Message, Reply

SMALL, LARGE = ("6b_finetuning", "6b_verification"), ("175b_finetuning", "175b_verification")


def question(gold, *numbers):
    said = [f"It is {number}." for number in numbers]
    candidates = [{"model": m, "text": t} for m, t in zip(SMALL + LARGE, said, strict=True)]
    return {"question": "How many?", "solution": f"A: {gold}", "candidates": candidates}


@pytest.fixture
def folder(tmp_path):
    """Three questions: what all know, what most know, what only the large model knows."""
    (tmp_path / "gsm8k_solutions").mkdir()
    rows = [question(7, 7, 7, 7, 7), question(8, 8, 1, 8, 8), question(9, 1, 2, 3, 9)] * 2
    lines = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "gsm8k_solutions" / "questions.jsonl").write_text(lines)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("16 - 3 - 4 = 9", 1.0),
        ("She makes 9 * 2 = $<<9*2=18>>18 a day", 1.0),
        ("1,000 x 2 = 2,000 and 3 + 4 = 8.", 0.5),
        ("(2 + 3) × 4 = 20, 10 ÷ 4 = 2.5", 1.0),
        ("1/3 = 0.333", 1.0),
        ("x = 5", 0.0),
        ("the answer is 5", 0.0),
        ("5 / 0 = 1", 0.0),
        ("9 ** 9 ** 9 = 1", 0.0),
        ("1 +" * 100 + " 1 = 2", 0.0),
    ],
)
def test_equations_that_hold_are_counted(text, share):
    assert equations(text) == share


def test_a_critique_names_the_equations_that_do_not_hold_with_their_value():
    def told(text):
        return wrong_equations(Reply(text=text))

    assert told("So 2 + 3 = 6 eggs, and 4 * 5 = 20.") == "2 + 3 = 6 is wrong: it is 5."
    assert told("10 / 4 = 3, 10 / 4 = 3") == "10 / 4 = 3 is wrong: it is 2.5."
    assert told("4 * 5 = 20. The answer is 20") == told("no sum at all") == ""


def test_texts_are_handed_out_by_seed_with_what_they_cost():
    async def ask(seed):
        asked = [Message(role="user", content="How many?")]
        deltas = HandedOut(["one", "two of them"], price=2.0).stream(
            asked, GenerationOptions(seed=seed)
        )
        return [delta async for delta in deltas]

    for seed, text in ((0, "one"), (1, "two of them")):
        said, end = anyio.run(ask, seed)
        assert said.text == text
        usage = end.usage
        assert usage.cost == 2.0 * (usage.prompt_tokens + usage.completion_tokens) > 0


def test_each_solution_comes_first_once(folder):
    (known, *_) = solutions(folder / "gsm8k_solutions")
    assert len(known) == 4
    assert {puzzle.gold for puzzle in known} == {"7"}


def test_a_vote_is_never_worse_than_one_sample_here_nor_better_than_the_bound(folder):
    rows = anyio.run(vote, "little", solutions(folder / "gsm8k_solutions"), (3, 4))
    found = {(row["system"], row["metric"]): row["value"] for row in rows}
    assert found["one sample", "accuracy"] == pytest.approx((4 + 3 + 1) / 12)
    assert found["majority of 4", "accuracy"] == pytest.approx((4 + 4 + 1) / 12)
    assert found["best by its label (bound) of 4", "accuracy"] == 1.0
    assert found["majority of 4", "Δaccuracy"] == pytest.approx(1 / 12)
    assert found["majority, never stopping early of 4", "samples"] == 4
    assert found["majority of 4", "samples"] < 4
    bound = "best by its label (bound) of 4"
    extra = found[bound, "tokens"] - found["one sample", "tokens"]
    assert found[bound, "tokens for a point"] == pytest.approx(extra / (100 * 4 / 12))
    assert ("majority of 4", "tokens for a point") not in found  # six questions: not sure
    assert ("most like the others of 3", "accuracy") in found


def test_a_model_also_replies_greedily(folder):
    puzzles = solutions(folder / "gsm8k_solutions")
    rows = anyio.run(partial(vote, "little", puzzles, (2,), by_a_model=True))
    found = {(row["system"], row["metric"]): row["value"] for row in rows}
    assert found["one reply, greedy", "accuracy"] == found["one sample", "accuracy"]
    assert found["one reply, greedy", "samples"] == 1
    # what is handed out is the same each time: a version more, and not a point gained
    told = "revised, told to look for a mistake of 4"
    assert found[told, "samples"] == 4
    assert found[told, "accuracy"] == found["one reply, greedy", "accuracy"]
    assert (told, "tokens for a point") not in found
    assert found["revised while its equations are wrong of 4", "samples"] == 1  # there are none


def test_what_buys_nothing_has_no_price():
    wrong = Puzzle(HandedOut(["1"] * 4), "How many?", "2", GenerationOptions())
    rows = anyio.run(vote, "little", [[wrong]], (2,))
    assert {row["value"] for row in rows if row["metric"] == "accuracy"} == {0.0}
    assert "tokens for a point" not in {row["metric"] for row in rows}


def test_without_a_model_the_solutions_alone_are_voted_on(folder):
    rows = anyio.run(partial(voting.measure, folder, "", quick=True))
    assert {row["set"] for row in rows} == {"gsm8k_solutions, 6 questions"}


def test_a_cascade_costs_less_than_the_large_model_and_loses_what_its_rows_say(folder):
    rows = anyio.run(cascade.measure, folder / "gsm8k_solutions")
    found = {(row["system"], row["metric"]): row["value"] for row in rows}
    assert found["large alone", "accuracy"] == 1.0
    for system in {system for system, _ in found} - {"large alone"}:
        lost = found["large alone", "accuracy"] - found[system, "accuracy"]
        assert found[system, "Δaccuracy"] == pytest.approx(-lost)
    assert found["small alone", "cost, large alone = 1"] == pytest.approx(6 / 175)
    careful = "cascade that may lose 0% on the other half"
    assert found[careful, "Δaccuracy, other half"] >= 0
