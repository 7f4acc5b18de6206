"""A fault at the n-th write, for many n: nothing acknowledged is lost, nothing is there twice.

RELIABILITY in one sentence: whatever a killed process, a torn write, a full disk or a broken one
leaves behind, the next process opens, serves and goes on with.
"""

import pytest
from anomalies import KINDS, TARGETS, Loop

IN_THE_WINDOW = {
    "a list of deletes is written": "*.del",
    "the list of segments is replaced": "*lexical/chunks/.tmp",
}
"""Where tantivy is left so that its next commit fails, unless leftovers are collected first."""


@pytest.fixture(scope="module")
def loop(faulty, tmp_path_factory):
    return Loop(faulty, tmp_path_factory.mktemp("anomalies") / "loop")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_lost_or_doubled_by_a_fault_at_some_call(loop, kind, target):
    path = TARGETS[target]
    tally = loop.try_points(kind, path, loop.points(path, 4))
    assert tally.problems == []
    assert tally.recovered == tally.tried == 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_lost_or_doubled_by_a_fault_at_many_calls(loop, kind, target):
    path = TARGETS[target]
    tally = loop.try_points(kind, path, loop.points(path, 8, shift=0.2))
    assert tally.problems == []
    assert tally.recovered == tally.tried == 8


@pytest.mark.slow
@pytest.mark.parametrize("path", IN_THE_WINDOW.values(), ids=IN_THE_WINDOW)
def test_a_kill_between_deletes_and_their_commit_does_not_wedge_the_lexical_index(loop, path):
    tally = loop.try_points("kill", path, loop.points(path, 8))
    assert tally.problems == []
    assert tally.recovered == tally.tried == 8
