"""What counts as heading, row, item and code, and what a line break means."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxeng.text.quotable import MAX_CODE_LINES, quotes

LINES = [
    "# Leave",
    "## How long?",
    "Staff may take up to 20 weeks, e.g. in May.",
    "Ask Dr. Roth first! Then rest",
    "- one item",
    "3. third step",
    "| city | fee |",
    "|---|---|",
    "| Porto | 5 |",
    "```python",
    "```",
    "~~~",
    "x = 1",
    "    return x",
    "Subject: closed",
    "a  b    c",
    "======",
    "范廷颂是主教。他在1963年被任命。",
    "क्या यह सही है? हाँ।",
    "",
    "  ",
    "a | b | c",
    "\tEnd",
]
texts = st.lists(st.sampled_from(LINES), max_size=14).map("\n".join) | st.text(max_size=200)
formats = st.sampled_from(["plain", "markdown", "code", "table"])


@settings(deadline=None, max_examples=200)
@given(text=texts, text_format=formats, from_start=st.booleans())
def test_quotes_ascend_without_overlap_and_show_what_stands_there(text, text_format, from_start):
    found = quotes(text, text_format, from_start=from_start)
    for quote in found:
        raw = text[quote.span.start : quote.span.end]
        assert raw == raw.strip() or quote.kind == "code"
        letters, shown = (sum(map(str.isalnum, s)) for s in (raw, quote.shown))
        assert shown >= letters - 3  # list numbers go; the names of columns come
        assert quote.kind == "code" or "\n" not in quote.shown
    for one, other in pairwise(found):
        assert one.span.end <= other.span.start


@settings(deadline=None, max_examples=200)
@given(text=texts, text_format=formats)
def test_no_letter_of_the_text_is_lost_but_those_of_fences(text, text_format):
    held = "".join(text[q.span.start : q.span.end] for q in quotes(text, text_format))
    fences = [line for line in text.split("\n") if line.strip().startswith(("```", "~~~"))]
    missing = sum(map(str.isalnum, text)) - sum(map(str.isalnum, held))
    assert missing == 0 or (fences and missing <= sum(len(line) for line in fences))


def kinds(text, text_format="markdown", **how):
    return [(quote.kind, quote.shown) for quote in quotes(text, text_format, **how)]


def test_headings_and_questions_name_what_follows():
    assert kinds("## Leave\n\nHow long is it? It is 20 weeks.\n\n- one") == [
        ("heading", "Leave"),
        ("heading", "How long is it?"),
        ("sentence", "It is 20 weeks."),
        ("item", "one"),
    ]


def test_a_short_line_before_a_sentence_is_a_heading_of_plain_text():
    text = "Before you book\nA trip needs a purpose that a call cannot serve. Ask\nyour team lead."
    assert kinds(text, "plain")[0] == ("heading", "Before you book")
    assert kinds(text, "plain")[2] == ("sentence", "Ask your team lead.")


def test_a_line_that_begins_within_a_sentence_is_no_heading():
    text = "Where a city is not in the table, the limit is 130 EUR. During a fair the\nTravel desk may raise a limit by half."  # noqa: E501
    assert kinds(text, "plain")[1] == (
        "sentence",
        "During a fair the Travel desk may raise a limit by half.",
    )


def test_the_lines_of_an_address_are_no_headings():
    text = "Brambleway GmbH\nSalzstrasse 12\n79098 Freiburg"
    assert {kind for kind, _ in kinds(text, "plain")} == {"sentence"}


def test_lines_that_were_ended_on_purpose_are_units_and_wrapped_lines_are_not():
    text = (
        "Subject: Office closed\nFrom: Ines Albrecht\n\n"
        "The office in Porto is closed for a week in\nAugust. Please work from home, or book "
        "a desk at\nRua de Cedofeita."
    )
    assert [shown for _, shown in kinds(text, "plain")] == [
        "Subject: Office closed",
        "From: Ines Albrecht",
        "The office in Porto is closed for a week in August.",
        "Please work from home, or book a desk at Rua de Cedofeita.",
    ]


def test_columns_aligned_by_spaces_are_rows():
    rows = ["kind    who    when", "======  =====  =====", "train   two    Tuesday"]
    text = "\n".join([*rows, "hotfix  one    any hour"])
    assert [shown for _, shown in kinds(text, "plain")] == [
        "kind who when",
        "train two Tuesday",
        "hotfix one any hour",
    ]


def test_rows_carry_the_names_of_their_columns():
    table = "| city | fee |\n|---|---|\n| Porto | 5 EUR |\n| Bonn | |"
    assert kinds(table) == [
        ("heading", "city | fee"),
        ("row", "city: Porto | fee: 5 EUR"),
        ("row", "Bonn"),
    ]
    sheet = "# Fees\ncity | fee | note\nPorto | 5 EUR\nBonn | 6 | paid | more"
    assert kinds(sheet, "table") == [
        ("heading", "Fees"),
        ("heading", "city | fee | note"),
        ("row", "city: Porto | fee: 5 EUR"),
        ("row", "Bonn | 6 | paid | more"),
    ]


def test_titles_above_a_table_are_not_its_header():
    sheet = "# Fees\nFees of 2031\n\nin EUR\ncity | fee\nPorto | 5"
    assert kinds(sheet, "table")[-3:] == [
        ("heading", "in EUR"), ("heading", "city | fee"), ("row", "city: Porto | fee: 5"),
    ]  # fmt: skip
    assert kinds("# Names\nname\nAnn\nBob", "table")[1:] == [
        ("heading", "name"), ("row", "Ann"), ("row", "Bob"),
    ]  # fmt: skip


def test_rows_from_within_a_table_are_named_by_the_columns_that_are_given():
    given = {"columns": "| city | fee |"}
    assert kinds("Porto | 5\nBonn | 6", "table", **given) == [
        ("row", "city: Porto | fee: 5"), ("row", "city: Bonn | fee: 6"),
    ]  # fmt: skip
    prose = "| Porto | 5 |\n\nIt is so.\n\n| a | b |"
    assert [shown for _, shown in kinds(prose, **given)] == [
        "city: Porto | fee: 5", "It is so.", "a | b",
    ]  # fmt: skip


def test_the_first_row_is_a_header_only_where_the_table_begins():
    rows = "Porto | 5 EUR\nBonn | 6 EUR"
    assert kinds(rows, "table") == [("row", "Porto | 5 EUR"), ("row", "Bonn | 6 EUR")]
    assert kinds(rows, "table", from_start=True) == [
        ("heading", "Porto | 5 EUR"),
        ("row", "Porto: Bonn | 5 EUR: 6 EUR"),
    ]


def test_fenced_code_is_code_and_the_prose_around_it_is_not():
    text = "Run this:\n\n```sh\nbw deploy. Then\nbw check\n```\n\nIt takes a minute."
    assert kinds(text) == [
        ("sentence", "Run this:"),
        ("code", "\n```\nbw deploy. Then\nbw check\n```\n"),
        ("sentence", "It takes a minute."),
    ]


def test_literal_blocks_of_rest_are_code_and_its_underlines_are_no_fences():
    text = (
        "Use\n~~~\n\nRun it::\n\n    $ lamp on\n    lit\n\nIt glows.\n\nStop\n~~~~\n\nTurn it off."
    )
    assert kinds(text, "plain") == [
        ("heading", "Use"),
        ("sentence", "Run it::"),
        ("code", "\n```\n$ lamp on\nlit\n```\n"),
        ("sentence", "It glows."),
        ("heading", "Stop"),
        ("sentence", "Turn it off."),
    ]
    named = "\n\n".join(
        [".. _glow:", ".. code-block:: sh\n   :linenos:", "   lamp on", ".. note::", "   It glows."]
    )
    assert kinds(named, "plain") == [
        ("heading", ".. _glow:"),
        ("heading", ".. code-block:: sh :linenos:"),
        ("code", "`lamp on`"),
        ("heading", ".. note::"),
        ("sentence", "It glows."),
    ]


def test_a_line_that_goes_on_with_code_or_a_quoted_word_is_not_cut_off():
    wide = "A line that is wider than the two that follow it, as those of code often are."
    text = f"{wide}\n\nHand the oil to the\n``fill`` step or to\n(another) one."
    assert kinds(text, "plain")[1:] == [
        ("sentence", "Hand the oil to the ``fill`` step or to (another) one.")
    ]


def test_code_with_a_fence_in_it_gets_another_fence():
    (quote,) = quotes('"""\n```\nx\n"""', "code")
    assert quote.shown.startswith("\n~~~~\n")
    assert quote.shown.endswith("\n~~~~\n")


def test_code_is_cut_at_blank_lines_and_never_longer_than_the_limit():
    code = "\n".join(f"line{n} = {n}" for n in range(20)) + "\n\nlast = 1"
    found = quotes(code, "code")
    assert all(q.shown.strip("\n`").count("\n") < MAX_CODE_LINES for q in found)
    assert found[-1].shown == "`last = 1`"


@pytest.mark.parametrize("text_format", ["plain", "markdown", "code", "table"])
@pytest.mark.parametrize("text", ["", " \n\t", "---\n***", "|---|"])
def test_nothing_that_can_be_said_gives_no_quotes(text, text_format):
    assert quotes(text, text_format) == []


@pytest.mark.parametrize(
    "text",
    ["`" * 50_000, "a |" * 20_000, "- " * 40_000, "#" * 60_000, "x\n" * 30_000, "=" * 60_000],
)
def test_long_lines_of_marks_take_linear_time(text):
    began = time.process_time()
    for text_format in ("plain", "markdown", "table", "code"):
        for quote in quotes(text, text_format):
            assert 0 <= quote.span.start < quote.span.end <= len(text)
    assert time.process_time() - began < 5  # seconds; quadratic ones take minutes
