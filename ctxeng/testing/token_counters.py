"""The laws of ``TokenCounter``, one function each, for any implementation.

That a counter equals its model's tokenizer only its own tests can say: ``counts_as`` helps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ctxeng.protocols import TokenCounter


def nothing_is_no_tokens(counter: TokenCounter) -> None:
    assert counter.count("") == 0


def any_text_has_a_count_that_stays(counter: TokenCounter) -> None:
    """A whole number, the same each time."""
    from hypothesis import given, settings

    from ctxeng.testing.strategies import any_text

    @settings(deadline=None)
    @given(text=any_text)
    def law(text: str) -> None:
        count = counter.count(text)
        assert type(count) is int
        assert count == counter.count(text)
        assert count >= 0

    law()


def the_name_stays(counter: TokenCounter) -> None:
    before = counter.name
    counter.count("any text")
    assert before
    assert counter.name == before


def counts_as(counter: TokenCounter, tokens: Callable[[str], Sequence[object]]) -> None:
    """``tokens``: the model's own tokenizer, without special tokens."""
    from hypothesis import given, settings
    from hypothesis import strategies as st

    from ctxeng.testing.strategies import prose

    @settings(deadline=None)
    @given(text=st.one_of(st.text(max_size=300), prose))
    def law(text: str) -> None:
        assert counter.count(text) == len(tokens(text))

    law()


TOKEN_COUNTER_LAWS: Sequence[Callable[[TokenCounter], None]] = (
    nothing_is_no_tokens,
    any_text_has_a_count_that_stays,
    the_name_stays,
)
