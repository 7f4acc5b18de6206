"""Server-sent events, against the definition."""

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ctxeng.generation.sse import EventParser, TooLongError

LINES = st.sampled_from(
    [
        *(b"data: a", b"data:b", b"data:  c", b"data", b"data:", b" data: d", b"datas: e"),
        *(b"event: x", b": ping", b"id: 7", b"retry: 1", b"other: f", b""),
        *("data: é…🎉".encode(), b"data: \xff\xfe"),
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=20).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


def by_definition(stream):
    """The whole stream at once, with an event that is not ended by a blank line counted too."""
    events, data = [], None
    for line in [*re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf")), b""]:
        name, _, value = line.partition(b":")
        if line == b"" and data is not None:
            events.append(data.decode("utf-8", "replace"))
            data = None
        elif name == b"data":
            value = value[1:] if value[:1] == b" " else value
            data = value if data is None else data + b"\n" + value
    return events


def parsed(pieces, limit=10_000):
    parser = EventParser(limit)
    return [event for piece in pieces for event in parser.feed(piece)] + parser.end()


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 400)), bom=st.booleans())
@example(stream=b"data: a\r\n\r\n", cuts=[8, 9, 10], bom=False)
@example(stream=b"data: a\r\r", cuts=[8], bom=True)
@example(stream=b"data: a", cuts=[], bom=False)
def test_events_are_those_of_the_definition_however_the_bytes_are_cut(stream, cuts, bom):
    stream = b"\xef\xbb\xbf" + stream if bom else stream
    at = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(at)]
    assert parsed(pieces) == by_definition(stream)


def test_an_event_is_given_as_soon_as_it_is_complete():
    parser = EventParser(100)
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\ndata: b") == ["a"]
    assert parser.feed(b"\n\n") == ["b"]
    assert parser.end() == []
    assert parser.end() == []


@pytest.mark.parametrize(
    "piece", [b"x" * 60, b"data: x\n", b"event: y\ndata: x\n"], ids=["line", "data", "fields"]
)
def test_an_event_without_an_end_is_refused_at_the_limit(piece):
    parser = EventParser(1_000)
    with pytest.raises(TooLongError):
        for _ in range(200):
            parser.feed(piece)


def test_comments_may_come_for_ever():
    parser = EventParser(100)
    for _ in range(1_000):
        assert parser.feed(b": still here\n\n") == []
    assert parser.feed(b"data: a\n\n") == ["a"]
