"""A count that learns."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.generation.counting import LEAST, MARGIN, REMEMBERED, ApproximateCounter
from ctxeng.text.tokens import PackagedTokenCounter

PROMPT = "Expenses above five hundred euros are approved by the head of the department. " * 4
COUNTED = PackagedTokenCounter().count(PROMPT)


def test_before_it_has_learnt_it_counts_as_the_packaged_tokenizer_and_says_so():
    counter = ApproximateCounter()
    assert counter.count(PROMPT) == COUNTED
    assert counter.count("") == 0
    assert f"{PackagedTokenCounter.name} × 1.00" in counter.name
    assert "approximate ± 30%" in counter.name


def test_it_learns_the_ratio_and_the_margin_from_what_is_reported():
    counter = ApproximateCounter()
    counter.learn(PROMPT, round(COUNTED * 0.8))
    assert counter.margin == MARGIN  # one report says nothing of the spread
    counter.learn(PROMPT * 2, round(COUNTED * 1.6))
    assert counter.ratio == pytest.approx(0.8, abs=0.02)
    assert counter.margin == pytest.approx(0.02)
    counter.learn(PROMPT, round(COUNTED * 1.0))
    assert counter.margin > 0.1
    assert counter.count(PROMPT) == math.ceil(COUNTED * counter.ratio)
    assert counter.count("") == 0


@pytest.mark.parametrize("reported", [1, 3 * COUNTED + 10, 10**9])
def test_a_report_that_cannot_be_of_this_text_teaches_nothing(reported):
    counter = ApproximateCounter()
    counter.learn(PROMPT, reported)
    assert counter.ratio == 1.0


@given(shares=st.lists(st.floats(0.01, 4.0), max_size=30))
def test_whatever_is_reported_it_counts_no_fewer_tokens_than_prose_can_have(shares):
    """A prompt that was counted too low would overrun the window."""
    counter = ApproximateCounter()
    for share in shares:
        counter.learn(PROMPT, round(COUNTED * share))
    assert counter.count(PROMPT) >= LEAST * COUNTED


def test_a_few_prompts_that_were_kept_in_part_do_not_make_others_too_small():
    """As of a server that counts only what it had to read, or of columns of numbers."""
    counter = ApproximateCounter()
    for _ in range(REMEMBERED):
        counter.learn(PROMPT, round(COUNTED * 0.55))
    assert counter.ratio == LEAST


def test_a_prompt_of_a_few_words_teaches_nothing():
    counter = ApproximateCounter()
    counter.learn("hello", 9)
    assert counter.ratio == 1.0


def test_it_learns_often_at_first_and_seldom_later():
    counter = ApproximateCounter()
    wanted = [counter.wants_report() for _ in range(330)]
    assert all(wanted[:10])
    assert sum(wanted[10:]) == 10
