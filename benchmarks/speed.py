"""How long does indexing and searching take, beside the engines that we use and their limits?

    python -m benchmarks.speed [--data DIR] [--json FILE] [--quick] [--sizes N ...]

Passages are made of sentences of the real corpora, drawn at random, so that there can be 200,000
of them with natural words. Times are process CPU time; every contender answers the same questions
in the same process, in turns. Ratios are the figures to quote: the machine is noisy.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.data import (
    Row,
    argument_parser,
    data_folder,
    print_table,
    read_retrieval_sets,
    write_rows,
)
from ctxeng import Document, Engine, Settings
from ctxeng.settings import EmbeddingSettings
from ctxeng.text.sentences import sentences
from ctxeng.text.terms import terms
from ctxeng.trace import Recorder, recording

SIZES = (1_000, 10_000, 100_000, 200_000)
QUICK_SIZES = (1_000, 5_000)
RANK_BM25_LIMIT = 10_000
"""It scores every passage in Python: above, few questions must do."""
QUESTIONS = 100
FEW_QUESTIONS = 5
APART = 9
"""Questions between two contenders."""
EMBEDDING = "embedding the question"
IDS, TEXTS = "tantivy: 100 ids", "tantivy: 10 with their texts"
LEANEST = "tantivy: 100 ids, no stop words, no count"
LIMIT_TEXTS = 2_000
"""Chunks on which the limits of the stages are measured."""
WORDS = 110

Search = Callable[[str], object]


def passages(folder: Path, count: int) -> Iterator[Document]:
    """``count`` documents of about ``WORDS`` words; 1 in 20 words is its own, as names are."""
    pool = []
    for task in read_retrieval_sets(folder, names=("scifact", "multihop_dev")):
        for passage in task.corpus:
            pool += [passage.text[s.start : s.end] for s in sentences(passage.text)]
    draw = random.Random(11)
    for number in range(count):
        words: list[str] = []
        while len(words) < WORDS:
            words += draw.choice(pool).split()
        for place in range(0, len(words), 20):
            words[place] = f"item{draw.randrange(count * 2)}"
        yield Document(id=str(number), text=" ".join(words))


def questions(folder: Path, count: int) -> list[str]:
    texts = [
        text
        for task in read_retrieval_sets(folder, names=("scifact", "multihop_dev"))
        for text in task.queries.values()
    ]
    return random.Random(5).sample(texts, count)


def contenders(documents: Sequence[Document], engine: Engine) -> Iterator[tuple[str, Search]]:
    """Everything that answers, over the same texts; each makes its own index here.

    ``ctxeng lexical`` and ``hybrid`` return ten hits with texts, places and the scores of their
    stages. ``index alone`` returns the ids of 100, and the parts of their scores: it searches the
    chunks and then their documents.
    """
    yield "ctxeng lexical", lambda q: engine.search(q, limit=10, mode="lexical")
    yield "ctxeng hybrid (auto)", lambda q: engine.search(q, limit=10)
    yield "ctxeng lexical index alone", _own_index(engine)
    yield from _own_dense(engine)
    yield IDS, _tantivy(documents)
    yield TEXTS, _tantivy(documents, texts=True)
    yield LEANEST, _tantivy(documents, lean=True)
    yield "bm25s", _bm25s(documents)
    yield "rank-bm25", _rank_bm25(documents)
    yield "chroma (static vectors)", _chroma(documents, engine)


def _own_index(engine: Engine) -> Search:
    from ctxeng.types import Query

    lexical = engine._parts.lexical
    return lambda q: lexical.search(Query(text=q), 100)


def _own_dense(engine: Engine) -> Iterator[tuple[str, Search]]:
    """The question's embedding alone, and with what exact search adds."""
    from ctxeng.indexing import ExactIndex
    from ctxeng.types import Query

    parts = engine._parts
    embedder = parts.tiers[0].embedder
    exact = ExactIndex(parts.store, embedder.name)
    yield EMBEDDING, lambda q: embedder.embed([q], "query")
    yield (
        "ctxeng exact dense index alone",
        lambda q: exact.search(
            embedder.embed([q], "query")[0], Query(text=q, scope=parts.scope), 100
        ),
    )


