"""The laws of ``Compressor``, one function each, for any implementation.

What it counts by is handed in: a budget is kept by somebody's count.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from ctxeng.protocols import Compressor, TokenCounter
from ctxeng.text.sentences import sentences
from ctxeng.types import Carried, Segment, Source, Span, TextFormat, ToolCall

QUERIES = ("How long is parental leave?", "rotor price", "", "休暇", "\x00 \u202e")
LIMITS = (0, 1, 7, 20, 60, 150, 5_000)

PROSE = """\
Parental leave is 20 weeks, fully paid. It may be split in two parts, cf. the form B-12. Dr. Roth \
approves it.

Rotors are checked every 14 days! Who reports no fault pays 30.5 euros. 会议室在三楼。门是蓝色的。
The pager rings at night, and whoever has it answers within five minutes of the first ring.
"""
MARKDOWN = """\
# Prices

All prices are in euros.

| item | price | stock |
|---|---|---|
| pump | 10 | 3 |
| rotor | 30 | 0 |
| hose, blue | 7.5 | 41 |

Orders go out on Mondays. A rotor weighs four kilograms.

```
ship(order)

print("sent")
```
"""
TABLE = "# 2024\nname | days\nInes | 12\nMax | 30\nJo | 7\n# 2025\nname | days\nInes | 3\n"
CODE = '''\
"""Leave."""

import datetime

LIMIT = 20


def parental_leave(weeks):
    """How long it is."""
    if weeks > LIMIT:

        raise ValueError(weeks)

    return datetime.timedelta(weeks=weeks)


# What a rotor costs.
@cached
def price(rotor):
    return rotor.weight * 7.5


class Pager:
    """Rings."""

    def ring(self):
        return "ring"
'''
_FIRST = 7
"""Where the texts begin in their documents."""


def _segment(
    text: str, text_format: TextFormat, uri: str, *, number: int | None = None, start: int = _FIRST
) -> Segment:
    return Segment(
        text=text,
        section="sources",
        role="user",
        tokens=0,
        trust="document",
        reason=f"rank {number}",
        source=Source(
            uri=uri,
            document_id=uri,
            span=Span(start=start, end=start + len(text)),
            line=3,
            format=text_format,
        ),
        number=number,
        scores={"fused": 1 / (number or 1)},
        chunk_ids=(uri,),
    )


SEGMENTS: Sequence[Segment] = (
    _segment(PROSE, "plain", "leave.txt", number=1),
    _segment(MARKDOWN, "markdown", "prices.md", number=2),
    _segment(TABLE, "table", "days.csv", number=3, start=0),
    _segment(CODE, "code", "leave.py", number=4),
)
OTHERS: Sequence[Segment] = (
    _segment("", "plain", "empty.txt"),
    _segment(" \n\n ", "markdown", "blank.md"),
    _segment("?!\x00\u202e--- | | |\n", "plain", "none.txt"),
    _segment("word " * 1_500, "plain", "endless.txt"),
    _segment("\ufffd日本語の文。" * 40, "plain", "ja.txt"),
)
"""What nothing can be made of, and what has no end."""


def never_more_tokens_than_asked_for(compressor: Compressor, counter: TokenCounter) -> None:
    """Joined, and added up segment by segment; each segment says how many it has."""
    for segments in (SEGMENTS, OTHERS, [*SEGMENTS, *OTHERS]):
        for query, tokens in zip(QUERIES * 2, LIMITS, strict=False):
            kept = compressor.compress(query, segments, tokens)
            assert counter.count("".join(one.text for one in kept)) <= tokens
            assert sum(counter.count(one.text) for one in kept) <= tokens
            cut = [one for one in kept if one not in segments]
            assert [one.tokens for one in cut] == [counter.count(one.text) for one in cut]


def nothing_in_nothing_out(compressor: Compressor, counter: TokenCounter) -> None:
    for query in QUERIES:
        assert compressor.compress(query, [], 100) == []
        assert not "".join(one.text for one in compressor.compress(query, SEGMENTS, 0))


def what_is_kept_stands_where_its_source_says(
    compressor: Compressor, counter: TokenCounter
) -> None:
    """Or says that it was put in other words, and by whom."""
    for kept, whole in _all_kept(compressor):
        assert kept.source is not None
        assert whole.source is not None
        if kept.transformation in {"verbatim", "selected"}:
            offset = whole.source.span.start
            start, end = kept.source.span.start - offset, kept.source.span.end - offset
            assert whole.text[start:end] == kept.text
            assert kept.source.line == whole.source.line + whole.text.count("\n", 0, start)
            assert (kept.transformation == "verbatim") == (kept == whole)
        else:
            assert kept.made_by


def provenance_trust_and_order_stay(compressor: Compressor, counter: TokenCounter) -> None:
    for query, tokens in zip(QUERIES, LIMITS[2:], strict=True):
        kept = compressor.compress(query, SEGMENTS, tokens)
        places = [_place(one) for one in kept]
        assert places == sorted(places)
    for kept_one, whole in _all_kept(compressor):
        for same in ("section", "role", "trust", "number", "chunk_ids"):
            assert getattr(kept_one, same) == getattr(whole, same)


def no_sentence_row_or_definition_is_cut(compressor: Compressor, counter: TokenCounter) -> None:
    """A stretch begins and ends where one does."""
    lines = {"prices.md": MARKDOWN, "days.csv": TABLE}
    definitions = [
        "\n".join(CODE.split("\n")[_first_line(node) - 1 : node.end_lineno])
        for node in ast.parse(CODE).body
        if isinstance(node, ast.FunctionDef)
    ]
    for kept, whole in _all_kept(compressor):
        if kept.transformation != "selected" or not kept.text.strip():
            continue
        assert kept.source is not None
        said = kept.text.strip()
        if kept.source.uri == "leave.txt":
            whole_ones = [PROSE[span.start : span.end] for span in sentences(PROSE)]
            assert all(one in whole_ones for one in _sentences(said))
        if kept.source.uri in lines:
            whole_lines = {line.strip() for line in whole.text.split("\n")}
            rows = [line.strip() for line in said.split("\n") if "|" in line]
            assert all(row in whole_lines for row in rows)
        if kept.source.uri == "leave.py":
            for definition in definitions:
                inside = [line for line in definition.split("\n") if line.strip() and line in said]
                assert not inside or definition in said


def a_row_brings_its_header(compressor: Compressor, counter: TokenCounter) -> None:
    for tokens in range(10, 90, 10):
        kept = compressor.compress("rotor price", [SEGMENTS[1]], tokens)
        text = "".join(one.text for one in kept if one.transformation in {"verbatim", "selected"})
        if any(row in text for row in ("| pump", "| rotor", "| hose")):
            assert "| item | price | stock |\n|---|---|---|\n" in text


def same_input_same_output(compressor: Compressor, counter: TokenCounter) -> None:
    for query in QUERIES:
        first = compressor.compress(query, SEGMENTS, 60)
        assert first == compressor.compress(query, list(SEGMENTS), 60)


def what_carries_calls_is_never_lost(compressor: Compressor, counter: TokenCounter) -> None:
    """A tool's result without its text still answers the call."""
    call = ToolCall(id="c1", name="search", arguments={"query": "rotor"})
    asked = SEGMENTS[0].model_copy(update={"carries": Carried(tool_calls=(call,))})
    result = SEGMENTS[1].model_copy(update={"carries": Carried(tool_call_id="c1")})
    for tokens in LIMITS:
        kept = compressor.compress("rotor price", [asked, result, SEGMENTS[2]], tokens)
        carried = [one.carries for one in kept if one.carries is not None]
        assert carried == [asked.carries, result.carries]


