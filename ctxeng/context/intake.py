"""Takes in what is offered for a section: cleans and cuts it, and says what may not come in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ctxeng.context import render
from ctxeng.context.candidates import Offer
from ctxeng.context.counts import Counts
from ctxeng.context.section import Section
from ctxeng.context.trust import TrustPolicy, clean, is_fenced
from ctxeng.text.marks import one_line
from ctxeng.types import Attachment, Image, Message, Segment, Trust

LEAST_CUT = 16
"""Tokens below which a cut text is of no use."""
_ENDS = ("\n", ". ", "! ", "? ", "。")


@dataclass(slots=True)
class Part:
    """Of a message: a text and what follows it."""

    text: str
    held: Segment | None = None
    notes: list[str] = field(default_factory=list)
    tail: str = ""
    files: list[Image | Attachment] = field(default_factory=list)


@dataclass(slots=True)
class Entry:
    """An offer as it may stand in the prompt, and what it costs and is worth."""

    section: Section
    given: Offer
    text: str
    number: int = 0
    cost: int = 0
    value: float = 0.0
    rank: int = 0
    """In its section, best first; of a chat, newest first."""
    required: bool = False
    label: str = ""
    tail: str = ""
    """Ours, behind a text that was cut."""
    parts: list[list[Part]] = field(default_factory=list)
    """Of each message."""
    runs: Sequence[Segment] = ()
    """Instead of ``text``: its shorter form."""

    @property
    def density(self) -> float:
        """Value per token."""
        return self.value / max(self.cost, 1)

    @property
    def is_fenced(self) -> bool:
        """Whether any of it stands between markers."""
        if not self.parts:
            return is_fenced(self.given.trust)
        pairs = zip(self.given.messages, self.given.believed, strict=True)
        return any(is_fenced(trust) and message.role != "assistant" for message, trust in pairs)

    @property
    def reason(self) -> str:
        """Why it is there."""
        if self.given.reason:
            return self.given.reason
        if self.required:
            return "required"
        if self.section.keep == "last":
            return f"turn {self.rank} from the end"
        return f"rank {self.rank}"


def entries_of(
    section: Section,
    offers: Sequence[Offer],
    *,
    policy: TrustPolicy,
    count: Counts,
    each: int,
) -> Iterator[tuple[Entry, str]]:
    """Each offer with why it may not come in; empty: it may.

    Args:
        each: the most tokens that one text may have.
    """
    best = max((o.score for o in offers if o.score is not None), default=0.0)
    seen: set[str] = set()
    count.learn([o.text for o in offers if not o.messages])
    for one in offers:
        entry = _entry(section, one, count, each)
        why = _refusal(policy, section, one)
        key = entry.text.strip()
        if not key and not (section.required or _holds_more(entry)):
            why = why or "blank"
        elif one.score is not None and best > 0 and one.score < section.floor * best:
            why = why or f"scores below {section.floor:.0%} of the best"
        elif key in seen and not one.messages and not entry.required:
            why = why or "says the same as another candidate"
        if not why:
            seen.add(key)
        yield entry, why


def set_relevance(section: Section, entries: Sequence[Entry]) -> None:
    """Relevance from 0 to 1, with the section's priority and quality curve."""
    scores = [e.given.score for e in entries if e.given.score is not None]
    high, low = max(scores, default=0.0), min(0.0, *scores) if scores else 0.0
    shares = [
        1.0 if e.given.score is None or high <= low else (e.given.score - low) / (high - low)
        for e in entries
    ]
    by_rank = sorted(range(len(entries)), key=lambda at: (-shares[at], at))
    if section.keep == "last":
        by_rank = list(range(len(entries)))[::-1]
    for rank, at in enumerate(by_rank):
        entries[at].rank = rank + 1
        entries[at].value = section.priority * shares[at] * section.decay**rank


def set_value(entries: Iterable[Entry]) -> None:
    """Relevance × √tokens: twice the text is not worth twice as much. Were it in
    proportion, exchanges would put the long in the place of the relevant.
    """
    for entry in entries:
        entry.value *= math.sqrt(max(entry.cost, 1))


def _entry(section: Section, one: Offer, count: Counts, each: int) -> Entry:
    entry = Entry(section, one, one.text, label=_label(section, one))
    entry.required = section.required or one.required
    if one.messages:
        for message, trust in zip(one.messages, one.believed, strict=True):
            parts = _parts(message, trust)
            for part in parts if section.each is not None else ():
                part.text, part.tail = _cut(part.text, each, count, part.notes)
            entry.parts.append(parts)
        entry.text = "\n".join(part.text for parts in entry.parts for part in parts)
        if section.keep == "last" and one.messages[0].role == "system":
            entry.required = True  # the program's own words do not grow old
        return entry
    if is_fenced(one.trust):
        entry.text, note = clean(one.text, same_length=one.is_sourced)
        one.notes += [note] if note else []
    if section.each is not None:
        entry.text, entry.tail = _cut(entry.text, each, count, one.notes)
    return entry


def _cut(text: str, limit: int, count: Counts, notes: list[str]) -> tuple[str, str]:
    """The text's beginning of at most ``limit`` tokens, up to the end of a line or a sentence,
    and a line that says how much is missing.
    """
    if len(text) <= limit or count.up_to(text, limit) <= limit:
        return text, ""
    tail = render.LEFT_OUT.format(count=f"{len(text):,}")
    left = limit - count(tail)
    if left < LEAST_CUT:
        return text, ""
    head = text[: min(len(text), 16 * left)]
    found = count.up_to(head, left)
    while found > left:
        head = head[: max(1, int(len(head) * min(0.95, left / found)))]
        found = count.up_to(head, left)
    end = max(head.rfind(mark, len(head) // 2) + len(mark) for mark in _ENDS)
    head = head[:end] if end > len(head) // 2 else head
    missing = f"{len(text) - len(head):,}"
    notes.append(f"cut: {missing} of {len(text):,} characters left out")
    return head, render.LEFT_OUT.format(count=missing)


def _refusal(policy: TrustPolicy, section: Section, offer: Offer) -> str:
    """Why the policy keeps it out; empty: it does not."""
    if not offer.messages:
        return policy.refusal(section.name, section.role, offer.trust)
    pairs = zip(offer.messages, offer.believed, strict=True)
    reasons = (policy.refusal(section.name, message.role, trust) for message, trust in pairs)
    return next(filter(None, reasons), "")


def _parts(message: Message, trust: Trust) -> list[Part]:
    """Texts, each with the files behind it; those that may not be believed are cleaned."""
    content = (message.content,) if isinstance(message.content, str) else message.content
    parts: list[Part] = []
    for one in content:
        if isinstance(one, Image | Attachment):
            if not parts:
                parts.append(Part(""))
            parts[-1].files.append(one)
            continue
        text = one if isinstance(one, str) else one.text
        held = one if isinstance(one, Segment) else None
        notes = list(held.notes) if held else []
        if is_fenced(held.trust if held else trust):
            text, note = clean(text, same_length=held is not None and held.source is not None)
            notes += [note] if note else []
        parts.append(Part(text, held, notes))
    return parts or [Part("")]


def _holds_more(entry: Entry) -> bool:
    """Files, calls or results: a message need not have text."""
    calls = any(m.tool_calls or m.role == "tool" for m in entry.given.messages)
    return calls or any(part.files for parts in entry.parts for part in parts)


def _label(section: Section, given: Offer) -> str:
    """What the line above it calls it."""
    if given.hit is not None:
        return render.source_label(given.hit)
    source = given.source
    name = PurePosixPath(source.uri).name if source is not None else ""
    return one_line(given.label or name or section.name, 320)
