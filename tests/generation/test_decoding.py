"""Several samples, and the choice among them."""

from collections import Counter

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.decoding import (
    best_of_n,
    last_number,
    most_agreed,
    revise,
    self_consistency,
    short_answer,
    tokens_per_point,
    word_f1,
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
    assert scaled.tokens == 4 * (10 + 20)


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


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(best_of_n, {"score": lambda _: 0.0}), (self_consistency, {}), (most_agreed, {})],
    ids=["best_of_n", "self_consistency", "most_agreed"],
)
def test_samples_may_be_asked_for_at_the_same_time(function, arguments):
    model = Scripted(["a"], ["b"], ["c"], ["d"], ["e"], pause=0.01)
    scaled = run(function, model, n=5, together=2, **arguments)
    assert [reply.text for reply in scaled.candidates] == ["a", "b", "c", "d", "e"]
    assert model.most == 2


def test_all_that_were_asked_for_at_the_same_time_are_counted_and_have_a_vote():
    scaled = run(self_consistency, Scripted(["a1"], ["a1"], ["b"], ["a1"]), n=4, together=4)
    assert (len(scaled.candidates), scaled.confidence) == (4, 3 / 4)
    assert scaled.usage.completion_tokens == 4 * 20
    model = Scripted(["1"], ["5"], ["9"])
    scaled = run(best_of_n, model, n=3, score=lambda r: float(r.text), good_enough=5, together=3)
    assert (scaled.reply.text, scaled.tokens) == ("9", 3 * 30)


def test_samples_that_fail_are_not_waited_for_to_decide_a_vote():
    model = Scripted(["b1"], DOWN, ["b1"], ["c"], ["c"])
    scaled = run(self_consistency, model, n=4)
    assert scaled.reply.text == "b1"
    assert len(model.calls) == 3  # one is left, and cannot overtake two


@pytest.mark.parametrize("function", [self_consistency, most_agreed])
def test_what_is_no_failure_of_a_backend_comes_as_it_is(function):
    class Missing(Scripted):
        async def stream(self, messages, options=DEFAULT_OPTIONS):
            raise ConfigError("no such model")
            yield

    with pytest.raises(ConfigError, match="no such model"):
        run(function, Missing(), n=4, together=2)


def test_the_reply_most_like_the_others_wins_and_failures_have_no_say():
    model = Scripted(
        ["Paris is in France."], ["It rains."], DOWN, ["Paris, the capital, is in France."], ["Oh."]
    )
    scaled = run(most_agreed, model, n=5)
    assert scaled.reply.text == "Paris is in France."
    assert scaled.confidence == pytest.approx(
        word_f1("paris is in france", "paris capital is in france") / 3
    )
    alone = run(most_agreed, Scripted(["only"]), n=1)
    assert (alone.reply.text, alone.confidence) == ("only", 1.0)
    last = run(most_agreed, Scripted(["a"], ["bb"], ["c"]), n=3, similarity=lambda a, b: len(a + b))
    assert last.reply.text == "bb"


@given(st.text(max_size=40), st.text(max_size=40))
def test_similarity_of_words_is_the_same_in_both_orders_and_1_for_the_same(one, other):
    assert word_f1(one, other) == word_f1(other, one)
    assert 0 <= word_f1(one, other) <= 1
    assert word_f1(one, one) == 1


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
        ("a loss of -$1,200", "-1200"),
        ("−4 degrees", "-4"),
        ("from 2-3 to 10-5", "5"),
        ("(4)-2", "2"),
        ("$.50", "0.5"),
        ("the winners are 1,2,3", "3"),
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
