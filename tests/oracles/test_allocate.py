"""The allocation against the best of all subsets, on cases small enough to try them all."""

from itertools import combinations
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ctxeng.context.allocate import Item, Limits, allocate

SECTIONS = 3

items = st.lists(
    st.builds(
        Item,
        section=st.integers(0, SECTIONS - 1),
        cost=st.integers(1, 60),
        value=st.floats(0.01, 10),
    ),
    min_size=1,
    max_size=9,
)
rooms = st.integers(10, 200)
maximums = st.lists(st.integers(10, 200), min_size=SECTIONS, max_size=SECTIONS)


def fits(offered, chosen, limits, room):
    used = [0] * len(limits)
    for number in chosen:
        used[offered[number].section] += offered[number].cost
    within = all(u <= limit.maximum for u, limit in zip(used, limits, strict=True))
    return within and sum(used) <= room


def worth(offered, chosen):
    return sum(offered[number].value for number in chosen)


def best_of_all(offered, limits, room):
    numbers = range(len(offered))
    subsets = (c for size in range(len(offered) + 1) for c in combinations(numbers, size))
    return max(worth(offered, c) for c in subsets if fits(offered, c, limits, room))


@settings(max_examples=150, deadline=None)
@given(offered=items, room=rooms)
def test_without_maximums_it_is_worth_at_least_half_of_the_best(offered, room):
    limits = [Limits(0, room)] * SECTIONS
    chosen = allocate(offered, limits, room)
    assert fits(offered, chosen, limits, room)
    assert worth(offered, chosen) >= best_of_all(offered, limits, room) / 2 - 1e-9


@settings(max_examples=150, deadline=None)
@given(offered=items, room=rooms, high=maximums)
def test_with_maximums_it_keeps_them_and_its_guarantee(offered, room, high):
    limits = [Limits(0, most) for most in high]
    chosen = allocate(offered, limits, room)
    assert fits(offered, chosen, limits, room)
    assert worth(offered, chosen) >= best_of_all(offered, limits, room) / (SECTIONS + 2) - 1e-9


def test_over_many_cases_it_is_within_a_percent_of_the_best():
    random = Random(5)
    reached = best = 0.0
    for _ in range(150):
        offered = [
            Item(random.randrange(SECTIONS), random.randint(1, 60), random.random())
            for _ in range(9)
        ]
        room = random.randint(20, 200)
        limits = [Limits(0, random.randint(10, room)) for _ in range(SECTIONS)]
        reached += worth(offered, allocate(offered, limits, room))
        best += best_of_all(offered, limits, room)
    assert reached >= 0.99 * best


@settings(max_examples=100, deadline=None)
@given(offered=items, room=rooms, section=st.integers(0, SECTIONS - 1))
def test_a_minimum_is_filled_with_the_sections_own_before_others_come(offered, room, section):
    minimum = room // 2
    limits = [Limits(minimum if s == section else 0, room) for s in range(SECTIONS)]
    chosen = allocate(offered, limits, room)
    left = minimum
    own = [number for number, item in enumerate(offered) if item.section == section]
    for number in sorted(own, key=lambda n: (-offered[n].value / offered[n].cost, n)):
        if offered[number].cost <= left:
            left -= offered[number].cost
            assert number in chosen
    assert fits(offered, chosen, limits, room)


@settings(max_examples=100, deadline=None)
@given(offered=items, room=rooms)
def test_a_chain_is_taken_from_its_first_without_a_gap(offered, room):
    limits = [Limits(0, room, chain=True)] + [Limits(0, room)] * (SECTIONS - 1)
    chosen = allocate(offered, limits, room)
    chain = [number for number, item in enumerate(offered) if item.section == 0]
    taken = [number in chosen for number in chain]
    assert taken == sorted(taken, reverse=True)
    assert fits(offered, chosen, limits, room)


@settings(max_examples=50, deadline=None)
@given(offered=items, room=rooms)
def test_the_same_case_has_the_same_answer(offered, room):
    limits = [Limits(5, room)] * SECTIONS
    room = max(room, 5 * SECTIONS)
    assert allocate(offered, limits, room) == allocate(list(offered), list(limits), room)


def test_what_is_required_is_in_whatever_it_is_worth():
    offered = [Item(0, 10, 5.0), Item(0, 10, 0.0)]
    assert allocate(offered, [Limits(0, 10)], 10, required=[1]) == {1}
