"""The laws of ``Verifier``, one function each, for any implementation.

A verifier that asks a model must be given one that replies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from ctxeng.grounding.citations import cite
from ctxeng.protocols import Verifier
from ctxeng.types import Claim, Segment, Source, Span

TIMEOUT = 60.0

TEXTS: Sequence[str] = (
    "Expenses above 500 euros are approved by Ines Roth. Small sums need no approval.",
    "The archive is closed on Mondays.",
    "会议室在三楼。",
)
SEGMENTS: Sequence[Segment] = tuple(
    Segment(
        text=text,
        section="sources",
        role="user",
        tokens=0,
        trust="document",
        reason="rank",
        number=number,
        source=Source(
            uri=f"{number}.md", document_id=str(number), span=Span(start=7, end=7 + len(text))
        ),
    )
    for number, text in enumerate(TEXTS, start=1)
)
ANSWERS: Sequence[str] = (
    "",
    " \n ",
    "?! ---",
    "Ines Roth approves expenses above 500 euros [1]. The archive is closed on Mondays [2].",
    "The archive is closed on Mondays. Zebras sleep standing.",
    "It is closed [9]. Small sums need no approval [1][9].",
    "会议室在三楼 [3]。",
    "Run this:\n```\nprint(500)\n``` [1]",
    "\ud800\x00 [2].",
    "pump " * 2_000,
)


def claims_are_the_sentences_of_the_answer(verifier: Verifier) -> None:
    for answer in ANSWERS:
        claims = _verified(verifier, answer)
        expected, _ = cite(answer, SEGMENTS, lambda term: 1.0)
        assert [claim.span for claim in claims] == [claim.span for claim in expected]
        for claim in claims:
            assert claim.text == answer[claim.span.start : claim.span.end]


def support_is_in_0_to_1(verifier: Verifier) -> None:
    for answer in ANSWERS:
        assert all(0 <= claim.support <= 1 for claim in _verified(verifier, answer))


def each_claim_names_its_segments_or_none(verifier: Verifier) -> None:
    """Its sources lie in segments: those that it cites, or without a marker any."""
    for answer in ANSWERS:
        for claim in _verified(verifier, answer):
            known = {number for number in claim.numbers if number <= len(SEGMENTS)}
            homes = [_home(source) for source in claim.sources]
            if claim.numbers:
                assert set(homes) == known


def what_names_no_segment_has_no_support(verifier: Verifier) -> None:
    for answer in ANSWERS:
        for claim in _verified(verifier, answer):
            assert claim.sources or claim.support == 0
        assert all(not c.sources and c.support == 0 for c in _verified(verifier, answer, ()))


def _home(source: Source) -> int:
    """The number of the segment that a source lies in."""
    (number,) = (
        segment.number
        for segment in SEGMENTS
        if segment.source is not None
        and segment.number is not None
        and segment.source.document_id == source.document_id
        and segment.source.span.start <= source.span.start
        and source.span.end <= segment.source.span.end
    )
    return number


def _verified(
    verifier: Verifier, answer: str, segments: Sequence[Segment] = SEGMENTS
) -> list[Claim]:
    async def verify() -> list[Claim]:
        with anyio.fail_after(TIMEOUT):
            return await verifier.verify(answer, segments)

    return anyio.run(verify)


VERIFIER_LAWS: Sequence[Callable[[Verifier], None]] = (
    claims_are_the_sentences_of_the_answer,
    support_is_in_0_to_1,
    each_claim_names_its_segments_or_none,
    what_names_no_segment_has_no_support,
)
"""All of them."""