def _tantivy(documents: Sequence[Document], *, texts: bool = False, lean: bool = False) -> Search:
    """As its README sets it up: a text field with the English stemmer, the query parser, and
    ``Searcher.search``, which also counts all that match. All in one commit.

    Args:
        texts: the ten best with their texts, as a user wants them, instead of the ids of 100.
        lean: what a user could still spare: stop words, which it otherwise asks for, and the count.
    """
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("body", tokenizer_name="lean" if lean else "en_stem", stored=texts)
    builder.add_text_field("id", stored=True, tokenizer_name="raw")
    index = tantivy.Index(builder.build())
    analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in (
        tantivy.Filter.lowercase(),
        tantivy.Filter.stopword("english"),
        tantivy.Filter.stemmer("english"),
    ):
        analyzer = analyzer.filter(step)
    index.register_tokenizer("lean", analyzer.build())
    writer = index.writer(heap_size=128_000_000, num_threads=1)
    for document in documents:
        writer.add_document(tantivy.Document(body=document.text, id=document.id))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()

    def search(question: str) -> object:
        query, _ = index.parse_query_lenient(question, ["body"])
        searcher = index.searcher()
        hits = searcher.search(query, 10 if texts else 100, count=not lean).hits
        found = [(score, searcher.doc(at)) for score, at in hits]
        if texts:
            return [(row["id"][0], score, row["body"][0]) for score, row in found]
        return [(row["id"][0], score) for score, row in found]

    return search


def _bm25s(documents: Sequence[Document]) -> Search:
    import bm25s

    retriever = bm25s.BM25()
    retriever.index(
        bm25s.tokenize([d.text for d in documents], show_progress=False), show_progress=False
    )
    depth = min(100, len(documents))
    return lambda q: retriever.retrieve(
        bm25s.tokenize(q, show_progress=False), k=depth, show_progress=False
    )


def _rank_bm25(documents: Sequence[Document]) -> Search:
    from rank_bm25 import BM25Okapi

    index = BM25Okapi([terms(document.text) for document in documents])
    return lambda q: np.argsort(index.get_scores(terms(q)))[::-1][:100]


def _chroma(documents: Sequence[Document], engine: Engine) -> Search:
    """The same static vectors in an in-memory collection, with the question embedded."""
    import chromadb

    tier = engine._parts.tiers[0]
    client = chromadb.EphemeralClient()
    name = f"speed-{len(documents)}"
    collection = client.create_collection(
        name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
    )
    ids, vectors = engine._parts.store.vectors(engine._parts.scope, tier.embedder.name)
    for start in range(0, len(ids), 1_000):
        collection.upsert(ids[start : start + 1_000], embeddings=vectors[start : start + 1_000])
    return lambda q: collection.query(tier.embedder.embed([q], "query"), n_results=100)


def time_searches(
    found: Sequence[tuple[str, Search]], asked: Sequence[str], *, few: bool
) -> dict[str, list[float]]:
    """CPU milliseconds of each question; contenders take turns, so that drift hits all alike, and
    each with another question, so that nobody finds in the caches what another one of the same
    index has just read.
    """
    times: dict[str, list[float]] = {name: [] for name, _ in found}
    for warm_up in (True, False):
        for number in range(FEW_QUESTIONS if warm_up else len(asked)):
            for turn, (name, search) in enumerate(found):
                if few and name == "rank-bm25" and (warm_up or number >= FEW_QUESTIONS):
                    continue
                question = asked[(number + APART * turn) % len(asked)]
                began = time.process_time()
                search(question)
                if not warm_up:
                    times[name].append(1_000 * (time.process_time() - began))
    return times


