from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ctxeng.context.units import fragments, units

LINES = [
    "# Leave",
    "Staff may take up to 20 weeks. Ask your lead.",
    "The steps are:",
    "- one",
    "| city | fee |",
    "|---|---|",
    "| Porto | 5 |",
    "```",
    "x = 1. y = 2",
    "",
    "范廷颂是主教。他在1963年被任命。",
    "Title",
]
texts = st.lists(st.sampled_from(LINES), max_size=14).map("\n".join)
formats = st.sampled_from(["plain", "markdown", "code", "table"])


def cut(text, text_format="markdown"):
    return [text[unit.start : unit.end] for unit in units(text, text_format)]


@settings(deadline=None, max_examples=300)
@given(text=texts, text_format=formats)
def test_units_and_fragments_ascend_without_overlap(text, text_format):
    for found in (units(text, text_format), fragments(text, text_format)):
        assert all(0 <= span.start < span.end <= len(text) for span in found)
        assert all(one.end <= other.start for one, other in pairwise(found))


@settings(deadline=None, max_examples=300)
@given(text=texts, text_format=formats)
def test_no_fragment_stands_in_two_units(text, text_format):
    whole = units(text, text_format)
    for fragment in fragments(text, text_format):
        holders = [u for u in whole if u.start < fragment.end and fragment.start < u.end]
        assert len(holders) == 1
        assert holders[0].start <= fragment.start
        assert fragment.end <= holders[0].end


def test_a_heading_belongs_to_the_sentence_below_it():
    text = "# Leave\n\n## Parents\n\nIt is 20 weeks. It is paid."
    assert cut(text) == ["# Leave\n\n## Parents\n\nIt is 20 weeks.", "It is paid."]


def test_a_line_that_ends_in_a_colon_belongs_to_what_it_announces():
    assert cut("Bring these:\n\n- a badge\n- a laptop\n\nThen go.") == [
        "Bring these:\n\n- a badge",
        "- a laptop",
        "Then go.",
    ]


def test_the_rows_of_a_table_stay_together_with_their_header():
    table = "| city | fee |\n|---|---|\n| Porto | 5 |\n| Bonn | 6 |"
    assert cut(f"Fees. Here.\n\n{table}\n\nEnd.") == ["Fees.", "Here.", table, "End."]


def test_a_fenced_block_stays_whole():
    block = "```python\nx = 1. Then\n\n\ny = 2\n```"
    assert cut(f"Run it. Now.\n\n{block}\n\nDone.") == ["Run it.", "Now.", block, "Done."]


def test_code_and_tables_are_one_unit():
    for text_format in ("code", "table"):
        assert cut("a\n\nb\n\nc", text_format) == ["a\n\nb\n\nc"]
        assert cut(" \n", text_format) == []
