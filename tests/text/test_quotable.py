"""What an answer may quote stands in the text, in order, and only once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.testing.strategies import code, markdown, prose, tables
from ctxeng.text.quotable import quotes

TEXTS = st.one_of(st.text(max_size=200), prose, markdown, code, tables)


@given(text=TEXTS, text_format=st.sampled_from(["plain", "markdown", "code", "table"]))
def test_quotes_ascend_inside_the_text(text, text_format):
    end = 0
    for quote in quotes(text, text_format):
        assert end <= quote.span.start < quote.span.end <= len(text)
        assert text[quote.span.start : quote.span.end].strip()
        assert any(map(str.isalnum, quote.shown))
        end = quote.span.end


@given(text=TEXTS, text_format=st.sampled_from(["plain", "markdown"]))
def test_every_letter_stands_in_a_quote(text, text_format):
    """But for what marks a fence."""
    covered = set()
    for quote in quotes(text, text_format):
        covered.update(range(quote.span.start, quote.span.end))
    fences = [line for line in text.split("\n") if line.lstrip().startswith(("```", "~~~"))]
    if not fences:
        assert all(at in covered for at, c in enumerate(text) if c.isalnum())


@pytest.mark.parametrize(
    ("text", "text_format", "shown"),
    [
        ("It is so.\nReally so.", "plain", ["It is so.", "Really so."]),
        ("- one thing\n- another", "markdown", ["one thing", "another"]),
        ("def f():\n    return 1", "code", ["\n```\ndef f():\n    return 1\n```\n"]),
        ("x = 1", "code", ["`x = 1`"]),
        (
            "tier: 1\nowner: Ines\ndata kept: 7 days",
            "plain",
            ["tier: 1 | owner: Ines | data kept: 7 days"],
        ),
        (
            "The lamp is lit with one\nkind of oil: olive.",
            "plain",
            ["The lamp is lit with one kind of oil: olive."],
        ),
        ("!!! ???", "plain", []),
        ("| a | b |\n| --- | --- |\n| 1 | 2 |", "markdown", ["a | b", "a: 1 | b: 2"]),
    ],
)
def test_as_an_answer_shows_them(text, text_format, shown):
    assert [quote.shown for quote in quotes(text, text_format)] == shown


def test_a_heading_is_no_answer():
    heading, sentence = quotes("# Leave\n\nStaff may take 20 weeks.", "markdown")
    assert heading.is_heading
    assert not sentence.is_heading
