"""CSV and its kin: the delimiter is found, quotes are understood, rows are lines."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.loading import load_bytes


def text(data, name="a.csv"):
    return load_bytes(data if isinstance(data, bytes) else data.encode(), name)[0].text


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter):
    rows = [["city", "litres", "cost"], ["Porto", "12", "9"], ["Faro", "14", "8"]]
    data = "\r\n".join(delimiter.join(row) for row in rows)
    assert text(data) == "city | litres | cost\nPorto | 12 | 9\nFaro | 14 | 8"


def test_tabs_part_the_cells_of_tsv_whatever_else_is_in_them():
    assert text("a, b\tc; d\n1,5\t2\n", "a.tsv") == "a, b | c; d\n1,5 | 2"


def test_quotes_and_line_breaks_in_cells_are_understood():
    assert text('city,note\n"Porto, old","said ""glow""\nand went"\n') == (
        'city | note\nPorto, old | said "glow" and went'
    )


def test_the_document_is_a_table():
    (document,) = load_bytes(b"a,b\n1,2\n", "a.csv")
    assert (document.format, document.media_type) == ("table", "text/csv")
    (document,) = load_bytes(b"a\tb\n1\t2\n", "a.tsv")
    assert document.media_type == "text/tab-separated-values"


def test_one_column_is_still_a_table():
    assert text("city\nPorto\nFaro\n") == "city\nPorto\nFaro"


CELLS = st.text("abcö 0", min_size=1).map(lambda cell: " ".join(cell.split())).filter(bool)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=8))
def test_what_python_writes_is_read_back(rows):
    file = io.StringIO()
    csv.writer(file).writerows([["city", "litres"], *rows])
    shown = text(file.getvalue()).splitlines()
    assert shown == ["city | litres", *(" | ".join(row) for row in rows)]
