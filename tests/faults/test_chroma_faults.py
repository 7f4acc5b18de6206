"""Faults under Chroma: whatever its files have become, they are thrown away in time, exact search
answers meanwhile, and they are made anew from the record.
"""

import shutil

import pytest
from anomalies import KINDS, Loop
from damage import DAMAGES
from forks import Forks

FOLDER = "dense/"


@pytest.fixture(scope="module")
def loop(faulty, tmp_path_factory):
    return Loop(faulty, tmp_path_factory.mktemp("chroma") / "loop", dense="chroma")


def collections(loop):
    """The folders that Chroma writes in: one, of a name that is never used again."""
    return [path for path in loop.root.glob("workspace/dense/*/*") if path.is_dir()]


def graph_files(loop):
    """The files that Chroma overwrites in place."""
    files = sorted(loop.root.glob("workspace/dense/*/*/*/*"))
    assert "data_level0.bin" in [path.name for path in files]
    return files


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_or_doubled_by_a_fault_at_some_call(loop, kind):
    tally = loop.try_points(kind, FOLDER, [1, *loop.points(FOLDER, 2)])
    assert tally.problems == []
    assert tally.recovered == tally.tried == 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_or_doubled_by_a_fault_at_many_calls(loop, kind):
    tally = loop.try_points(kind, "", loop.points("", 4, shift=0.7))
    assert tally.problems == []
    assert tally.recovered == tally.tried == 4


@pytest.fixture(scope="module")
def strace():
    found = shutil.which("strace")
    if found is None:
        pytest.skip("Chroma writes its graph past libc: a kill there needs strace")
    return [found, "-f", "-qq", "-o", "/dev/null", "-e", "trace=write"]


@pytest.mark.slow
@pytest.mark.parametrize("write", [1, 8, 20, 30, 42])
def test_a_kill_while_the_graph_is_overwritten_costs_only_the_graph(loop, strace, write):
    loop.start_anew()
    loop.work_until(3)
    old = collections(loop)
    watched = [part for path in graph_files(loop) for part in ("-P", str(path))]
    kill = ["-e", f"inject=write:signal=SIGKILL:when={write}"]
    with Forks(under=[*strace, *watched, *kill]) as forks:
        assert forks.run("work", **loop.request, fault=None)["signal"] == 9
    assert collections(loop) == old
    assert loop.look() == []
    assert loop.check() == []
    assert not set(old) & set(collections(loop))


@pytest.fixture(scope="module")
def whole(loop, tmp_path_factory):
    """A sound workspace, and what is found in it."""
    loop.start_anew()
    loop.work_until(3)
    before = loop.answers()
    assert before["dense"] == "chroma"
    kept = tmp_path_factory.mktemp("whole") / "workspace"
    shutil.copytree(loop.root / "workspace", kept)
    return kept, before


def restored(loop, kept):
    shutil.rmtree(loop.root / "workspace")
    return shutil.copytree(kept, loop.root / "workspace")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_whatever_happens_to_a_file_the_answers_stay(loop, whole, damage):
    kept, before = whole
    names = [path.relative_to(kept) for path in kept.glob("dense/*/*/**/*") if path.is_file()]
    assert {"chroma.sqlite3", "data_level0.bin", "header.bin"} < {name.name for name in names}
    for name in names:
        damage(restored(loop, kept) / name)
        assert loop.answers() == {**before, "dense": "exact"}, name
        assert loop.answers(index_first=True) == before, name  # made anew


def test_without_its_folder_it_is_made_anew(loop, whole):
    kept, before = whole
    shutil.rmtree(restored(loop, kept) / "dense")
    assert loop.answers() == {**before, "dense": "exact"}
    assert loop.answers(index_first=True) == before
