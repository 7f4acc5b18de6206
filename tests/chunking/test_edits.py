"""An edit changes only the chunks near it."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import real_prose

from ctxeng import Document
from ctxeng.chunking import StructuredChunker
from ctxeng.testing import strategies

MOST = 12
"""Chunks with new ids. Of 1,400 random edits none changed more than 8, and the mean was 2."""


def ids(text, text_format="plain"):
    document = Document(id="d", text=text, format=text_format, language="python")
    return Counter(piece.id for piece in StructuredChunker().chunk(document))


PROSE = real_prose().split("\n\n")
EVEN = [
    " ".join(f"Paragraph {n} has sentence {n * 7 % 11}.{k} of its own kind." for k in range(5))
    for n in range(200)
]
TEXTS = {"help": PROSE, "paragraphs": EVEN, "one line": [" ".join(EVEN)]}
BEFORE = {name: ids("\n\n".join(paragraphs)) for name, paragraphs in TEXTS.items()}


@settings(max_examples=25)
@given(data=st.data(), name=st.sampled_from(["help", "paragraphs"]))
def test_a_paragraph_more_or_less_changes_a_few_chunks(data, name):
    paragraphs = list(TEXTS[name])
    at = data.draw(st.integers(0, len(paragraphs) - 1))
    added = data.draw(st.lists(strategies.paragraphs, max_size=1))
    paragraphs[at : at + data.draw(st.integers(0, 1))] = added
    after = ids("\n\n".join(paragraphs))
    gone = BEFORE[name] - after
    new = after - BEFORE[name]
    assert gone.total() <= MOST
    assert new.total() <= MOST + sum(map(len, added)) // 300


@settings(max_examples=25)
@given(data=st.data(), name=st.sampled_from(sorted(TEXTS)))
def test_a_word_more_changes_a_few_chunks(data, name):
    text = "\n\n".join(TEXTS[name])
    at = data.draw(st.integers(0, len(text)).filter(lambda at: text[at : at + 1] == " "))
    after = ids(f"{text[:at]} inserted{text[at:]}")
    assert (BEFORE[name] - after).total() <= MOST
    assert (after - BEFORE[name]).total() <= MOST


def test_most_edits_change_one_or_two_chunks():
    changed = []
    for at in range(0, len(PROSE), 7):
        after = ids("\n\n".join([*PROSE[:at], f"{PROSE[at]} More.", *PROSE[at + 1 :]]))
        changed.append((after - BEFORE["help"]).total())
    assert sum(changed) / len(changed) <= 2.5
    assert sorted(changed)[len(changed) // 2] <= 2


def test_text_in_front_changes_the_first_chunks_only():
    text = "\n\n".join(EVEN)
    after = ids(f"A preface of one sentence that nobody expected.\n\n{text}")
    assert (BEFORE["paragraphs"] - after).total() <= MOST


@pytest.mark.parametrize("text_format", ["markdown", "code", "table"])
def test_so_it_is_in_sections_code_and_tables(text_format):
    blocks = {
        "markdown": [f"## Part {n}\n\n{paragraph}" for n, paragraph in enumerate(EVEN)],
        "code": [f"def f{n}(a):\n    '''{paragraph}'''\n" for n, paragraph in enumerate(EVEN)],
        "table": [f"row {n} | {n * 7 % 11} | some cell of it | more" for n in range(600)],
    }[text_format]
    before = ids("\n".join(blocks), text_format)
    middle = len(blocks) // 2
    after = ids("\n".join([*blocks[:middle], *blocks[middle + 1 :]]), text_format)
    assert (before - after).total() <= MOST
    assert (after - before).total() <= MOST


def test_equal_texts_are_told_apart_by_their_order():
    text = "\n\n".join(["Same text in every section of it."] * 3)
    found = ids("\n\n".join(f"# Part\n\n{text}" for _ in range(3)), "markdown")
    assert found.total() == len(found)