def measure(folder: Path, sizes: Sequence[int]) -> Iterator[Row]:
    asked = questions(folder, QUESTIONS)
    for size in sizes:
        name = f"{size:,} chunks"
        documents = list(passages(folder, size))
        settings = Settings(embedding=EmbeddingSettings(model="static"))
        with (
            tempfile.TemporaryDirectory() as workspace,
            Engine.open(workspace, settings=settings) as engine,
        ):
            yield from _indexing(name, engine, documents)
            yield from _memory(name, engine, documents)
            times = time_searches(
                list(contenders(documents, engine)), asked, few=size > RANK_BM25_LIMIT
            )
            for system, values in times.items():
                yield _row(system, name, "search p50, CPU ms", float(np.median(values)))
                yield _row(system, name, "search p95, CPU ms", float(np.quantile(values, 0.95)))
            for system, plain in (
                ("ctxeng lexical", TEXTS),
                ("ctxeng lexical index alone", IDS),
                ("ctxeng lexical index alone", LEANEST),
            ):
                ratio = float(np.median(times[system]) / np.median(times[plain]))
                yield _row(system, name, f"search p50, ratio to {plain}", ratio)
            hybrid = np.median(times["ctxeng hybrid (auto)"]) - np.median(times[EMBEDDING])
            yield _row(
                "ctxeng hybrid (auto)", name, "search p50 beyond embedding, CPU ms", float(hybrid)
            )
    yield from _limits(documents[:LIMIT_TEXTS])
    yield from _start_up()


def _indexing(name: str, engine: Engine, documents: Sequence[Document]) -> Iterator[Row]:
    """CPU seconds of the first run, by stage, and of a second one with nothing to do."""
    recorder = Recorder("index", {})
    began = time.process_time()
    with recording(recorder):
        engine.index(documents, fast=True)
    first = time.process_time() - began
    began = time.process_time()
    engine.index(documents, fast=True)
    second = time.process_time() - began
    began = time.process_time()
    engine.index(documents[:1], wait=True)  # Chroma, where there are enough
    dense = time.process_time() - began
    if engine.status().dense == "chroma":
        yield _row("ctxeng", name, "dense index (Chroma), chunks per CPU s", len(documents) / dense)
    yield _row("ctxeng", name, "index, chunks per CPU s", len(documents) / first)
    yield _row("ctxeng", name, "second index, share of the first", second / first)
    for stage in dict.fromkeys(str(s["stage"]) for s in recorder.stages):
        spent = sum(float(str(s["cpu_seconds"])) for s in recorder.stages if s["stage"] == stage)
        if stage.startswith("index.") and spent:
            yield _row("ctxeng", name, f"{stage}, chunks per CPU s", len(documents) / spent)


def _memory(name: str, engine: Engine, documents: Sequence[Document]) -> Iterator[Row]:
    """What a fresh process that searches takes, after one hybrid search of the workspace."""
    code = (
        "import sys\nfrom ctxeng import Engine\n"
        "from ctxeng.settings import EmbeddingSettings, Settings\n"
        "settings = Settings(embedding=EmbeddingSettings(model='static'))\n"
        "with Engine.open(sys.argv[1], settings=settings, read_only=True) as engine:\n"
        "    engine.search(sys.argv[2])\n"
        # Not ru_maxrss, which begins with that of the process that started this one.
        "print(next(r.split()[1] for r in open('/proc/self/status') if r.startswith('VmHWM')))"
    )
    question = documents[0].text[:60]
    command = [sys.executable, "-c", code, engine.status().workspace, question]
    shown = subprocess.run(command, check=True, capture_output=True, text=True)
    yield _row("ctxeng", name, "memory of a searching process, MB", int(shown.stdout) / 1024)


