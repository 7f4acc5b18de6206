"""The words of ctxeng, as values: frozen, strict, closed."""

import inspect
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ctxeng import types
from ctxeng.testing.strategies import SCOPES, any_text, documents
from ctxeng.types import (
    Chunk,
    Context,
    Document,
    Hit,
    Part,
    Query,
    Scope,
    Segment,
    Source,
    Span,
    Value,
    sha256,
)

VALUES = [
    value
    for value in vars(types).values()
    if inspect.isclass(value) and issubclass(value, Value) and value is not Value
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_every_value_is_frozen_strict_and_closed(value):
    config = value.model_config
    assert config["frozen"]
    assert config["strict"]
    assert config["extra"] == "forbid"


def test_values_do_not_change_and_convert_nothing():
    document = Document(id="d", text="x")
    with pytest.raises(ValidationError, match="frozen"):
        document.text = "y"
    with pytest.raises(ValidationError, match="valid string"):
        Document(id="d", text=5)
    with pytest.raises(ValidationError, match="Extra inputs"):
        Document(id="d", text="x", titel="T")
    with pytest.raises(ValidationError, match="valid integer"):
        Span(start="1", end=2)
    with pytest.raises(ValidationError, match="at least 1 character"):
        Document(id="", text="x")


@given(document=documents())
def test_a_document_survives_json(document):
    assert Document.model_validate_json(document.model_dump_json()) == document


# -- spans and parts


@given(start=st.integers(-3, 9), end=st.integers(-3, 9))
def test_a_span_is_half_open_and_in_order(start, end):
    if 0 <= start <= end:
        assert len(Span(start=start, end=end)) == end - start
    else:
        with pytest.raises(ValidationError):
            Span(start=start, end=end)


@pytest.mark.parametrize("spans", [[(0, 4)], [(0, 2), (1, 3)], [(2, 3), (0, 1)], [(4, 4)]], ids=str)
def test_parts_ascend_inside_the_text(spans):
    parts = [Part(label="p", span=Span(start=start, end=end)) for start, end in spans]
    with pytest.raises(ValidationError, match="part 'p'"):
        Document(id="d", text="abc", parts=parts)


def test_parts_may_touch_and_leave_gaps():
    spans = [(0, 1), (1, 2), (3, 3)]
    parts = [Part(label="p", span=Span(start=start, end=end)) for start, end in spans]
    assert len(Document(id="d", text="abc", parts=parts).parts) == 3


# -- identity


def test_the_uri_is_the_id_where_there_is_none():
    assert Document(id="d", text="x").uri == "d"
    assert Document(id="d", text="x", uri="").uri == "d"
    assert Document(id="d", text="x", uri="u").uri == "u"


def test_the_content_hash_is_of_what_an_index_would_see():
    document = Document(id="d", text="x", title="T", metadata={"a": 1, "b": [2]})
    same = Document(id="e", text="x", title="T", uri="u", metadata={"b": [2], "a": 1},
                    scope=Scope(tenant="acme"))  # fmt: skip
    assert document.content_hash == same.content_hash
    for change in (
        {"text": "y"},
        {"title": "U"},
        {"metadata": {"a": 2}},
        {"format": "code"},
        {"trust": "user"},
        {"media_type": "text/x"},
    ):
        values = document.model_dump() | change
        assert Document(**values).content_hash != document.content_hash


@given(
    names=st.lists(st.tuples(*[st.text(st.sampled_from('a"[], \\\0'), max_size=3)] * 3), max_size=8)
)
def test_no_two_scopes_have_the_same_key(names):
    found = {Scope(tenant=t, user=u, collection=c) for t, u, c in names}
    assert len({scope.key for scope in found}) == len(found)
    for scope in (*found, *SCOPES):
        assert json.loads(scope.key) == [scope.tenant, scope.user, scope.collection]
        assert "\0" not in scope.key  # the lexical index puts one behind it


def test_sha256_takes_text_and_bytes():
    assert sha256("ä") == sha256("ä".encode())
    assert len(sha256("\ud800")) == 64


# -- lone surrogates


@given(text=any_text)
def test_text_can_always_be_written(text):
    document = Document(
        id="d", text=text, title=text, uri=text, metadata={text: [text, {"a": text}]}
    )
    query = Query(text=text, filter={"a": (text,)})
    for value in (document, query):
        value.model_dump_json().encode("utf-8")
    expected = ["\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text]
    assert document.text == document.title == "".join(expected)


def test_a_lone_surrogate_becomes_the_replacement_character():
    assert Document(id="d", text="a\ud800b\udfffc").text == "a\ufffdb\ufffdc"
    assert Query(text="a\ud83d").text == "a\ufffd"
    assert Document(id="d", text="🎉").text == "🎉"


@pytest.mark.parametrize(
    "make", [lambda key: Document(id=key, text=""), lambda key: Scope(user=key)]
)
def test_keys_with_one_are_refused(make):
    """Two of them must not become one."""
    with pytest.raises(ValidationError, match="surrogate"):
        make("a\ud800")


# -- what is shown


def test_what_is_indexed_and_what_is_embedded():
    chunk = Chunk(id="c", document_id="d", text="text", span=Span(start=0, end=4))
    assert chunk.indexed_text == chunk.embedded_text == "text"
    full = chunk.model_copy(update={"prefix": "before", "heading_path": ("A", "B")})
    assert full.indexed_text == "before\ntext"
    assert full.embedded_text == "A > B\ntext"


def test_a_place_is_a_page_or_a_line():
    hit = Hit(id="c", text="x", tokens=1, score=0.5, uri="a.pdf", line=3, start=2, end=3)
    assert hit.location == "a.pdf:3"
    assert hit.span == Span(start=2, end=3)
    assert hit.model_copy(update={"part": "page 2"}).location == "a.pdf, page 2"
    source = Source(uri="a.pdf", document_id="d", span=hit.span, line=7)
    assert source.location == "a.pdf:7"


def test_a_context_renders_from_its_segments_and_groups_them_by_role():
    source = Source(uri="a", document_id="d", span=Span(start=0, end=1))
    segments = [
        Segment(text=text, section="s", role=role, tokens=1, trust="user", reason="r", source=found)
        for text, role, found in [
            ("a", "system", None),
            ("b", "user", source),
            ("c", "user", None),
            ("d", "assistant", None),
        ]
    ]
    context = Context(query="q", segments=segments, tokens=4, budget=9, tokenizer="t")
    assert context.render() == context.text == "abcd"
    assert [(m.role, m.text) for m in context.messages] == [
        ("system", "a"),
        ("user", "bc"),
        ("assistant", "d"),
    ]
    assert context.sources == (segments[1],)
