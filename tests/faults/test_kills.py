"""``kill -9`` at random moments, on the same workspace again and again."""

import random

import pytest
from anomalies import Loop

WORLD = {"files": 40, "rounds": 6}


@pytest.fixture(scope="module")
def loop(forks, tmp_path_factory):
    return Loop(forks, tmp_path_factory.mktemp("kills") / "loop", world=WORLD)


def killed_again_and_again(loop, kills, seed):
    """How many kills came before the work's end, and all that was wrong after any of them."""
    draw = random.Random(seed)
    loop.start_anew()
    found, hit = [], 0
    for number in range(kills):
        after = draw.uniform(0, 3 * loop.seconds / kills)
        if not loop.work_until_killed(after):
            found += [(number, problem) for problem in loop.check()]
            loop.start_anew()
            continue
        hit += 1
        found += [(number, problem) for problem in loop.look()]
    return hit, found + loop.check()


def test_five_kills_at_random_moments_lose_and_double_nothing(loop):
    hit, found = killed_again_and_again(loop, 5, seed=1)
    assert found == []
    assert hit >= 3


@pytest.mark.slow
def test_thirty_kills_at_random_moments_lose_and_double_nothing(loop):
    hit, found = killed_again_and_again(loop, 30, seed=2)
    assert found == []
    assert hit >= 20
