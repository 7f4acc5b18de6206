"""Writes a chat again without what has left it, with notes in its place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeVar

from ctxeng.context.archive import put
from ctxeng.context.history import PER_MESSAGE, count
from ctxeng.context.notes import (
    BRIDGE,
    Block,
    Entry,
    block,
    heading,
    keep,
    result_block,
    stands_for_others,
)
from ctxeng.context.reduce import DETOUR, FACTORS, Work
from ctxeng.memory.distill import Note, shown
from ctxeng.memory.select import Choice, Noted
from ctxeng.types import Message

M = TypeVar("M", bound=Message | Mapping[str, object])

SPARE = 2
"""Times the room: the notes that it would hold are remembered, those without a place too: the next
compaction may have one for them."""
TRIES = 6
"""At fitting the notes, each with what the last one was too long by."""
LABEL = 60
"""Characters; who said it, with the name of the tool."""


@dataclass
class Rewritten(Generic[M]):
    """New messages; ``origins``: where each stood before, None for one that is ours."""

    messages: list[M] = field(default_factory=list)
    origins: list[int | None] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    tokens: int = 0


@dataclass
class _Source:
    """Notes on one message, and where they will stand."""

    entry: Entry
    notes: list[Note]
    factor: float
    at: int | None
    """The message in whose place they stand; None: in the message of notes."""


def rewrite(work: Work, messages: Sequence[M]) -> Rewritten[M]:
    """Choose the notes that fit, and write the messages."""
    sources = _sources(work)
    noted = [
        Noted(source.notes, count(work.counter, heading(source.entry)), source.factor)
        for source in sources
    ]
    choice = Choice(noted, work.counter)
    index = _index(work)
    room = work.limit - work.base
    made: Rewritten[M] = Rewritten()
    chosen: list[list[Note]] = []
    for attempt in range(TRIES):
        chosen = choice.within(max(0, room))
        made = _write(work, messages, [*zip(sources, chosen, strict=True)], index)
        over = made.tokens - work.limit
        if over <= 0 or room <= 0:
            break
        room -= (attempt + 1) * over + 8 * attempt  # with less room others are chosen
    more = choice.within(SPARE * max(0, room))
    spare = {
        (source.entry.id, source.at is None): _without(source.entry, others, notes)
        for source, notes, others in zip(sources, chosen, more, strict=True)
    }
    for one in made.blocks:
        if stands_for_others(one.text):
            mine = [entry for (_, gone), entry in spare.items() if gone and entry.notes]
        else:
            mine = [spare[entry.id, False] for entry in one.entries]
        keep(work.archive, replace(one, spare=mine))
    return made


def _without(entry: Entry, notes: Sequence[Note], chosen: Sequence[Note]) -> Entry:
    """What would be chosen beside, were there more room."""
    held = {one.text for one in chosen}
    return Entry(entry.id, entry.label, [one for one in notes if one.text not in held])


def _sources(work: Work) -> list[_Source]:
    """What the notes are on. Notes on what has left before are merged by its id."""
    merged: dict[str, _Source] = {}
    placed: list[_Source] = []
    for at in sorted(work.forms):
        before, label = work.earlier.get(at), shown(work.turns[at].label)[:LABEL]
        if work.forms[at] == "replaced":
            entry = Entry(work.ids[at], label, [])
            placed.append(_Source(entry, work.notes[at], work.factors[at], at))
            continue
        entries: Sequence[Entry] = [Entry(work.ids[at], label, work.notes[at])]
        if before is not None:
            entries = [*before.entries, *before.spare]
        for one in entries:
            factor = FACTORS.get(one.label.partition(" ")[0], 1.0)
            factor *= DETOUR if work.steps[at] == "resolved detours" else 1.0
            source = merged.setdefault(one.id, _Source(one, [], factor, None))
            held = {note.text for note in source.notes}
            source.notes += [note for note in one.notes if note.text not in held]
    return [*merged.values(), *placed]


def _index(work: Work) -> tuple[str, int]:
    """Id of the list of all messages that the notes are on, and their number: the list names those
    that leave now, and by its id the list from before.
    """
    lines, before, number = [], [], 0
    for at in sorted(at for at, form in work.forms.items() if form == "out"):
        earlier = work.earlier.get(at)
        if earlier is None:
            turn = work.turns[at]
            if turn.text == BRIDGE:
                continue
            lines.append(f"#{work.ids[at]} {shown(turn.label)[:LABEL]}, {turn.tokens} tokens")
        elif earlier.index:
            before.append(earlier.index)
            number += earlier.number
        else:
            lines += [heading(entry) for entry in earlier.entries]
    if not lines and len(before) < 2:
        return (before[0], number) if before else ("", 0)
    pages = [f"#{name} lists those of before" for name in before]
    record = json.dumps({"ctxeng": "index", "text": "\n".join([*pages, *lines])})
    return put(work.archive, record), number + len(lines)


def _write(
    work: Work,
    messages: Sequence[M],
    chosen: Sequence[tuple[_Source, Sequence[Note]]],
    index: tuple[str, int],
) -> Rewritten[M]:
    made: Rewritten[M] = Rewritten()
    places: dict[int, Block] = {}
    gone: list[Entry] = []
    for source, notes in chosen:
        entry = Entry(source.entry.id, source.entry.label, notes)
        if source.at is None:
            gone.append(entry)
        else:
            places[source.at] = result_block(entry, work.turns[source.at].tokens)
    out = [at for at, form in work.forms.items() if form == "out"]
    roles: list[str] = []

    def add(message: M, role: str, tokens: int, at: int | None = None) -> None:
        """Where two of one side would meet that did not before, a message of the other side stands
        between them: some models insist on taking turns.
        """
        meet = bool(roles) and role != "tool" and _side(role) and _side(roles[-1]) == _side(role)
        if meet and (at is None or made.origins[-1] != at - 1):
            other: Literal["user", "assistant"] = "assistant" if _side(role) == "user" else "user"
            add(_new(message, other, BRIDGE), other, count(work.counter, BRIDGE) + PER_MESSAGE)
        made.messages.append(message)
        made.origins.append(at)
        made.tokens += tokens
        roles.append(role)

    for at, message in enumerate(messages):
        turn = work.turns[at]
        if out and at == min(out):
            notes_block = block(gone, *index)
            made.blocks.append(notes_block)
            tokens = count(work.counter, notes_block.text) + PER_MESSAGE
            add(_new(message, "user", notes_block.text), "user", tokens)
        if at in places:
            text = places[at].text
            made.blocks.append(places[at])
            tokens = count(work.counter, text + turn.message.tool_call_id) + PER_MESSAGE
            add(_with_text(message, text), turn.message.role, tokens, at)
        elif at not in work.forms:
            add(message, turn.message.role, turn.tokens, at)
    return made


def _side(role: str) -> str:
    """Who speaks; results of tools come from the user's side."""
    return {"user": "user", "tool": "user", "assistant": "assistant"}.get(role, "")


def _new(like: M, role: Literal["user", "assistant"], text: str) -> M:
    """A message of ours in the form of another."""
    if isinstance(like, Message):
        return Message(role=role, content=text)  # type: ignore[return-value]
    return {"role": role, "content": text}  # type: ignore[return-value]


def _with_text(message: M, text: str) -> M:
    """The message with another content."""
    if isinstance(message, Message):
        return message.model_copy(update={"content": text})
    return {**message, "content": text}  # type: ignore[return-value]
