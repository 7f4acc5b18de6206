"""A count that learns."""

import math

import pytest

from ctxeng.generation.counting import MARGIN, ApproximateCounter
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
    counter.learn(PROMPT, COUNTED // 2)
    assert counter.margin == MARGIN  # one report says nothing of the spread
    counter.learn(PROMPT * 2, COUNTED)
    assert counter.ratio == pytest.approx(0.5, abs=0.02)
    assert counter.margin == pytest.approx(0.02)
    counter.learn(PROMPT, round(COUNTED * 0.65))
    assert counter.margin > 0.1
    assert counter.count(PROMPT) == math.ceil(COUNTED * counter.ratio)
    assert counter.count("") == 0


@pytest.mark.parametrize("reported", [1, 3 * COUNTED + 10, 10**9])
def test_a_report_that_cannot_be_of_this_text_teaches_nothing(reported):
    counter = ApproximateCounter()
    counter.learn(PROMPT, reported)
    assert counter.ratio == 1.0


def test_a_prompt_of_a_few_words_teaches_nothing():
    counter = ApproximateCounter()
    counter.learn("hello", 9)
    assert counter.ratio == 1.0


def test_it_learns_often_at_first_and_seldom_later():
    counter = ApproximateCounter()
    wanted = [counter.wants_report() for _ in range(330)]
    assert all(wanted[:10])
    assert sum(wanted[10:]) == 10
