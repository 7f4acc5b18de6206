"""Chooses among notes: as much as can be kept of what is said only there.

What a note is worth is the sum over what it states and no chosen note states yet. A rare number is
worth more than one that stands in many notes, and "48,213" more than "7"; a row among hundreds
alike is worth less than a sentence. Chosen by worth for a token: the greedy solution of a coverage
problem under a budget.

Source: Khuller, Moss & Naor 1999, "The budgeted maximum coverage problem"; for texts Lin & Bilmes
2010, "Multi-document summarization via budgeted maximization of submodular functions".
"""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ctxeng.memory.distill import Note
from ctxeng.protocols import TokenCounter

MOST_CANDIDATES = 4_000
"""Notes that are compared exactly; of more, those that look best by themselves."""
WORTH: Mapping[str, float] = {
    "number": 1.1,
    "date": 1.2,
    "name": 0.8,
    "identifier": 0.7,
    "path": 1.0,
    "decision": 1.0,
    "task": 0.8,
    "constraint": 0.6,
    "fault": 0.5,
}
SHORT, LONG = 0.4, 1.5
"""How many times its kind's worth an atom has: the longer it is, the less it can be guessed. One
character has half of it, eleven and more have one and a half."""
WORD = 0.1
"""Worth of a word that is no name or number."""
FEW, SHARE = 5, 0.01
"""A hint such as "never" is worth its full worth in so many notes, and in this share of them; the
more notes beyond have it, the less it tells.
"""
LOCAL_FEW, LOCAL_SHARE = 2, 0.1
"""As many lines of one text, and this share of them, may have a kind of atom before it is worth
less there."""
ALIKE = 4
"""Notes of one form that count as much as others; of more each counts less."""
BY_MODEL = 1.5
"""Worth of being written by a model, which has chosen already."""

_DIGITS = re.compile(r"\d+")
_SMALL, _CAPITALS = re.compile(r"[^\W\dA-Z_]+"), re.compile(r"[A-Z]+")
_SHAPE = re.compile(r"\w*\d\w*|[^\W\d]+")
_WORD = re.compile(r"[^\W\d_]{4,}")


@dataclass(frozen=True, slots=True)
class Noted:
    """The notes on one text. ``header``: what it costs to name the text before the first of them;
    ``factor``: what they are worth beside those on other texts.
    """

    notes: Sequence[Note]
    header: int = 0
    factor: float = 1.0


@dataclass(slots=True)
class _Candidate:
    source: int
    at: int
    note: Note
    states: Sequence[tuple[str, float]] = ()
    cost: int = 0

    @property
    def worth(self) -> float:
        return sum(worth for _, worth in self.states)

    @property
    def alone(self) -> float:
        return self.worth / (len(self.note.text) + 20)


class Choice:
    """Notes on several texts, rated once beside each other; chosen for any room."""

    def __init__(self, sources: Sequence[Noted], counter: TokenCounter) -> None:
        candidates = _rated(sources)
        if len(candidates) > MOST_CANDIDATES:
            best = heapq.nlargest(MOST_CANDIDATES, candidates, key=lambda one: one.alone)
            candidates = sorted(best, key=lambda one: (one.source, one.at))
        for one in candidates:
            one.cost = counter.count(one.note.text) + 2
        self._sources = sources
        self._candidates = candidates

    def within(self, room: int) -> list[list[Note]]:
        """For each text the notes to keep, in their order; all of them cost at most ``room``
        tokens, counted one by one with the two that begin and end a line. They keep what they were
        worth: next time the hundreds of lines alike are gone, and count all the same.
        """
        chosen: list[list[_Candidate]] = [[] for _ in self._sources]
        for one in _greedy(self._sources, self._candidates, room):
            chosen[one.source].append(one)
        return [
            [replace(one.note, worth=round(one.worth, 4)) for one in sorted(some, key=_place)]
            for some in chosen
        ]


def _place(one: _Candidate) -> int:
    return one.at


