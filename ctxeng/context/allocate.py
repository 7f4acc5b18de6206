"""Divides one budget over the candidates of all sections.

A knapsack with a limit for each section (a laminar family of constraints). First each section fills
its own minimum with its own best; then all that is left goes by value per token over all sections
together, is weighed against the best single candidate, and improved by exchanges.

Guarantee: of what the first step leaves, at least 1/2 of the largest value that any choice has, or
1/(m + 2) where the maximums of m sections bind: greedy by density takes all that the fractional
optimum takes whole, which breaks at most one candidate for each limit that binds (Dantzig 1957). In
practice it is within a few percent: tests/oracles/test_allocate.py compares it with all subsets.
Candidates of a chain are taken only in its order, and outside of the guarantee.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

EXCHANGED = 48
"""Candidates, the most valuable of those left out, that exchanges are tried for."""
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Item:
    """A candidate: where it belongs, tokens, and what it is worth (0 or more)."""

    section: int
    cost: int
    value: float

    @property
    def density(self) -> float:
        return self.value / max(self.cost, 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one section, in tokens."""

    minimum: int
    maximum: int
    chain: bool = False
    """Its items may be taken only in their order, from the first, without a gap."""


def allocate(
    items: Sequence[Item],
    limits: Sequence[Limits],
    room: int,
    *,
    required: Collection[int] = (),
) -> set[int]:
    """Which items to take, by their numbers. Deterministic; equals go by their order.

    Args:
        room: tokens for all; holds the ``required`` items and all minimums.
        required: items that are taken whatever they are worth.
    """
    taken = _Taken(items, limits, room)
    for number in required:
        taken.add(number)
    by_density = sorted(
        (n for n, item in enumerate(items) if not limits[item.section].chain),
        key=lambda n: (-items[n].density, items[n].section, n),
    )
    chains = _chains(items, limits)
    _fill_minimums(taken, by_density, chains)
    kept = set(taken.numbers)
    _fill(taken, by_density, chains)
    _or_the_best_alone(taken, by_density, chains, kept)
    for _ in range(ROUNDS):
        if not _exchange(taken, by_density, kept):
            break
        _fill(taken, by_density, chains)
    return taken.numbers


class _Taken:
    """A choice, and what room it leaves."""

    def __init__(self, items: Sequence[Item], limits: Sequence[Limits], room: int) -> None:
        self.items = items
        self.limits = limits
        self.room = room
        self.used = [0] * len(limits)
        self.numbers: set[int] = set()

    def add(self, number: int) -> None:
        item = self.items[number]
        self.numbers.add(number)
        self.used[item.section] += item.cost
        self.room -= item.cost

    def remove(self, number: int) -> None:
        item = self.items[number]
        self.numbers.remove(number)
        self.used[item.section] -= item.cost
        self.room += item.cost

    def left(self, section: int) -> int:
        """Tokens that the section may still take."""
        return min(self.room, self.limits[section].maximum - self.used[section])

    def fits(self, number: int) -> bool:
        item = self.items[number]
        return item.cost <= self.left(item.section)


def _chains(items: Sequence[Item], limits: Sequence[Limits]) -> dict[int, list[int]]:
    chains: dict[int, list[int]] = {s: [] for s, one in enumerate(limits) if one.chain}
    for number, item in enumerate(items):
        if item.section in chains:
            chains[item.section].append(number)
    return chains


def _fill_minimums(taken: _Taken, by_density: Sequence[int], chains: dict[int, list[int]]) -> None:
    wanting = {s for s, one in enumerate(taken.limits) if taken.used[s] < one.minimum}
    if not wanting:
        return
    for number in by_density:
        item = taken.items[number]
        if (
            item.section in wanting
            and number not in taken.numbers
            and taken.used[item.section] + item.cost <= taken.limits[item.section].minimum
        ):
            taken.add(number)
    for section in wanting & chains.keys():
        for number in chains[section]:
            if number in taken.numbers:
                continue
            if taken.used[section] + taken.items[number].cost > taken.limits[section].minimum:
                break
            taken.add(number)


