"""Token counts of batches. That they are the tokenizer's, its contract's tests say."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng import ConfigError
from ctxeng.text import tokens
from ctxeng.text.tokens import PackagedTokenCounter

COUNTER = PackagedTokenCounter()


@given(texts=st.lists(st.text(max_size=60), max_size=6))
def test_a_batch_counts_as_its_texts_one_by_one(texts):
    assert COUNTER.count_batch(texts) == [COUNTER.count(text) for text in texts]


def test_long_texts_are_counted_whole():
    assert COUNTER.count("word " * 20_000) >= 20_000


def test_lone_surrogates_are_counted_as_what_replaces_them():
    assert COUNTER.count("a\ud800b") == COUNTER.count("a?b")


def test_without_its_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(tokens, "_tokenizer", tokens._tokenizer.__wrapped__)
    monkeypatch.setitem(sys.modules, "wordllama", None)
    monkeypatch.setattr(tokens.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"wordllama.*pip install"):
        COUNTER.count("x")
