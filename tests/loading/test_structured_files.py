"""JSON, XML and notebooks as lines that say what each value is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.errors import LoadError
from ctxeng.loading import load_bytes, load_source


def text(data, name):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return load_bytes(data, name)[0].text


def test_each_value_is_a_line_with_its_path_and_records_stand_apart():
    records = [{"city": "Porto", "oil": {"litres": 12, "kinds": ["olive", None]}}, {"city": "Faro"}]
    shown = "city: Porto\noil.litres: 12\noil.kinds: olive, null\n\ncity: Faro"
    assert text(records, "a.json") == shown
    lines = "\n".join(map(json.dumps, records)).encode()
    assert text(lines, "a.jsonl") == shown


def test_lists_of_records_keep_their_path():
    value = {"rooms": [{"desks": 2}, [{"desks": 3}], "hall"], "empty": [], "none": {}}
    assert text(value, "a.json") == "rooms.desks: 2\nrooms.desks: 3\nrooms: hall"


VALUES = st.recursive(
    st.integers(-9, 9) | st.text("abc ", min_size=1).filter(str.strip),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", min_size=1), inner),
    max_leaves=12,
)


@given(VALUES)
def test_every_leaf_is_in_the_text(value):
    def leaves(one):
        if isinstance(one, dict):
            return [leaf for inner in one.values() for leaf in leaves(inner)]
        if isinstance(one, list):
            return [leaf for inner in one for leaf in leaves(inner)]
        return [str(one)]

    wanted = leaves(value)
    if wanted:
        shown = text({"top": value}, "a.json")
        assert all(leaf in shown for leaf in wanted)


def test_values_are_spelt_as_in_the_file():
    data = b'{"price": 1.10, "mass": 1e5, "id": 12345678901234567890123, "on": true, "by": null}'
    shown = "price: 1.10\nmass: 1e5\nid: 12345678901234567890123\non: true\nby: null"
    assert text(data, "a.json") == shown


def test_a_bad_line_of_json_lines_is_named_and_costs_only_itself():
    documents, error = load_source(b'{"a": 1}\n{"a": \n{"a": "it\\u2028is"}', "a.jsonl")
    assert [document.text for document in documents] == ["a: 1\n\na: it\u2028is"]
    assert "line 2: Expecting value" in str(error)


@pytest.mark.parametrize(
    "data",
    [
        '{"a": "x // y", // why\n "b": ["/* no */", 2, /* two\n lines */], }',
        '{"a": "x // y"}{"b": ["/* no */", 2]}',
        '{\n"a": "x // y"\n}\n{\n"b": ["/* no */",\n 2]\n}\n',
    ],
)
def test_comments_and_values_one_after_the_other_are_understood(data):
    lines = text(data.encode(), "a.json").split("\n")
    assert [line for line in lines if line] == ["a: x // y", "b: /* no */, 2"]


def test_what_stands_before_the_break_is_kept():
    documents, error = load_source(b'{\n"a": 1\n}\n{\n"a":', "a.json")
    assert [document.text for document in documents] == ["a: 1"]
    assert "what stands before was read" in str(error)


def test_json_that_is_broken_is_refused():
    for data in (b'{"a": 1', b"[1, 2", b"words", b'{"a": 1,\n"b": \n', b'"a" b'):
        with pytest.raises(LoadError, match=r"is not JSON: .*\. Correct it"):
            load_bytes(data, "a.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_json_is_read_in_the_encodings_that_it_comes_in(encoding):
    assert text('{"öl": "glüht"}'.encode(encoding), "a.json") == "öl: glüht"


def test_elements_are_lines_with_names_and_attributes():
    data = (
        b'<?xml version="1.0"?><!-- no --><lamp xmlns="x" xmlns:k="y" oil="12" k:wick="long">'
        b"<b>all <i>one</i></b><c/><d>night</d></lamp>"
    )
    assert text(data, "a.xml") == "lamp (oil=12, wick=long)\nb: all one\nd: night"


def test_text_with_elements_inside_it_stays_together():
    data = b'<a><p>The <b>qui</b>ck <i to="x">red\n<u>old</u></i> fox.</p><p>H<sub>2</sub>O</p></a>'
    assert text(data, "a.xml") == "p: The quick red old fox.\ni (to=x)\np: H2O"
    long = b"x" * 6_000
    data = b"<a>top<p>" + long + b"</p>after<p>end <b>now</b></p></a>"
    assert text(data, "a.xml") == f"a: top\np: {long.decode()}\nafter\np: end now"


@pytest.mark.parametrize("said", ["utf-8", "utf-16", "iso-8859-1"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_xml_says_of_its_encoding_may_be_wrong(said, encoding):
    data = f'<?xml version="1.0" encoding="{said}"?><a>Öl</a>'.encode(encoding)
    assert text(data, "a.xml") == "a: Öl"


def test_broken_xml_says_where():
    with pytest.raises(LoadError, match="is not XML: mismatched tag: line 1"):
        load_bytes(b"<a><b></a>", "a.xml")


def notebook(*cells, **more):
    return {"cells": list(cells), "metadata": {"kernelspec": {"name": "python3"}}, **more}


def test_cells_are_parts_and_printed_text_follows_its_cell():
    cells = [
        {"cell_type": "markdown", "source": "# Lamps\nglow"},
        {"cell_type": "code", "source": ["x = 1\n", "x"], "outputs": [
            {"output_type": "stream", "text": ["seen\n"]},
            {"output_type": "execute_result", "data": {"text/plain": "1", "image/png": "xx"}},
            {"output_type": "display_data", "data": {"image/png": "xx"}},
            {"output_type": "display_data", "data": {"text/markdown": ["**bold**"]}},
            {"output_type": "error", "ename": "ValueError", "evalue": "no \x1b[31moil\x1b[0m"},
        ]},
        {"cell_type": "code", "source": "", "outputs": []},
        {"cell_type": "raw", "source": "end"},
    ]  # fmt: skip
    (document,) = load_bytes(json.dumps(notebook(*cells)).encode(), "a.ipynb")
    assert document.title == "Lamps"
    assert (
        document.text == "# Lamps\nglow\n\nx = 1\nx\n\nseen\n1\n**bold**\nValueError: no oil\n\nend"
    )
    assert [(part.label, part.format, part.language) for part in document.parts] == [
        ("cell 1", "markdown", ""),
        ("cell 2", "code", "python"),
        ("output of cell 2", "plain", ""),
        ("cell 4", "markdown", ""),
    ]


def test_notebooks_of_format_3_are_read():
    sheet = {"cells": [{"cell_type": "heading", "level": 2, "source": "Oil"},
                       {"cell_type": "code", "input": "x", "outputs": []}]}  # fmt: skip
    assert text({"worksheets": [sheet], "metadata": {}}, "a.ipynb") == "## Oil\n\nx"


@pytest.mark.parametrize(
    "value", [[], 5, {"cells": 5}, {"cells": [5]}, {"cells": [{"outputs": [5]}]}, {"metadata": 3}]
)
def test_json_that_is_no_notebook_is_refused(value):
    with pytest.raises(LoadError):
        load_bytes(json.dumps(value).encode(), "a.ipynb")