def _limits(documents: Sequence[Document]) -> Iterator[Row]:
    """What the work inside each stage of indexing costs at least, on the same texts: the engines
    that do it, called as plainly as they can be. Chunks per CPU second.
    """
    texts = [document.text for document in documents]
    for stage, work in (
        ("index.count: the tokenizer", _limit_tokens),
        ("index.lexical: word regex, stems and tantivy", _limit_lexical),
        ("index.store: SQLite rows of text and vector", _limit_store),
        ("index.embed: tokens and one gather a text", _limit_static),
        ("MiniLM, fp32: its matrix products at this machine's sgemm", _limit_minilm),
    ):
        began = time.process_time()
        done = work(texts)
        spent = time.process_time() - began
        yield _row("limit", "stages", f"{stage}, chunks per CPU s", done / spent)
    from ctxeng.embedding import MiniLMEmbedder

    embedder, some = MiniLMEmbedder(), texts[:400]
    embedder.embed(some[:2], "document")
    began = time.process_time()
    embedder.embed(some, "document")
    rate = len(some) / (time.process_time() - began)
    yield _row("ctxeng", "stages", "index.embed with MiniLM int8, chunks per CPU s", rate)


def _limit_tokens(texts: Sequence[str]) -> float:
    from ctxeng.text.tokens import PackagedTokenCounter

    PackagedTokenCounter().count_batch(texts)
    return len(texts)


def _limit_lexical(texts: Sequence[str]) -> float:
    import re

    import Stemmer
    import tantivy

    stem = Stemmer.Stemmer("english", 100_000).stemWords
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("body", tokenizer_name="whitespace")
    index = tantivy.Index(builder.build())
    writer = index.writer(heap_size=64_000_000, num_threads=1)
    for text in texts:
        body = " ".join(stem(re.findall(r"\w+", text.lower())))
        writer.add_document(tantivy.Document(body=body))
    writer.commit()
    writer.wait_merging_threads()
    return len(texts)


def _limit_store(texts: Sequence[str]) -> float:
    import sqlite3

    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(Path(folder) / "rows.sqlite3", isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE chunk (id INTEGER PRIMARY KEY, text TEXT, vector BLOB)")
        vector = bytes(1_024)
        for start in range(0, len(texts), 100):
            db.execute("BEGIN")
            rows = [(text, vector) for text in texts[start : start + 100]]
            db.executemany("INSERT INTO chunk (text, vector) VALUES (?, ?)", rows)
            db.execute("COMMIT")
        db.close()
    return len(texts)


def _limit_static(texts: Sequence[str]) -> float:
    from ctxeng.text.tokens import _tokenizer

    table = np.ones((32_000, 256), np.float32)
    for encoding in _tokenizer().encode_batch_fast(list(texts), add_special_tokens=False):
        table[encoding.ids].sum(axis=0)
    return len(texts)


def _limit_minilm(texts: Sequence[str]) -> float:
    """Texts of 170 tokens that one sgemm of as many operations would stand for."""
    side, rounds = 1_536, 20
    a = np.ones((side, side), np.float32)
    for _ in range(rounds):
        a @ a
    return rounds * 2 * side**3 / 3.9e9


def _start_up() -> Iterator[Row]:
    """CPU seconds of fresh processes, median of five."""
    for metric, command in (
        ("bare python", ["-c", "pass"]),
        ("import ctxeng", ["-c", "import ctxeng"]),
        ("ctxeng --help", ["-m", "ctxeng", "--help"]),
    ):
        spent = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        yield _row("ctxeng", "start", f"{metric}, CPU s", float(np.median(spent)))


def _row(system: str, name: str, metric: str, value: float) -> Row:
    return Row(system=system, set=name, metric=metric, value=value, low=value, high=value)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", help="chunks to search among")
    arguments = parser.parse_args()
    folder = data_folder(arguments.data)
    rows = []
    for row in measure(folder, arguments.sizes or (QUICK_SIZES if arguments.quick else SIZES)):
        rows.append(row)
        print(f"{row['set']:>16}  {row['system']:<28} {row['metric']:<40} {row['value']:.3f}")
        write_rows(rows, arguments.json)
    print_table(rows)


if __name__ == "__main__":
    main()
