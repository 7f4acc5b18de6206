"""Decides which messages leave a chat that is too long, and reads them before they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ctxeng.context.archive import Archive, put
from ctxeng.context.history import PER_MESSAGE, Turn, Unit, detours, units
from ctxeng.context.notes import BRIDGE, Block, keep, known
from ctxeng.memory.distill import Distiller, Note
from ctxeng.protocols import TokenCounter

RECENT = 0.25
"""Share of the room that the newest messages keep while older ones can make way."""
NOTES = 0.75
"""Share of the room that notes may claim before verbatim messages have to leave for them: of what
a message states, notes hold more for a token."""
SMALL = 48
"""Tokens; the place of a shorter result is worth no notes."""
FACTORS: Mapping[str, float] = {"user": 1.5, "assistant": 1.2, "tool": 1.0}
"""What notes are worth by who said it."""
DETOUR = 0.5
"""What notes on a detour are worth beside others."""

_CHARACTERS = 3.2
"""Of a note to the token, about: notes are counted only when they are chosen."""
_HEADER, _LINE = 8, 3
"""Tokens that the name of a message takes among the notes, and a note beside its words; about."""
_FRAME = 90
"""Tokens of a block without any notes, about."""
_REPLACED = PER_MESSAGE + 40
"""Tokens of a block in the place of one result, about."""

Step = Literal["stale tool results", "resolved detours", "old turns", "newest messages"]
Form = Literal["out", "replaced"]


@dataclass
class Work:
    """A compaction under way. All positions are those of messages that came in."""

    turns: Sequence[Turn]
    records: Sequence[str]
    """The messages as they go into the archive."""
    window: int
    limit: int
    """Tokens that are to be left of the messages."""
    pinned: set[int]
    archive: Archive
    counter: TokenCounter
    distiller: Distiller
    forms: dict[int, Form] = field(default_factory=dict)
    """What becomes of each message that does not stay as it is."""
    steps: dict[int, Step] = field(default_factory=dict)
    """By which step each of them went."""
    ids: dict[int, str] = field(default_factory=dict)
    notes: dict[int, list[Note]] = field(default_factory=dict)
    factors: dict[int, float] = field(default_factory=dict)
    earlier: dict[int, Block] = field(default_factory=dict)
    """Messages that are notes which we made before."""
    remarks: list[str] = field(default_factory=list)
    base: int = 0
    """Tokens of what stays, and of blocks without their notes, about."""
    wanted: float = 0.0
    """Tokens of the notes that state something, about."""

    @property
    def before(self) -> int:
        return sum(turn.tokens for turn in self.turns)

    def fits(self, room: int) -> bool:
        """Whether what stays and the notes on the rest come under the limit."""
        return self.base + _FRAME + min(self.wanted, NOTES * room) <= self.limit

    def take(self, turn: Turn, form: Form, step: Step, factor: float = 1.0) -> None:
        """Take a message out, or put notes in its place: now it is read and archived."""
        at = turn.at
        if self.forms.get(at) == "out" or (at in self.earlier and form == "replaced"):
            return
        self.base += _REPLACED if form == "replaced" else 0
        self.base -= _REPLACED if at in self.forms else turn.tokens
        if at not in self.forms:
            self.steps[at] = step
            self.factors[at] = factor * FACTORS.get(turn.message.role, 1.0)
            self._read(turn)
        self.forms[at] = form

    def _read(self, turn: Turn) -> None:
        before = self.earlier.get(turn.at)
        if before is not None:
            notes = [note for entry in before.entries for note in entry.notes]
            self.ids[turn.at] = keep(self.archive, before)
        else:
            notes = self.distiller.distill(turn.text) if turn.text != BRIDGE else []
            self.ids[turn.at] = put(self.archive, self.records[turn.at])
        self.notes[turn.at] = notes
        telling = [note for note in notes if note.kinds]
        if telling:
            self.wanted += _HEADER + sum(len(n.text) / _CHARACTERS + _LINE for n in telling)


def reduce(work: Work) -> None:
    """Take out as little as is enough: stale tool results first, then resolved detours, then old
    turns, and of the newest messages only what is long.
    """
    work.earlier = {
        turn.at: block
        for turn in work.turns
        if turn.message.role != "system" and (block := known(work.archive, turn.text))
    }
    work.base = work.before
    found = units(work.turns)
    last_reply = max((t.at for t in work.turns if t.message.role == "assistant"), default=-1)
    fixed = {number for number, unit in enumerate(found) if _stays(unit, work, last_reply)}
    room = work.limit - sum(found[number].tokens for number in fixed)
    for number, unit in enumerate(found):  # notes are merged with new ones, whatever else happens
        if number not in fixed and _is_ours(unit, work):
            work.take(unit.turns[0], "out", "old turns")
    ours = {number for number, unit in enumerate(found) if _is_ours(unit, work)}
    for turns, form, step, factor in _reductions(found, fixed | ours, room, last_reply):
        if work.fits(room) or (step == "newest messages" and work.base + _FRAME <= work.limit):
            return  # notes on old messages do not push out what no model has read
        for turn in turns:
            work.take(turn, form, step, factor)


def _is_ours(unit: Unit, work: Work) -> bool:
    """Notes and bridges are no turns of anybody."""
    (first, *others) = unit.turns
    return not others and (first.at in work.earlier or first.text == BRIDGE)


def _stays(unit: Unit, work: Work, last_reply: int) -> bool:
    """Instructions, what is pinned, and images and files that no model has seen yet."""
    return "system" in unit.roles or any(
        turn.at in work.pinned or (turn.media > 0 and turn.at > last_reply) for turn in unit.turns
    )


def _reductions(
    found: Sequence[Unit], fixed: set[int], room: int, last_reply: int
) -> Iterator[tuple[Sequence[Turn], Form, Step, float]]:
    """All that may be taken out, one after the other."""
    free = [number for number in range(len(found)) if number not in fixed]
    if not free:
        return
    last = {free[-1], max((n for n in free if "user" in found[n].roles), default=free[-1])}
    recent = _recent(found, free, last, RECENT * room)
    old = [number for number in free if number not in recent]
    resolved = detours(found)
    for number in old:
        for turn in found[number].turns:
            if turn.message.role == "tool" and turn.tokens > SMALL and turn.at < last_reply:
                factor = DETOUR if number in resolved else 1.0
                yield [turn], "replaced", "stale tool results", factor
    for number in old:
        if number in resolved:
            yield found[number].turns, "out", "resolved detours", DETOUR
    for number in [*old, *sorted(recent - last)]:
        yield found[number].turns, "out", "old turns", 1.0
    for turn in sorted((t for n in last for t in found[n].turns), key=lambda t: (-t.tokens, t.at)):
        if turn.tokens > 2 * SMALL and not turn.message.tool_calls:
            yield [turn], "replaced", "newest messages", 1.0


def _recent(found: Sequence[Unit], free: Sequence[int], last: set[int], most: float) -> set[int]:
    """The last exchange and the last question, and before them what comes to ``most`` tokens."""
    recent, held = set(last), sum(found[number].tokens for number in last)
    for number in reversed(free):
        held += found[number].tokens if number not in last else 0
        if held > most:
            break
        recent.add(number)
    return recent