def _greedy(
    sources: Sequence[Noted], candidates: Sequence[_Candidate], room: int
) -> list[_Candidate]:
    """Lazily: what a candidate adds falls while others are taken, so the best of the heap is looked
    at again before it is taken. (The first note on a text also pays for its header, so the others
    get cheaper; they are found when their turn comes.)
    """
    covered: set[str] = set()
    opened: set[int] = set()
    taken: list[_Candidate] = []

    def density(one: _Candidate) -> float:
        gain = sum(worth for stated, worth in one.states if stated not in covered)
        return gain / (one.cost + (0 if one.source in opened else sources[one.source].header))

    heap = [(-density(one), number) for number, one in enumerate(candidates)]
    heapq.heapify(heap)
    while heap:
        _, number = heapq.heappop(heap)
        one = candidates[number]
        now = density(one)
        if now <= 0:
            continue
        if heap and -now > heap[0][0]:
            heapq.heappush(heap, (-now, number))
            continue
        cost = one.cost + (0 if one.source in opened else sources[one.source].header)
        if cost > room:
            continue
        room -= cost
        opened.add(one.source)
        covered.update(stated for stated, _ in one.states)
        taken.append(one)
    return taken


def _rated(sources: Sequence[Noted]) -> list[_Candidate]:
    """Every note that states something, once, with what each of its statements is worth."""
    candidates: list[_Candidate] = []
    seen: set[str] = set()
    forms: Counter[str] = Counter()
    keys: list[str] = []
    for number, source in enumerate(sources):
        for at, note in enumerate(source.notes):
            if note.text in seen:
                continue
            seen.add(note.text)
            candidates.append(_Candidate(number, at, note))
            keys.append(_form(note))
            forms[keys[-1]] += 1
    with_words = len(candidates) <= 5 * MOST_CANDIDATES
    stated = [[*one.note.atoms, *(_words(one.note) if with_words else ())] for one in candidates]
    spread = Counter(name for names in stated for name in names)
    usual = _usual(sources)
    hints = Counter(hint for one in candidates for hint in one.note.hints)
    common = FEW + SHARE * len(candidates)
    rated = []
    for one, key, names in zip(candidates, keys, stated, strict=True):
        factor = sources[one.source].factor / math.sqrt(max(1.0, forms[key] / ALIKE))
        here = usual[one.source]
        states = [
            (name, factor * _worth(name, here) / (1 + math.log2(spread[name]))) for name in names
        ]
        told: dict[str, float] = {}
        for hint in one.note.hints:
            kind = hint.partition(":")[0]
            told[kind] = max(told.get(kind, 0.0), min(1.0, common / hints[hint]))
        states += [
            (f"{kind}\0{one.note.text}", factor * WORTH[kind] * share)
            for kind, share in told.items()
        ]
        if one.note.by:
            states.append((f"by\0{one.note.text}", factor * BY_MODEL))
        total = sum(worth for _, worth in states)
        if total > 0:
            most = min(1.0, one.note.worth / total)
            one.states = [(name, worth * most) for name, worth in states]
            rated.append(one)
    return rated


def _usual(sources: Sequence[Noted]) -> list[dict[str, float]]:
    """For each text what atoms of a kind and form are worth there: where every line has a number of
    three digits, such a number tells little, and an address is as telling as ever.
    """
    found = []
    for source in sources:
        lines = Counter(form for note in source.notes for form in {*map(_shape, note.atoms)})
        free = LOCAL_FEW + LOCAL_SHARE * len(source.notes)
        found.append({form: min(1.0, free / count) for form, count in lines.items()})
    return found


def _worth(name: str, here: Mapping[str, float]) -> float:
    kind, _, text = name.partition(":")
    worth = WORTH.get(kind)
    if worth is None:
        return WORD
    return worth * min(LONG, SHORT + len(text) / 10) * here.get(_shape(name), 1.0)


@lru_cache(maxsize=100_000)
def _shape(atom: str) -> str:
    """``identifier:worker-17`` → ``identifier:a-0``."""
    kind, _, text = atom.partition(":")
    return f"{kind}:{_CAPITALS.sub('A', _SMALL.sub('a', _DIGITS.sub('0', text)))}"


def _form(note: Note) -> str:
    """What lines of one log or table have in common; sentences are alike only word by word."""
    if note.row:
        return "row " + _SHAPE.sub(lambda m: "0" if any(map(str.isdigit, m[0])) else "w", note.text)
    return _DIGITS.sub("0", note.text)


def _words(note: Note) -> list[str]:
    """The words of a sentence; rows are told by their cells."""
    return [] if note.row else [f"word:{word.lower()}" for word in _WORD.findall(note.text)]
