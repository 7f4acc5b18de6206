"""Says why the prompts of two runs differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from ctxeng.replay.replay import replay
from ctxeng.trace.record import Trace
from ctxeng.types import Context, Dropped, Segment, Value

Cause = Literal[
    "query", "model", "setting", "version", "document", "ranking", "budget", "selection", "prompt"
]
"""``query``, ``model``, ``setting``: what was asked, who answered, and how (arguments and
settings); ``version``: what took part, such as the embedder; ``document``: it changed, came or
went; ``ranking``: its place among the candidates moved; ``budget``: the room for it is another one;
``selection``: the assembly decided otherwise, as of near-duplicates; ``prompt``: the same passages
in other words or another order."""

BUDGET = "budget"
"""In the reason of what was dropped for want of room."""
SAME = 1e-4
"""Scores that differ by less, relatively, have not moved."""


class Difference(Value):
    """One reason why two prompts differ."""

    cause: Cause
    what: str
    """The setting, part, document or section that it is about."""
    why: str
    before: JsonValue = None
    after: JsonValue = None
    """Values of a setting; of a document its ``rank``, ``score`` and the ``tokens`` it had in the
    prompt."""

    @property
    def text(self) -> str:
        """In one line."""
        return f"{self.what}: {self.why}"


def diff(
    before: Trace, after: Trace, *, changed: Mapping[str, bool] | None = None
) -> list[Difference]:
    """Why the prompt of the second run is not that of the first.

    What was asked and set up comes first, then document by document in the order of the prompts.
    Each document gets the nearest cause alone. Where the prompts are the same, byte for byte, what
    was asked and set up otherwise is told all the same.

    Args:
        changed: documents that have been changed between the runs, by id, and whether each still
            exists. A record knows the candidates of its own run only: without this, what was
            removed has merely lost its rank.

    Raises:
        WorkspaceError: one of them cannot be replayed.
    """
    first, second = _Run.of(before), _Run.of(after)
    found = [*_asked(first, second), *_set_up(before, after)]
    if first.context.render() == second.context.render():
        return found
    found += _documents(first, second, changed or {})
    if not any(one.cause not in ("setting", "version", "model") for one in found):
        found += _around(first, second)
    return found


# -- what was asked, and how it was set up


def _asked(first: _Run, second: _Run) -> Iterator[Difference]:
    one, two = first.trace.inputs, second.trace.inputs
    if one.get("query") != two.get("query"):
        yield _other("query", "query", one.get("query"), two.get("query"))
    if "model" in one and "model" in two and one["model"] != two["model"]:
        yield _other("model", "model", one["model"], two["model"])
    if first.context.budget != second.context.budget:
        yield _other("setting", "budget", first.context.budget, second.context.budget)
    for name in sorted((one.keys() | two.keys()) - {"query", "model", "budget"}):
        if one.get(name) != two.get(name):
            yield _other("setting", name, one.get(name), two.get(name))


def _set_up(before: Trace, after: Trace) -> Iterator[Difference]:
    one, two = _flat(before.settings), _flat(after.settings)
    for name in sorted(one.keys() | two.keys()):
        if one.get(name) != two.get(name):
            yield _other("setting", name, one.get(name), two.get(name))
    had = {**before.versions, "ctxeng": before.version}
    has = {**after.versions, "ctxeng": after.version}
    for name in sorted(had.keys() | has.keys()):
        if had.get(name) != has.get(name):
            yield _other("version", name, had.get(name), has.get(name))


def _flat(settings: Mapping[str, JsonValue], prefix: str = "") -> dict[str, JsonValue]:
    """``{"context": {"budget": 1}}`` → ``{"context.budget": 1}``."""
    found: dict[str, JsonValue] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _other(cause: Cause, what: str, before: JsonValue, after: JsonValue) -> Difference:
    why = f"{_shown(before)} → {_shown(after)}"
    return Difference(cause=cause, what=what, why=why, before=before, after=after)


def _shown(value: JsonValue) -> str:
    return "none" if value in (None, "", {}, []) else str(value)


# -- document by document


@dataclass(frozen=True, slots=True)
class _Share:
    """What one run made of one document."""

    hash: str
    rank: int | None
    """Of its best candidate, from 1; None: it was none."""
    score: float
    tokens: int
    texts: Sequence[str]
    refusal: str
    """Why nothing of it came in; empty where something did, or where it was no candidate."""

    def __str__(self) -> str:
        if self.rank is None:
            return "no candidate"
        return f"rank {self.rank} ({self.score:.4g}), {self.tokens} tokens"

    def told(self) -> JsonValue:
        if self.rank is None:
            return None
        return {"rank": self.rank, "score": self.score, "tokens": self.tokens}


@dataclass(frozen=True, slots=True)
class _Run:
    """A run by document."""

    trace: Trace
    context: Context
    kept: Mapping[str, list[Segment]]
    dropped: Mapping[str, list[Dropped]]

    @classmethod
    def of(cls, trace: Trace) -> _Run:
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

    def share(self, document_id: str) -> _Share:
        segments = self.kept.get(document_id, [])
        ranked = enumerate(self.trace.candidates, start=1)
        best = next(((n, c) for n, c in ranked if c.document_id == document_id), None)
        document = self.trace.documents.get(document_id)
        rows = [] if segments else self.dropped.get(document_id, [])
        return _Share(
            hash=document.hash if document else "",
            rank=best[0] if best else None,
            score=best[1].score if best else 0.0,
            tokens=sum(segment.tokens for segment in segments),
            texts=sorted(segment.text for segment in segments),
            refusal=max(rows, key=lambda row: row.score).reason if rows else "",
        )


def _documents(first: _Run, second: _Run, changed: Mapping[str, bool]) -> Iterator[Difference]:
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
    first: _Run, second: _Run, before: _Share, after: _Share, there: bool | None
) -> tuple[Cause, str]:
    """The nearest cause: that the document is another one counts before all else, and another room
    before a rank that moved.

    Args:
        there: None: it was not changed between the runs; else whether it still exists.
    """
    if altered := _altered(before, after, there):
        return "document", altered
    if before.rank is None or after.rank is None:
        return "ranking", "it came among the candidates" if after.rank else "it is no candidate now"
    refusal = after.refusal or before.refusal
    refused = f"{'now' if after.refusal else 'then'} dropped: {refusal}" if refusal else ""
    for_room = BUDGET in refusal if refusal else first.full or second.full
    if for_room and first.context.budget != second.context.budget:
        room = f"the budget was {first.context.budget} tokens and is {second.context.budget}"
        return "budget", ", ".join(filter(None, [room, refused]))
    if _moved(before, after):
        return "ranking", ", ".join(filter(None, ["its rank or score moved", refused]))
    if for_room:
        return "budget", refused or "others take the room"
    return "selection", refused or "other sentences of it were chosen"


def _altered(before: _Share, after: _Share, there: bool | None) -> str:
    """What happened to the document itself; empty: nothing that is known."""
    if before.rank is not None and after.rank is not None:
        known = before.hash and after.hash
        return "it was changed" if known and before.hash != after.hash else ""
    if there is None:
        return ""
    if after.rank is None:
        return "it was changed" if there else "it was removed"
    return "it was added or changed"


def _moved(before: _Share, after: _Share) -> bool:
    largest = max(abs(before.score), abs(after.score))
    return before.rank != after.rank or abs(before.score - after.score) > SAME * largest


# -- where the passages are the same


def _around(first: _Run, second: _Run) -> Iterator[Difference]:
    """The order of the passages, or the words around them."""
    before = [segment.text for segment in first.context.sources]
    after = [segment.text for segment in second.context.sources]
    if before != after and sorted(before) == sorted(after):
        yield Difference(cause="ranking", what="order", why="the same passages in another order")
        return
    one, two = _sections(first.context), _sections(second.context)
    for name in sorted(one.keys() | two.keys()):
        if one.get(name) != two.get(name):
            why = (
                "the words around the passages differ, such as the marker that fences them, which "
                "depends on all candidates"
                if name in one and name in two and before == after
                else "this section differs"
            )
            yield Difference(cause="prompt", what=name, why=why)


def _sections(context: Context) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for segment in context.segments:
        found.setdefault(segment.section, []).append(segment.text)
    return found
