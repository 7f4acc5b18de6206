"""Why two prompts differ in what they have of each document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import takewhile

from pydantic import JsonValue

from ctxeng.replay.difference import Cause, Difference
from ctxeng.replay.replay import replay
from ctxeng.trace.record import Trace
from ctxeng.types import Context, Dropped, Segment

BUDGET = "budget"
"""In the reason of what was dropped for want of room."""
BELOW = "scores below"
"""In the reason of what was dropped for its score."""
SHOWN = 60
"""Characters of a change that are told."""
SAME = 0.01
"""Scores that differ by less, relatively, have not moved."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one run made of one document."""

    hash: str
    rank: int | None
    """Of its best candidate, from 1; None: it was none."""
    score: float
    tokens: int
    texts: Sequence[str]
    refusal: str
    """Why nothing of it came in; empty where something did, or where it was no candidate."""
    above: Set[str]
    """Documents that have a better candidate."""

    def __str__(self) -> str:
        if self.rank is None:
            return "no candidate"
        return f"rank {self.rank} ({self.score:.4g}), {self.tokens} tokens"

    def told(self) -> JsonValue:
        if self.rank is None:
            return None
        return {"rank": self.rank, "score": self.score, "tokens": self.tokens}


@dataclass(frozen=True, slots=True)
class Run:
    """A run by document."""

    trace: Trace
    context: Context
    kept: Mapping[str, list[Segment]]
    dropped: Mapping[str, list[Dropped]]

    @classmethod
    def of(cls, trace: Trace) -> Run:
        context = replay(trace)
        kept: dict[str, list[Segment]] = {}
        for segment in context.sources:
            if segment.source is not None:
                kept.setdefault(segment.source.document_id, []).append(segment)
        dropped: dict[str, list[Dropped]] = {}
        for row in context.dropped:
            if row.source is not None:
                dropped.setdefault(row.source.document_id, []).append(row)
        return cls(trace, context, kept, dropped)

    @property
    def full(self) -> bool:
        """Whether anything was dropped for want of room."""
        return any(BUDGET in row.reason for row in self.context.dropped)

    @property
    def route(self) -> str:
        """What the router chose."""
        chosen = self.last("route")
        if not chosen:
            return "no router"
        sources = chosen.get("sources")
        names = ", ".join(map(str, sources)) if isinstance(sources, list) else ""
        deep = f", {chosen['depth']} candidates" if chosen.get("depth") else ""
        return f"{names or 'no source'}{deep}"

    def last(self, stage: str) -> Mapping[str, JsonValue]:
        """What a stage has recorded; nothing where there was none."""
        return next((f for f in self.trace.stages[::-1] if f.get("stage") == stage), {})

    def share(self, document_id: str) -> Share:
        segments = self.kept.get(document_id, [])
        ranked = enumerate(self.trace.candidates, start=1)
        best = next(((n, c) for n, c in ranked if c.document_id == document_id), None)
        document = self.trace.documents.get(document_id)
        rows = [] if segments else self.dropped.get(document_id, [])
        return Share(
            hash=document.hash if document else "",
            rank=best[0] if best else None,
            score=best[1].score if best else 0.0,
            tokens=sum(segment.tokens for segment in segments),
            texts=sorted(segment.text for segment in segments),
            refusal=max(rows, key=lambda row: row.score).reason if rows else "",
            above={c.document_id for c in self.trace.candidates[: best[0] - 1]} if best else set(),
        )


def by_document(first: Run, second: Run, changed: Mapping[str, bool]) -> Iterator[Difference]:
    for document_id in dict.fromkeys([*first.kept, *second.kept]):
        before, after = first.share(document_id), second.share(document_id)
        if before.texts == after.texts:
            continue
        cause, why = _cause(first, second, before, after, changed.get(document_id))
        known = first.trace.documents.get(document_id) or second.trace.documents.get(document_id)
        place = known.uri if known else document_id
        yield Difference(
            cause=cause,
            what=place,
            why=f"{why}; {before} → {after}",
            before=before.told(),
            after=after.told(),
        )


def _cause(
    first: Run, second: Run, before: Share, after: Share, there: bool | None
) -> tuple[Cause, str]:
    """The nearest cause: that the document is another one counts before all else, and another room
    before a rank that moved.

    Args:
        there: None: it was not changed between the runs; else whether it still exists.
    """
    if altered := _altered(before, after, there):
        return "document", f"{altered}{_change(before.texts, after.texts)}"
    if before.rank is None or after.rank is None:
        why = "it came among the candidates" if after.rank else "it is no candidate now"
        routed = first.route != second.route
        return ("router" if routed else "ranking"), why
    refusal = after.refusal or before.refusal
    refused = f"dropped {'now' if after.refusal else 'before'}: {refusal}" if refusal else ""
    for_room = BUDGET in refusal if refusal else first.full or second.full
    if for_room and first.context.budget != second.context.budget:
        smaller = second.context.budget < first.context.budget
        room = f"the budget is {'smaller' if smaller else 'larger'}"
        return "budget", ", ".join(filter(None, [room, refused]))
    if moved := _moved(first, second, before, after):
        return "ranking", ", ".join(filter(None, [moved, refused]))
    if for_room:
        room = "others leave it more room" if after.tokens > before.tokens else "others take room"
        return "budget", ", ".join(filter(None, [room, refused]))
    return "selection", refused or "other sentences of it were chosen"


def _altered(before: Share, after: Share, there: bool | None) -> str:
    """What happened to the document itself; empty: nothing that is known."""
    if before.rank is not None and after.rank is not None:
        known = before.hash and after.hash
        return "it was changed" if known and before.hash != after.hash else ""
    if there is None:
        return ""
    if after.rank is None:
        return "it was changed" if there else "it was removed"
    return "it was added or changed"


def _change(before: Sequence[str], after: Sequence[str]) -> str:
    """The words that stand in the place of others, where they are few and the rest is the same."""
    one, two = ([w for text in texts for w in text.split()] for texts in (before, after))
    start = _shared(one, two)
    end = _shared(one[start:][::-1], two[start:][::-1])
    changed = [" ".join(words[start : len(words) - end]) for words in (one, two)]
    if not (one and two) or changed[0] == changed[1] or max(map(len, changed)) > SHOWN:
        return ""
    return f" from {changed[0]!r} to {changed[1]!r}"


def _shared(one: Sequence[str], two: Sequence[str]) -> int:
    """How many words both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False)))


def _moved(first: Run, second: Run, before: Share, after: Share) -> str:
    """How its place among the candidates moved; empty: at most by what is no candidate any more."""
    if passed := len(after.above - before.above):
        return f"{passed} other document{'s' if passed > 1 else ''} passed it"
    if left := len((before.above - after.above) & second.trace.documents.keys()):
        return f"it passed {left} other document{'s' if left > 1 else ''}"
    by_score = BELOW in (after.refusal or before.refusal)
    if first.trace.documents != second.trace.documents and not by_score:
        return ""  # scores are relative to the best: what comes or goes moves them all
    largest = max(abs(before.score), abs(after.score))
    return "its score moved" if abs(before.score - after.score) > SAME * largest else ""
