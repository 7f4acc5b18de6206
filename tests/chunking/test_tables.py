"""Tables: whole rows, and the header with every chunk."""

import pytest

from ctxeng import Document
from ctxeng.chunking import chunk
from ctxeng.types import Part, Span

ROWS = [f"city {n} | {n * 13} euros | a remark about it" for n in range(200)]


@pytest.mark.parametrize("title", ["", "# Rents\n"])
def test_rows_stay_whole_and_the_header_is_in_the_prefix(title):
    text = title + "\n".join(["name | rent | remark", *ROWS])
    first, *others = chunk(Document(id="d", text=text, format="table", title="rents.csv"))
    assert first.text.startswith(title + "name | rent | remark")
    assert "name | rent | remark" not in first.prefix
    assert len(others) > 5
    for piece in others:
        assert "name | rent | remark" in piece.prefix.split("\n")
        assert set(piece.text.split("\n")) <= set(ROWS)


def test_titles_above_the_names_of_the_columns_belong_to_the_header():
    text = "\n".join(["# Rents", "Rents of 2031", "in euros", "name | rent | remark", *ROWS])
    _, *others = chunk(Document(id="d", text=text, format="table"))
    assert all("Rents of 2031\nin euros\nname | rent | remark" in one.prefix for one in others)


def test_each_sheet_has_a_header_of_its_own():
    sheets = ["\n".join([f"header {name}", *ROWS[:60]]) for name in ("one", "two")]
    text = "\n\n".join(sheets)
    parts = [
        Part(label="sheet one", span=Span(start=0, end=len(sheets[0]))),
        Part(label="sheet two", span=Span(start=len(sheets[0]) + 2, end=len(text))),
    ]
    pieces = chunk(Document(id="d", text=text, format="table", parts=parts))
    for label in ("sheet one", "sheet two"):
        header = f"header {label[6:]}"
        own = [piece for piece in pieces if piece.part == label]
        assert len(own) > 1
        assert own[0].text.startswith(header)
        assert all(header in piece.prefix for piece in own[1:])


def test_a_row_that_is_too_long_is_cut_all_the_same():
    text = "a | b\n" + "cell " * 3_000
    pieces = chunk(Document(id="d", text=text, format="table"))
    assert max(len(piece.text.split()) for piece in pieces) <= 150
    assert sum(len(piece.text.split()) for piece in pieces) == 3_003
