"""The replay benchmark counts what it says it counts."""

from benchmarks import replay

QUESTIONS = ["What about leave?", "Where is the office?", "What about leave?", "Who is on call?"]


def test_runs_differ_and_some_are_answered():
    runs = replay.asked(QUESTIONS, 12)
    assert len({(run.query, run.budget) for run in runs}) == len(runs) == 12
    assert {run.verb for run in runs} == {"ask", "context"}


def test_what_was_recorded_is_replayed_after_growth_and_asking_again_is_not(tmp_path):
    files, workspace = tmp_path / "files", tmp_path / "workspace"
    questions = replay.handbook(files, 6)
    runs = replay.asked(questions[:4], 8)
    prompts = replay.record(workspace, files, runs)
    assert [run for run, _ in prompts.values()] == runs
    before = {path.name: path.read_bytes() for path in files.rglob("*.md")}
    replay.grow(workspace, files)
    after = {path.name: path.read_bytes() for path in files.rglob("*.md")}
    assert len(after) > len(before)
    assert before.keys() - after.keys()
    assert any(after[name] != before[name] for name in before.keys() & after.keys())
    assert replay.replays(workspace, prompts) == [True] * 8
    assert not all(replay.asks_again(workspace, prompts))
    other = {trace_id: (run, "another") for trace_id, (run, _) in prompts.items()}
    assert replay.replays(workspace, other) == [False] * 8
    sizes = {row["metric"]: row["value"] for row in replay._sizes("x", workspace)}
    assert 0 < sizes["kB per run: record"] < 100
