"""A segment taken apart into what may be left out, and put together again from what is kept."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ctxeng.context.cuts import Cut, cuts
from ctxeng.loading.detect import language_of
from ctxeng.protocols import TokenCounter
from ctxeng.types import Dropped, Segment, Source, Span

LABEL = 80
"""Characters by which a report shows what was left out."""
OVER_BUDGET = "over budget"


@dataclass(slots=True, eq=False)
class Piece:
    """A sentence, row or definition of a segment, with the white space up to the next one."""

    segment: Segment
    cut: Cut
    text: str
    tokens: int
    head: Piece | None = None
    """Without which it cannot be read."""
    is_head: bool = False
    """Of another piece; it is not kept alone."""
    worth: float = 0.0
    kept: bool = False
    why_out: str = OVER_BUDGET

    @property
    def whole_text(self) -> str:
        return self.head.text + self.text if self.head else self.text

    @property
    def key(self) -> str:
        """Equal for pieces that say the same to the letter; empty where two count twice."""
        if self.cut.is_row or self.is_head or is_ours(self.segment):
            return ""
        words = unicodedata.normalize("NFKC", self.text).casefold().split()
        return " ".join(words).rstrip(".") if len(set(words)) >= LEAST_WORDS else ""


LEAST_WORDS = 5
"""Different words; of shorter ones the same may be said in another sense."""


def is_ours(segment: Segment) -> bool:
    """Instructions, headings and markers: kept whole or not at all."""
    return segment.trust == "system" or segment.transformation == "template"


def take_apart(segment: Segment, counter: TokenCounter, room: int) -> list[Piece]:
    """Its pieces, in order; none where it has no text. Joined they are its text.

    Args:
        room: in tokens; a definition that is larger is opened up.
    """
    text, source = segment.text, segment.source
    if not text:
        return []
    found = [Cut(Span(start=0, end=len(text)))]
    if not is_ours(segment):
        found = cuts(
            text,
            source.format if source else "markdown",
            language=language_of(source.uri) if source else "",
            from_start=source is not None and source.span.start == 0,
            fits=lambda definition: counter.count(definition) <= room,
        )
    pieces: list[Piece] = []
    for cut in found:
        own = text[cut.span.start : cut.span.end]
        head = None if cut.head is None else pieces[cut.head]
        if head is not None:
            head.is_head = True
        pieces.append(Piece(segment, cut, own, counter.count(own), head))
    return pieces


def put_together(
    segment: Segment, pieces: Sequence[Piece], counter: TokenCounter, rule: str
) -> Iterator[Segment]:
    """The kept runs of its pieces, a segment each; the segment itself where nothing is out.

    What it carries (calls, files) stays with the first, or with an empty one: a call is never
    parted from its result.
    """
    if all(piece.kept for piece in pieces):
        yield segment
        return
    count = f"{sum(piece.kept for piece in pieces)} of {len(pieces)} pieces"
    is_verbatim = segment.transformation == "verbatim"
    changes: dict[str, object] = {
        "reason": f"{segment.reason}, {count}",
        "transformation": "selected" if is_verbatim else segment.transformation,
        "made_by": rule if is_verbatim else segment.made_by,
    }
    runs = [run for run in _runs(pieces) if run[0].kept]
    for number, run in enumerate(runs):
        text = "".join(piece.text for piece in run)
        changes |= {
            "text": text,
            "tokens": counter.count(text),
            "source": _place(segment, Span(start=run[0].cut.span.start, end=run[-1].cut.span.end)),
            "scores": {**segment.scores, "compress": max(piece.worth for piece in run)},
            "carries": None if number else segment.carries,
        }
        yield Segment(**{**dict(segment), **changes})
    if not runs and segment.carries is not None:
        changes |= {"text": "", "tokens": 0}
        yield Segment(**{**dict(segment), **changes})


def left_out(segment: Segment, pieces: Sequence[Piece], counter: TokenCounter) -> Iterator[Dropped]:
    """The runs of its pieces that are out, each for one reason."""
    for run in _runs(pieces):
        if run[0].kept:
            continue
        tokens = counter.count("".join(piece.text for piece in run))
        stretch = Span(start=run[0].cut.span.start, end=run[-1].cut.span.end)
        score = max(piece.worth for piece in run)
        yield stretch_left_out(segment, stretch, tokens, run[0].why_out, score=score)


def whole_left_out(segment: Segment, tokens: int, why_out: str) -> Dropped:
    stretch = Span(start=0, end=len(segment.text))
    return stretch_left_out(segment, stretch, tokens, why_out)


def stretch_left_out(
    segment: Segment, stretch: Span, tokens: int, why_out: str, *, score: float = 0.0
) -> Dropped:
    """A part of its text, with the place that it has in the source."""
    return Dropped(
        source=_place(segment, stretch),
        tokens=tokens,
        score=score,
        reason=why_out,
        chunk_ids=segment.chunk_ids,
        section=segment.section,
        label=" ".join(segment.text[stretch.start : stretch.end][: 4 * LABEL].split())[:LABEL],
        trust=segment.trust,
    )


def _place(segment: Segment, stretch: Span) -> Source | None:
    """Where a part of its text stands; the segment's own place where its text is not the
    source's.
    """
    source = segment.source
    if source is None or len(segment.text) != len(source.span):
        return source
    start = source.span.start
    return source.model_copy(
        update={
            "span": Span(start=start + stretch.start, end=start + stretch.end),
            "line": source.line + segment.text.count("\n", 0, stretch.start),
        }
    )


def _runs(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Neighbours that are kept, or out for one reason."""
    return [list(run) for _, run in groupby(pieces, lambda p: "" if p.kept else p.why_out)]
