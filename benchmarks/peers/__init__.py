"""What a user would pick instead, each in an environment of its own.

    python -m benchmarks.peers install      # once; a few hundred MB
    python -m benchmarks.peers versions

The environments lie in the folder that ``CTXENG_PEERS`` names (default: the user's cache folder).
A peer gets one set as a JSON file (``Task``) and writes its rankings as JSON (``Rankings``).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from benchmarks.compare import Run
from benchmarks.data import RetrievalSet
from ctxeng.protocols import Vectors
from ctxeng.types import sha256

HERE = Path(__file__).parent
PACKAGES: Mapping[str, Sequence[str]] = {
    "langchain": ("langchain-classic", "langchain-community", "rank-bm25", "numpy"),
    "llamaindex": ("llama-index-core", "llama-index-retrievers-bm25"),
    "haystack": ("haystack-ai",),
}
SYSTEMS = {
    "langchain": ("LangChain BM25Retriever", "LangChain EnsembleRetriever"),
    "llamaindex": ("LlamaIndex BM25Retriever", "LlamaIndex QueryFusionRetriever"),
    "haystack": ("Haystack InMemoryBM25Retriever", "Haystack hybrid (DocumentJoiner)"),
}
"""For each peer its lexical and its hybrid retriever."""
LOADERS: Mapping[str, Sequence[str]] = {"markitdown": ("markitdown[all]",)}
"""Peers that load files and retrieve nothing."""
INDEXERS: Mapping[str, Sequence[str]] = {
    "langchain_index": (
        "langchain-classic",
        "langchain-community",
        "langchain-chroma",
        "greenlet",  # which its SQLRecordManager needs and does not ask for
    ),
}
"""Peers that follow a folder of files, run after run."""
COMPACTORS: Mapping[str, Sequence[str]] = {
    "langchain_compaction": ("langchain",),
    "llamaindex_compaction": ("llama-index-core",),
    "haystack_compaction": ("haystack-ai",),
}
"""Peers that make a long chat fit."""


def folder() -> Path:
    named = os.environ.get("CTXENG_PEERS")
    return Path(named) if named else platformdirs.user_cache_path("ctxeng") / "peers"


def python(peer: str) -> Path:
    scripts = "Scripts" if sys.platform == "win32" else "bin"
    return folder() / peer / scripts / "python"


def installed() -> list[str]:
    """The retrieval peers that are there."""
    return [peer for peer in PACKAGES if is_installed(peer)]


def is_installed(peer: str) -> bool:
    return (folder() / peer / "installed.txt").is_file()


def install(peer: str) -> None:
    """Make the peer's environment, or leave it as it is when it is there."""
    done = folder() / peer / "installed.txt"
    if done.is_file():
        return
    venv.create(folder() / peer, with_pip=True, clear=True)
    pip = [str(python(peer)), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", *_packages(peer)], check=True)
    frozen = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True)
    done.write_text(frozen.stdout, "utf-8")


def versions(peer: str) -> str:
    """``name==version`` of the packages that were asked for."""
    frozen = (folder() / peer / "installed.txt").read_text("utf-8").splitlines()
    asked = {package.partition("[")[0] for package in _packages(peer)}
    return " ".join(line for line in frozen if line.partition("==")[0].lower() in asked)


def _packages(peer: str) -> Sequence[str]:
    return {**PACKAGES, **LOADERS, **INDEXERS, **COMPACTORS}[peer]


def loaded(peer: str, files_folder: Path, files: Sequence[str], *, runs: int) -> list[list[Any]]:
    """What a loading peer makes of the files, run by run: ``text``, ``error`` and ``seconds``."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        task = {"folder": str(files_folder), "files": list(files), "runs": runs}
        (work / "task.json").write_text(json.dumps(task), "utf-8")
        _run(peer, work)
        found: list[list[Any]] = json.loads((work / "loaded.json").read_text("utf-8"))
    return found


def compacted(peer: str, task: Mapping[str, Any]) -> dict[str, Any]:
    """What the peer's compactors leave of a history, by name of the system."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "task.json").write_text(json.dumps(task), "utf-8")
        _run(peer, work)
        found: dict[str, Any] = json.loads((work / "compacted.json").read_text("utf-8"))
    return found


def _run(peer: str, work: Path) -> None:
    subprocess.run(
        [python(peer), "-P", "-W", "ignore", HERE / f"with_{peer}.py", work],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def rankings(
    peer: str, task: RetrievalSet, vectors: tuple[Vectors, Vectors], *, limit: int
) -> dict[str, Run]:
    """Rankings of one set by the peer's lexical and hybrid retriever, by name of the system.

    They are kept: the same task and vectors give the same rankings with the same versions.

    Args:
        vectors: of the corpus and of the queries, in their order.
        limit: how many documents each retriever is asked for.
    """
    script = HERE / f"with_{peer}.py"
    handed_over = json.dumps(
        {
            "corpus": [[passage.id, passage.whole] for passage in task.corpus],
            "queries": list(task.queries.items()),
            "limit": limit,
        }
    )
    same = [versions(peer), script.read_text("utf-8"), handed_over]
    same += [sha256(matrix.tobytes()) for matrix in vectors]
    key = sha256("\0".join(same))[:16]
    kept = folder() / "rankings" / f"{task.name}-{peer}-{key}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            (work / "task.json").write_text(handed_over, "utf-8")
            np.savez(work / "vectors.npz", corpus=vectors[0], queries=vectors[1])
            _run(peer, work)
            shutil.copy(work / "rankings.json", kept)
    found = json.loads(kept.read_text("utf-8"))
    return dict(zip(SYSTEMS[peer], (found["lexical"], found["hybrid"]), strict=True))