def _all_kept(compressor: Compressor) -> list[tuple[Segment, Segment]]:
    """Each kept segment with the one that it was made from."""
    pairs: list[tuple[Segment, Segment]] = []
    by_uri = {one.source.uri: one for one in SEGMENTS if one.source is not None}
    for query, tokens in zip(QUERIES, LIMITS[2:], strict=True):
        for kept in compressor.compress(query, SEGMENTS, tokens):
            assert kept.source is not None
            pairs.append((kept, by_uri[kept.source.uri]))
    return pairs


def _place(segment: Segment) -> tuple[int, int]:
    assert segment.source is not None
    order = [one.source.uri for one in SEGMENTS if one.source is not None]
    return order.index(segment.source.uri), segment.source.span.start


def _sentences(text: str) -> list[str]:
    return [text[span.start : span.end] for span in sentences(text)]


def _first_line(node: ast.FunctionDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


COMPRESSOR_LAWS: Sequence[Callable[[Compressor, TokenCounter], None]] = (
    never_more_tokens_than_asked_for,
    nothing_in_nothing_out,
    what_is_kept_stands_where_its_source_says,
    provenance_trust_and_order_stay,
    no_sentence_row_or_definition_is_cut,
    a_row_brings_its_header,
    same_input_same_output,
    what_carries_calls_is_never_lost,
)
"""All of them."""
