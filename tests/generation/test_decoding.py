"""Several samples, and the choice among them."""

from collections import Counter

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.errors import BackendError
from ctxeng.generation.decoding import (
    best_of_n,
    last_number,
    revise,
    self_consistency,
    short_answer,
    tokens_per_point,
)
from ctxeng.types import DEFAULT_OPTIONS, GenerationOptions, Message
from tests.generation.scripted import Scripted

ASKED = [Message(role="user", content="How much is 6 times 7?")]
DOWN = BackendError("down")


def run(function, generator, options=DEFAULT_OPTIONS, **arguments):
    async def call():
        return await function(generator, ASKED, options, **arguments)

    return anyio.run(call)


def test_best_of_n_takes_the_reply_with_the_highest_score():
    model = Scripted(["41"], ["42"], ["43"], ["42 again"])
    scaled = run(best_of_n, model, n=4, score=lambda reply: reply.text.startswith("42"))
    assert scaled.reply.text == "42"
    assert [reply.text for reply in scaled.candidates] == ["41", "42", "43", "42 again"]
    assert scaled.usage.completion_tokens == 4 * 20


def test_best_of_n_stops_at_a_reply_that_is_good_enough():
    model = Scripted(["41"], ["42"], ["43"])
    scaled = run(best_of_n, model, n=3, score=lambda r: float(r.text), good_enough=42)
    assert scaled.reply.text == "42"
    assert len(model.calls) == 2


def test_samples_differ_by_seed_and_are_sampled():
    model = Scripted(["a"], ["b"])
    run(best_of_n, model, GenerationOptions(seed=5), n=2, score=lambda _: 0.0)
    asked = [options for _, options in model.calls]
    assert [options.seed for options in asked] == [5, 6]
    assert all(options.temperature > 0 for options in asked)
    run(best_of_n, model, GenerationOptions(temperature=0.2), n=1, score=lambda _: 0.0)
    assert model.calls[-1][1].temperature == 0.2


def test_a_majority_wins_and_ends_the_asking():
    model = Scripted(["It is 42."], ["41"], ["The 42!"], ["42"], ["40"])
    scaled = run(self_consistency, model, n=5, normalise=last_number)
    assert scaled.reply.text == "It is 42."
    assert len(model.calls) == 4  # three of five: nothing can overtake it
    assert scaled.confidence == 3 / 4


@given(
    votes=st.lists(st.sampled_from(["a1", "b2", "c3", ""]), min_size=1, max_size=8),
    together=st.integers(1, 4),
)
def test_stopping_early_never_changes_the_number_of_votes_that_win(votes, together):
    scaled = run(
        self_consistency, Scripted(*[[vote] for vote in votes]), n=len(votes), together=together
    )
    counts = Counter(vote for vote in votes if vote)
    if counts:
        assert counts[scaled.reply.text] == max(counts.values())
    else:
        assert scaled.confidence == 0


def test_samples_that_fail_have_no_vote_and_only_all_of_them_are_an_error():
    scaled = run(self_consistency, Scripted(DOWN, ["42"], DOWN, ["42"]), n=4)
    assert scaled.reply.text == "42"
    with pytest.raises(BackendError, match="down"):
        run(self_consistency, Scripted(DOWN, DOWN), n=2)
    with pytest.raises(ValueError, match="at least 1"):
        run(self_consistency, Scripted(["a"]), n=0)


def test_samples_asked_for_together_run_together():
    model = Scripted(["a"], ["b"], ["c"], ["d"], pause=0.005)
    run(best_of_n, model, n=4, score=lambda _: 0.0)
    assert model.most == 1
    run(self_consistency, model, n=4, together=4)
    assert model.most == 4


def test_a_revision_is_told_what_is_wrong_until_nothing_is():
    model = Scripted(["41"], ["42"], ["43"])
    scaled = run(revise, model, critique=lambda r: "" if r.text == "42" else "too small", rounds=5)
    assert scaled.reply.text == "42"
    assert len(model.calls) == 2
    turns = [message.text for message in model.calls[1][0]]
    assert turns[1] == "41"
    assert turns[2].startswith("too small")


def test_a_revision_that_fails_leaves_the_reply_before_it():
    assert run(revise, Scripted(["41"], DOWN), critique=lambda _: "no", rounds=2).reply.text == "41"
    unchanged = run(revise, Scripted(["41"], ["42"]), critique=lambda _: "no", rounds=0)
    assert unchanged.reply.text == "41"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so it is #### 1,234.50", "1234.5"),
        ("3 apples and 4 pears: 7", "7"),
        ("-5", "-5"),
        ("100", "100"),
        ("no number", ""),
        ("$18.00.", "18"),
    ],
)
def test_last_number(text, number):
    assert last_number(text) == number


def test_short_answers_are_compared_without_case_articles_and_punctuation():
    assert short_answer("The  Eiffel Tower!") == short_answer("eiffel tower")
    assert short_answer("3.5 %") != short_answer("35 %")


def test_tokens_per_point():
    assert tokens_per_point([True, False], 20, [True, True], 120) == pytest.approx(50 / 50)
    assert tokens_per_point([True], 10, [True], 100) == float("inf")
