"""Text that needs no parser keeps every character; titles are found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.loading import load_bytes


def load_one(data, name):
    (document,) = load_bytes(data.encode(), name)
    return document


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.rst", "a.py", "notes", "Makefile", "a.new"])
@given(text=st.text("abc #=-*>|`<&\\é漢\n\t", min_size=1).filter(str.strip))
def test_text_is_kept_as_it_is(name, text):
    assert load_one("x" + text, name).text == "x" + text


@pytest.mark.parametrize("ends", ["\r\n", "\r", "\n"])
def test_line_ends_become_one_kind(ends):
    assert load_one(f"one{ends}two{ends}", "a.txt").text == "one\ntwo\n"


@pytest.mark.parametrize(
    ("text", "name", "title"),
    [
        ("# The Lamp #\n\nglows", "a.md", "The Lamp"),
        ("intro\n\n# The Lamp\n", "a.md", "The Lamp"),
        ("---\ntitle: 'The Lamp'\nauthor: Ada\n---\n# Other\n", "a.md", "The Lamp"),
        ("no heading", "folder/a.md", "a.md"),
        ("The Lamp\n========\n\nglows", "a.rst", "The Lamp"),
        ("glows", "a.txt", "a.txt"),
    ],
)
def test_the_title_is_that_of_the_text_else_of_the_file(text, name, title):
    assert load_one(text, name).title == title


def test_front_matter_is_metadata_too():
    document = load_one("---\ntitle: Lamp\nauthor: Ada\nx: [1]\nbad line\n---\nglows", "a.md")
    assert document.metadata == {"author": "Ada", "x": "[1]"}
    assert document.text.startswith("---\n")


@pytest.mark.parametrize(
    ("name", "language"),
    [("a.py", "python"), ("b/A.RS", "rust"), ("Dockerfile", "dockerfile"), ("x.tsx", "tsx")],
)
def test_code_knows_its_language_by_its_name(name, language):
    document = load_one("lamp = 1", name)
    assert (document.format, document.language) == ("code", language)
