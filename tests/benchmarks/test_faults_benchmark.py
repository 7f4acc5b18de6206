import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from benchmarks import faults, peers


@pytest.fixture
def contender(tmp_path):
    files = tmp_path / "files"
    faults.write_files(files, 40)
    found = next(faults.contenders(files, tmp_path))
    found.start_anew()
    return found


def test_every_file_has_a_word_of_its_own(tmp_path):
    faults.write_files(tmp_path / "files", 300)
    words = {path.read_text().split()[1] for path in (tmp_path / "files").iterdir()}
    assert len(words) == 300


def test_a_run_without_a_kill_does_everything_once_and_the_next_only_reads(contender):
    contender.run()
    assert contender.counts() == {"read": 40, "cut": 40, "embedded": 40}
    contender.run()
    assert contender.counts() == {"read": 80, "cut": 40, "embedded": 40}
    assert contender.check() == {"lost": 0, "doubled": 0, "ghosts": 0}


def test_what_was_not_indexed_counts_as_lost(contender, tmp_path):
    contender.run()
    (tmp_path / "files" / "new.txt").write_text("Item zqnewq stands here.")
    (tmp_path / "files" / "00007.txt").unlink()
    found = contender.check()
    assert found["lost"] == 1
    assert found["ghosts"] == 1


def test_counts_of_a_killed_run_stay_and_the_kill_is_a_kill(contender):
    with contender._started("index") as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    contender.run(kill_after=0)
    assert contender.counts()["read"] < 80


def test_a_peer_that_is_not_installed_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setenv("CTXENG_PEERS", str(tmp_path / "none"))
    (tmp_path / "files").mkdir()
    assert [c.name for c in faults.contenders(tmp_path / "files", tmp_path)] == [faults.OURS]


@pytest.mark.skipif(
    not peers.is_installed("langchain_index"),
    reason="LangChain's environment is missing: python -m benchmarks.peers install",
)
def test_the_peer_does_the_same_task(tmp_path):
    faults.write_files(tmp_path / "files", 40)
    peer = list(faults.contenders(tmp_path / "files", tmp_path))[1]
    peer.start_anew()
    peer.run()
    assert peer.counts() == {"read": 40, "cut": 40, "embedded": 40}
    peer.run()
    assert peer.counts()["embedded"] == 40
    assert peer.check() == {"lost": 0, "doubled": 0, "ghosts": 0}


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None,
    reason="the anomaly loop preloads a library that `cc` compiles",
)
def test_quick_runs_and_writes_rows_without_a_loss(tmp_path):
    rows = tmp_path / "rows.json"
    environment = {**os.environ, "CTXENG_PEERS": str(tmp_path / "none")}
    subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", "--quick", "--json", rows],
        check=True,
        capture_output=True,
        timeout=240,
        env=environment,
    )
    found = json.loads(rows.read_text())
    assert {row["metric"] for row in found} >= {"tried", "recovered", "lost", "doubled"}
    assert all(row["value"] == 0 for row in found if row["metric"] in ("lost", "doubled"))
    tried = sum(row["value"] for row in found if row["metric"] == "tried")
    assert tried == sum(row["value"] for row in found if row["metric"] == "recovered") > 10
