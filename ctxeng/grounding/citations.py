"""Finds, for every sentence of an answer, the exact place that it cites."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ctxeng.text.overlap import Idf, recall, term_weights
from ctxeng.text.quotable import segment_quotes
from ctxeng.text.sentences import sentences
from ctxeng.text.terms import terms
from ctxeng.types import Citation, Claim, Segment, Source, Span

_MARKER = re.compile(r"\s*\[(\d{1,3})\]")
_FENCE = re.compile(r"(```|~~~~).*?\1", re.S)
_CODE = re.compile(r"(```|~~~~).*?\1|`[^`\n]+`", re.S)


def cite(
    text: str, segments: Sequence[Segment], idf: Idf
) -> tuple[tuple[Claim, ...], tuple[Citation, ...]]:
    """Split an answer into claims and resolve their markers.

    Each claim's sources are the sentences, within the segments that it cites, that hold most of
    its terms; ``support`` is the share of the claim's rarity-weighted terms that they hold. A
    marker that names no segment is kept in ``numbers`` and gives no source.
    """
    numbered: dict[int, list[Segment]] = {}
    for segment in segments:  # a compressed source is several segments of one number
        if segment.number is not None and segment.source is not None:
            numbered.setdefault(segment.number, []).append(segment)
    claims = tuple(_claim(text, span, numbered, idf) for span in _claims(text))
    places: dict[int, list[Source]] = {}
    for claim in claims:
        for number, source in zip(_known(claim.numbers, numbered), claim.sources, strict=True):
            places.setdefault(number, []).append(source)
    citations = tuple(
        _citation(number, numbered[number], sources) for number, sources in sorted(places.items())
    )
    return claims, citations


def _known(numbers: Sequence[int], numbered: Mapping[int, Sequence[Segment]]) -> list[int]:
    return [number for number in numbers if number in numbered]


def _claims(text: str) -> Iterator[Span]:
    """Sentences; a fenced block is one; a marker belongs to what stands before it."""
    start = 0
    for fence in [*_FENCE.finditer(text), None]:
        stop = fence.start() if fence else len(text)
        for span in sentences(text[start:stop]):
            yield Span(start=start + span.start, end=start + span.end)
        if fence is None:
            return
        end = fence.end()
        while marker := _MARKER.match(text, end):
            end = marker.end()
        yield Span(start=fence.start(), end=end)
        start = end


def _claim(text: str, span: Span, numbered: Mapping[int, Sequence[Segment]], idf: Idf) -> Claim:
    raw = text[span.start : span.end]
    prose = _CODE.sub(lambda code: "`" * len(code[0]), raw)  # x[1] in code is no marker
    markers = list(_MARKER.finditer(prose))
    numbers = tuple(dict.fromkeys(int(marker[1]) for marker in markers))
    said = raw
    for marker in reversed(markers):
        said = said[: marker.start()] + said[marker.end() :]
    wanted = term_weights(said, idf)
    sources: list[Source] = []
    present: set[str] = set()
    for number in _known(numbers, numbered):
        segment, place, words = _best_place(wanted, numbered[number])
        sources.append(_within(segment, place))
        present |= words
    return Claim(
        text=raw,
        span=span,
        sources=tuple(sources),
        numbers=numbers,
        support=min(1.0, recall(wanted, present)) if sources else 0.0,
    )


def _best_place(
    wanted: Mapping[str, float], segments: Sequence[Segment]
) -> tuple[Segment, Span, set[str]]:
    """The quotable unit of the segments that holds most of the claim, and its terms; of several
    that do, the one that says least else.
    """
    best = segments[0], Span(start=0, end=len(segments[0].text)), set[str]()
    best_rank = (0.0, 0)
    for segment in segments:
        for quote in segment_quotes(segment):
            words = set(terms(quote.shown))
            rank = (recall(wanted, words), -len(words))
            if rank[0] > 0 and rank > best_rank:
                best, best_rank = (segment, quote.span, words), rank
    return best


def _within(segment: Segment, span: Span) -> Source:
    source = segment.source
    assert source is not None
    return source.model_copy(
        update={
            "span": Span(start=source.span.start + span.start, end=source.span.start + span.end),
            "line": source.line + segment.text[: span.start].count("\n"),
        }
    )


def _citation(number: int, segments: Sequence[Segment], sources: Sequence[Source]) -> Citation:
    """From the first to the last of its places, with … where the source was cut between them."""
    first = min(sources, key=lambda source: source.span.start)
    span = Span(start=first.span.start, end=max(source.span.end for source in sources))
    quoted = [_inside(segment, span) for segment in segments]
    return Citation(
        number=number,
        source=first.model_copy(update={"span": span}),
        quote=" … ".join(one.strip() for one in quoted if one) if len(quoted) > 1 else quoted[0],
    )


def _inside(segment: Segment, span: Span) -> str:
    assert segment.source is not None
    offset = segment.source.span.start
    return segment.text[max(0, span.start - offset) : max(0, span.end - offset)]
