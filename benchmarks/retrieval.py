"""Does search with defaults find more than the retriever that a user would pick?

    python -m benchmarks.peers install          # once, for the peers
    python -m benchmarks.retrieval [--data DIR] [--json FILE] [--quick]

Every system gets the same corpus and, where it uses vectors, the same MiniLM vectors for it; each
is asked for 100 results with its own defaults. ``Δ`` is the difference from our lexical search,
with a paired interval. Passages that a set gives as a corpus go in as documents, and a document
counts at its best chunk. Where a set also gives the whole files that its passages were cut from,
ours indexes the files, cut at those same borders, so that it knows the passages' parents; the
results are passages for all systems.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks import peers
from benchmarks.compare import NDCG, Measure, Recall, Run, compare
from benchmarks.data import (
    QUICK_QUERIES,
    RetrievalSet,
    Row,
    argument_parser,
    data_folder,
    print_table,
    read_retrieval_sets,
    write_rows,
)
from benchmarks.given_chunks import GivenChunker, document_of
from ctxeng import Document, Engine
from ctxeng.embedding import MiniLMEmbedder, StaticEmbedder
from ctxeng.protocols import Embedder, Vectors
from ctxeng.settings import Settings
from ctxeng.types import Hit, SearchMode, sha256

LIMIT = 100
MEASURES: Sequence[Measure] = (NDCG(10), Recall(5), Recall(10), Recall(20), Recall(100))
SHOWN = ("nDCG@10", "ΔnDCG@10", "recall@5", "recall@10", "recall@20", "recall@100")
BASELINE = "ctxeng lexical"
QUICK_SETS = ("xquad_en", "cmrc_zh", "anthropic_code")


def ours(task: RetrievalSet) -> Iterator[tuple[str, Run]]:
    """Rankings by the packaged embedders, one engine each: hybrid is what a user gets."""
    with _opened(task, [StaticEmbedder()]) as engine:
        yield BASELINE, _rankings(task, engine, "lexical")
        yield "ctxeng dense, static", _rankings(task, engine, "dense")
        yield "ctxeng hybrid, static (core install)", _rankings(task, engine, "hybrid")
    with _opened(task, [MiniLMEmbedder()]) as engine:
        yield "ctxeng dense", _rankings(task, engine, "dense")
        yield "ctxeng hybrid (default)", _rankings(task, engine, "hybrid")


def rank_bm25(task: RetrievalSet) -> Run:
    """As its README shows it: BM25Okapi over text that is split at white space."""
    from rank_bm25 import BM25Okapi

    index = BM25Okapi([passage.whole.split() for passage in task.corpus])
    ids = np.array([passage.id for passage in task.corpus])
    return {
        query: ids[np.argsort(-index.get_scores(text.split()), kind="stable")[:LIMIT]].tolist()
        for query, text in task.queries.items()
    }


def measure(tasks: Iterator[RetrievalSet]) -> Iterator[Row]:
    for task in tasks:
        runs: dict[str, Run] = dict(ours(task))
        runs["rank-bm25"] = rank_bm25(task)
        for peer in peers.installed():
            runs |= peers.rankings(peer, task, minilm_vectors(task), limit=LIMIT)
        rows = list(compare(runs, task.qrels, MEASURES, name=task.name, baseline=BASELINE))
        print_table([row for row in rows if row["metric"] in SHOWN])
        yield from rows


def _opened(task: RetrievalSet, embedders: Sequence[Embedder]) -> Engine:
    """An engine in memory, with defaults, that holds the set and all its vectors."""
    chunker = GivenChunker(task) if task.files else None
    engine = Engine.open(":memory:", settings=Settings(), embedders=embedders, chunker=chunker)
    documents = (
        [document_of(file) for file in task.files]
        if task.files
        else [
            Document(id=passage.id, title=passage.title, text=passage.text)
            for passage in task.corpus
        ]
    )
    engine.index(documents, wait=True)
    return engine


def _rankings(task: RetrievalSet, engine: Engine, mode: SearchMode) -> Run:
    return {
        query: _ids(task, engine.search(text, limit=LIMIT, mode=mode))
        for query, text in task.queries.items()
    }


def _ids(task: RetrievalSet, hits: Sequence[Hit]) -> list[str]:
    """Of the passages where the set has files, else of the documents, each at its best chunk."""
    return list(dict.fromkeys(hit.id if task.files else hit.document_id for hit in hits))


def minilm_vectors(task: RetrievalSet) -> tuple[Vectors, Vectors]:
    """Of the corpus and of the queries; kept beside the peers, as they take minutes."""
    embedder = MiniLMEmbedder()
    corpus = [passage.whole for passage in task.corpus]
    queries = list(task.queries.values())
    key = sha256("\0".join([embedder.name, *corpus, "", *queries]))[:16]
    file = peers.folder() / "vectors" / f"{task.name}-{key}.npz"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        vectors = (embedder.embed(corpus, "document"), embedder.embed(queries, "query"))
        np.savez(file, corpus=vectors[0], queries=vectors[1])
    with np.load(file) as stored:
        return stored["corpus"], stored["queries"]


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    folder = data_folder(arguments.data)
    tasks = (
        read_retrieval_sets(folder, names=QUICK_SETS, limit=QUICK_QUERIES)
        if arguments.quick
        else read_retrieval_sets(folder)
    )
    missing = [peer for peer in peers.PACKAGES if peer not in peers.installed()]
    if missing:
        print(f"Without {', '.join(missing)}: `python -m benchmarks.peers install` gets them.")
    rows = list(measure(tasks))
    write_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
