"""Sentences in any script, without losing a character, in linear time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.testing.strategies import markdown, prose
from ctxeng.text.sentences import MAX_SENTENCE, sentences

hostile = st.text(st.sampled_from("ab. .!?…\"')] \n\n#|-*1。」Ae.g"), max_size=80)


def cut(text):
    return [text[span.start : span.end] for span in sentences(text)]


@given(text=st.one_of(st.text(max_size=300), hostile, prose, markdown))
def test_they_ascend_and_cover_all_but_white_space(text):
    end = 0
    for span in sentences(text):
        assert span.start >= end
        assert not text[end : span.start].strip()
        piece = text[span.start : span.end]
        assert piece == piece.strip() != ""
        assert len(piece) <= MAX_SENTENCE
        end = span.end
    assert not text[end:].strip()


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Roth met Mr. Lee, e.g. on Monday.",
        "J. R. R. Tolkien wrote it.",
        "See Fig. 3 and pp. 4 ff. for more.",
        "It costs 3.50 euros at example.com.",
        "The U.S. army came.",
        "He asked why... and left.",
        "Vgl. z.B. das Werk.",
        "1. Open the lid",
    ],
)
def test_not_every_stop_ends_a_sentence(text):
    assert cut(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is so. Really? Yes! Good.", ["It is so.", "Really?", "Yes!", "Good."]),
        ('He said "no." She left.', ['He said "no."', "She left."]),
        ("Wait… Now go.", ["Wait…", "Now go."]),
        (
            "これは本です。次は「何」ですか？はい。",
            ["これは本です。", "次は「何」ですか？", "はい。"],
        ),
        ("他说：「不。」她走了。", ["他说：「不。」", "她走了。"]),
        ("यह किताब है। वह कलम है।", ["यह किताब है।", "वह कलम है।"]),
        ("هل هذا كتاب؟ نعم.", ["هل هذا كتاب؟", "نعم."]),
        ("One paragraph\n\nAnother", ["One paragraph", "Another"]),
        ("A line\nthat goes on", ["A line\nthat goes on"]),
        ("- one\n- two\n* three", ["- one", "- two", "* three"]),
        ("1. one\n2. two", ["1. one", "2. two"]),
        ("# Title\nText goes on", ["# Title", "Text goes on"]),
        ("| a | b |\n| 1 | 2 |", ["| a | b |", "| 1 | 2 |"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_where_they_end(text, expected):
    assert cut(text) == expected


def test_a_run_without_a_stop_is_cut_at_white_space():
    words = "word " * 400
    assert all(len(piece) <= MAX_SENTENCE for piece in cut(words))
    assert "".join(cut(words)).replace(" ", "") == "word" * 400
    assert all(piece.split(" ") == ["word"] * len(piece.split(" ")) for piece in cut(words))
    assert "".join(cut("ก" * 2_000)) == "ก" * 2_000


HOSTILE = {
    "dots": "." * 2_000_000 + "x",
    "quoted dots": '."' * 1_000_000 + "x",
    "quotes": "." + '"' * 2_000_000,
    "letters": "a" * 2_000_000 + "!",
    "white space": "a" + " " * 2_000_000 + "b",
    "indented": ("\n" + " " * 1_000) * 2_000 + "x",
    "rules": "|" + "-" * 2_000_000,
    "marks": "# " * 1_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_takes_linear_time(name):
    """2 MB; what is quadratic would take hours."""
    began = time.process_time()
    spans = sentences(HOSTILE[name])
    assert time.process_time() - began < 5
    assert spans[-1].end == len(HOSTILE[name].rstrip())