def _fill(taken: _Taken, by_density: Sequence[int], chains: dict[int, list[int]]) -> None:
    """By value per token; of a chain only the next one is looked at."""
    items = taken.items
    waiting = {s: [n for n in chain if n not in taken.numbers] for s, chain in chains.items()}
    heads = [(-items[c[0]].density, s, c[0]) for s, c in waiting.items() if c]
    heapq.heapify(heads)
    free = ((-items[n].density, items[n].section, n) for n in by_density if n not in taken.numbers)
    for _, section, number in _merged(free, heads, waiting, items):
        if taken.fits(number):
            taken.add(number)
        elif section in waiting:
            waiting[section].clear()  # what comes before it would leave a gap


def _merged(
    free: Iterable[tuple[float, int, int]],
    heads: list[tuple[float, int, int]],
    waiting: dict[int, list[int]],
    items: Sequence[Item],
) -> Iterable[tuple[float, int, int]]:
    for one in free:
        while heads and heads[0] < one:
            yield from _next_of_chain(heads, waiting, items)
        yield one
    while heads:
        yield from _next_of_chain(heads, waiting, items)


def _next_of_chain(
    heads: list[tuple[float, int, int]],
    waiting: dict[int, list[int]],
    items: Sequence[Item],
) -> Iterable[tuple[float, int, int]]:
    head = heapq.heappop(heads)
    section = head[1]
    waiting[section].pop(0)
    yield head  # whoever takes it says by clearing the chain that it did not fit
    if waiting[section]:
        number = waiting[section][0]
        heapq.heappush(heads, (-items[number].density, section, number))


def _or_the_best_alone(
    taken: _Taken, by_density: Sequence[int], chains: dict[int, list[int]], kept: set[int]
) -> None:
    """Where one candidate that was left out is worth more than all that was chosen."""
    chosen = taken.numbers - kept
    if any(taken.limits[taken.items[n].section].chain for n in chosen):
        return
    worth = sum(taken.items[n].value for n in chosen)
    alone = _Taken(taken.items, taken.limits, taken.room)
    alone.room += sum(taken.items[n].cost for n in chosen)
    for number in kept:
        alone.used[taken.items[number].section] += taken.items[number].cost
    left_out = [n for n in by_density if n not in taken.numbers and alone.fits(n)]
    best = max(left_out, key=lambda n: (taken.items[n].value, -n), default=None)
    if best is not None and taken.items[best].value > worth:
        for number in sorted(chosen):
            taken.remove(number)
        taken.add(best)
        _fill(taken, by_density, chains)


def _exchange(taken: _Taken, by_density: Sequence[int], kept: set[int]) -> bool:
    """Put in what was left out where it is worth more than what it needs the room of."""
    items, limits = taken.items, taken.limits
    left_out = [n for n in by_density if n not in taken.numbers and items[n].value > 0]
    left_out.sort(key=lambda n: (-items[n].value, n))
    loose = [n for n in reversed(by_density) if n in taken.numbers and n not in kept]
    changed = False
    for number in left_out[:EXCHANGED]:
        item = items[number]
        own = item.cost - (limits[item.section].maximum - taken.used[item.section])
        every = item.cost - taken.room
        out: list[int] = []
        lost = 0.0
        for other in loose:  # cheapest first
            if own <= 0 and every <= 0:
                break
            if other not in taken.numbers:
                continue
            same = items[other].section == item.section
            if not same and (own > 0 or every <= 0):
                continue
            if lost + items[other].value >= item.value:
                continue
            out.append(other)
            lost += items[other].value
            every -= items[other].cost
            own -= items[other].cost if same else 0
        if own > 0 or every > 0 or not out:
            continue
        for other in out:
            taken.remove(other)
        taken.add(number)
        loose.append(number)
        changed = True
    return changed
