"""Prose and Markdown: whole sentences of one section, 100 to 150 words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import real_prose

from ctxeng import Document
from ctxeng.chunking import StructuredChunker, chunk
from ctxeng.chunking.pack import words
from ctxeng.testing import strategies
from ctxeng.text.sentences import sentences

WORDS = st.sampled_from(strategies.WORDS)


def cut(text, text_format="markdown", **values):
    return chunk(Document(id="d", text=text, format=text_format, **values))


def paths(text, **values):
    """(heading path, text) of each chunk."""
    return [(piece.heading_path, piece.text) for piece in cut(text, **values)]


def sentence(number):
    return f"Sentence number {number} says some thing or other about the matter at hand here."


def test_real_prose_is_cut_into_whole_sentences_of_100_to_150_words():
    text = real_prose().replace("::", ":")
    spans = {(span.start, span.end) for span in sentences(text)}
    starts, ends = {start for start, _ in spans}, {end for _, end in spans}
    pieces = StructuredChunker().chunk(Document(id="d", text=text))
    assert len(pieces) > 50
    sizes = [words(piece.text) for piece in pieces]
    assert max(sizes) <= 150 * 1.05  # white space between sentences counts in the long run only
    within = [piece for piece in pieces if piece.span.start in starts and piece.span.end in ends]
    assert len(within) > 0.9 * len(pieces)


@settings(max_examples=60)
@given(lengths=st.lists(st.integers(4, 30), min_size=1, max_size=60))
def test_a_section_is_cut_evenly(lengths):
    """No chunk is over 150 words; under 100 is only what must be."""
    text = " ".join("Some " + "word " * (n - 2) + f"end{n}." for n in lengths)
    sizes = [len(piece.text.split()) for piece in cut(text)]
    assert sum(sizes) == sum(lengths)
    assert max(sizes) <= 150
    if sum(lengths) > 150:
        assert min(sizes) >= 45
    if sum(lengths) >= 400:
        assert sum(size < 70 for size in sizes) <= 1


@given(sections=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 12)), min_size=1, max_size=12))
def test_no_chunk_lies_across_a_heading(sections):
    """Where a section has text, its chunks have its headings and nothing of another."""
    lines, expected, stack = [], {}, ()
    for number, (level, size) in enumerate(sections):
        title = f"Section {number}"
        stack = (*(entry for entry in stack if entry[0] < level), (level, title))
        body = " ".join(f"Text{number} {sentence(n)}" for n in range(size))
        lines += [f"{'#' * level} {title}", "", body, ""]
        expected[number] = tuple(name for _, name in stack)
    for piece in cut("\n".join(lines)):
        inside = {int(word[4:]) for word in piece.text.split() if word[:4] == "Text"}
        assert len(inside) <= 1
        for number in inside:
            assert piece.heading_path == expected[number]
            assert f"Section {number - 1}\n\nText" not in piece.text


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("# A\n\ntext", ("A",)),
        ("# A #\n\ntext", ("A",)),
        ("# C#\n\ntext", ("C#",)),
        ("## A\n### B\ntext", ("A", "B")),
        ("A\n=====\n\ntext", ("A",)),
        ("A\n===\n\nB\n---\n\ntext", ("A", "B")),
        ("== A ==\ntext", ("A",)),
        ("= = A = =\ntext", ("A",)),
        ("#no heading\n\ntext", ()),
        ("```\n# no heading\n```\n\ntext", ()),
        ("| a | b |\n|---|---|\n\ntext", ()),
        ("# " + "long " * 200 + "\n\ntext", ()),
    ],
)
def test_what_is_a_heading(text, path):
    assert cut(text)[-1].heading_path == path


def test_a_deeper_heading_stays_below_and_a_higher_one_ends_it():
    text = "# A\n\none\n\n## B\n\ntwo\n\n# C\n\nthree"
    assert paths(text) == [
        (("A",), "# A\n\none"),
        (("A", "B"), "## B\n\ntwo"),
        (("C",), "# C\n\nthree"),
    ]


def test_the_title_comes_first_and_only_once():
    assert cut("# A\n\ntext", title="A")[0].heading_path == ("A",)
    assert cut("# A\n\ntext", title="Book")[0].heading_path == ("Book", "A")


def test_an_outline_of_headings_is_cut_too():
    text = "".join(f"## Heading number {n}\n" for n in range(3_000))
    pieces = cut(text)
    assert max(words(piece.text) for piece in pieces) <= 150
    assert all(piece.text.startswith("## ") for piece in pieces)


def test_a_table_continues_with_its_header_in_the_prefix():
    rows = "\n".join(f"| row {n} | value {n} of it |" for n in range(80))
    text = f"# Rates\n\n| name | value |\n|---|---|\n{rows}\n\nAfter the table."
    first, *others = cut(text)
    assert "| name | value |" not in first.prefix
    continued = [piece for piece in others if piece.text.startswith("| row")]
    assert len(continued) > 2
    assert all("| name | value |\n|---|---|" in piece.prefix for piece in continued)
    for piece in (first, *continued):
        assert all(line.count("|") == 3 for line in piece.text.split("\n") if "row" in line)


def test_a_small_fence_is_never_cut():
    code = "```python\n" + "\n".join(f"x{n} = {n}. And. So." for n in range(20)) + "\n```"
    text = (
        " ".join(map(sentence, range(15))) + f"\n\n{code}\n\n" + " ".join(map(sentence, range(15)))
    )
    assert sum(code in piece.text for piece in cut(text)) == 1


@pytest.mark.parametrize(
    ("script", "stop"), [("中国的首都是北京在华北", "。"), ("これは本でありペンではない", "。")]
)
def test_chinese_and_japanese_are_cut_at_their_stops(script, stop):
    text = (script * 3 + stop) * 60
    pieces = cut(text)
    assert len(pieces) > 3
    assert all(piece.text.endswith(stop) for piece in pieces)
    assert all(words(piece.text) <= 150 for piece in pieces)


@pytest.mark.parametrize("script", ["中国的首都是北京", "ประเทศไทยมีเมืองหลวงชื่อ", "これは本です"])
def test_a_run_without_stops_or_spaces_is_cut_by_length(script):
    text = script * 500
    pieces = cut(text)
    assert "".join(piece.text for piece in pieces) == text
    assert max(words(piece.text) for piece in pieces) <= 150


@pytest.mark.parametrize("text_format", ["plain", "markdown", "code", "table"])
@pytest.mark.parametrize("depth", [150, 250, 2_500])
def test_text_that_is_indented_far_is_not_lost(text_format, depth):
    text = f"before\n\n{' ' * depth}needle in here\n\nbehind"
    found = " ".join(piece.text for piece in cut(text, text_format))
    assert found.split() == text.split()


@pytest.mark.parametrize("part_format", [None, "plain", "table", "code"])
def test_headings_hold_across_the_pages_of_a_document(part_format):
    from ctxeng.types import Part, Span

    text = "# Rules\n\nFirst page.\n\nSecond page."
    middle = text.index("Second")
    parts = [
        Part(label="page 1", span=Span(start=0, end=middle)),
        Part(label="page 2", span=Span(start=middle, end=len(text)), format=part_format),
    ]
    first, second = cut(text, parts=parts)
    assert (first.part, second.part) == ("page 1", "page 2")
    assert first.heading_path == ("Rules",)
    if part_format != "code":
        assert second.heading_path == ("Rules",)
