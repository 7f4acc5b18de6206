"""How much of the text that answers reaches the model, at the same number of tokens?

    python -m benchmarks.peers install          # once, for the splitters
    python -m benchmarks.passages [--data DIR] [--json FILE] [--quick]

Each question of a chunking set names the stretches of a document that answer it. Measured is the
share of their characters inside what is handed over at 200 to 1,600 tokens. Only source text
counts, by one tokenizer for all; ours is one row with the whole prompt counted too. The others cut
with the splitters that a user would take, and hand over their best pieces, the last one cut off at
the limit; each cut is searched with our retrieval, so that nothing but cutting and assembling
differs, and with the retrievers of its own library. ``Δ`` is the difference from ours, paired.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import peers
from benchmarks.compare import mean_row
from benchmarks.data import (
    QUICK_QUERIES,
    ChunkingSet,
    Passage,
    Question,
    RetrievalSet,
    Row,
    argument_parser,
    data_folder,
    print_table,
    read_chunking_sets,
    write_rows,
)
from benchmarks.retrieval import minilm_vectors
from ctxeng import Chunk, Context, Document, Engine, Settings, Span
from ctxeng.embedding import MiniLMEmbedder
from ctxeng.protocols import Chunker
from ctxeng.text.tokens import PackagedTokenCounter

LIMITS = (200, 400, 800, 1_600)
DEPTH = 40
"""Pieces asked for: 40 of 800 characters are over 6,000 tokens."""
OURS = "ctxeng"
COUNTER = PackagedTokenCounter()

Place = tuple[str, int, int]
"""Document id, start, end."""
HandOver = Callable[[int, int], Iterable[Place]]
"""From the number of a question and a limit in tokens to what is handed over."""


@dataclass(frozen=True)
class Cut:
    """A splitter with its settings."""

    name: str
    peer: str
    settings: Mapping[str, int]


CUTS = (
    Cut("LangChain 800 characters", "langchain", {"chunk_size": 800, "chunk_overlap": 0}),
    Cut("LangChain 1,000 characters", "langchain", {"chunk_size": 1000, "chunk_overlap": 200}),
    Cut("LlamaIndex 1,024 tokens", "llamaindex", {"chunk_size": 1024, "chunk_overlap": 200}),
)
"""The size in LangChain's tutorials, one without overlap, and LlamaIndex's default."""


class GivenSpans:
    """Cuts where somebody else did."""

    name = "given"

    def __init__(self, spans: Mapping[str, Sequence[Span]]) -> None:
        self._spans = spans

    def chunk(self, document: Document) -> list[Chunk]:
        return [
            Chunk(
                id=f"{document.id}:{position}",
                document_id=document.id,
                text=document.text[span.start : span.end],
                span=span,
                position=position,
            )
            for position, span in enumerate(self._spans[document.id])
        ]


def cut_by(cut: Cut, task: ChunkingSet) -> dict[str, list[Span]]:
    """The pieces' spans by document, as the library cuts in its own environment."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        handed_over = {"documents": task.documents, "settings": cut.settings}
        (work / "documents.json").write_text(json.dumps(handed_over), "utf-8")
        script = peers.HERE / f"with_{cut.peer}_splitter.py"
        subprocess.run([peers.python(cut.peer), "-P", "-W", "ignore", script, work], check=True)
        found = json.loads((work / "pieces.json").read_text("utf-8"))
    return {
        key: [Span(start=start, end=end) for start, end in spans if end > start]
        for key, spans in found.items()
    }


def ours(task: ChunkingSet) -> Iterator[tuple[str, HandOver]]:
    with _opened(task, None) as engine:
        yield OURS, lambda n, limit: _sources_within(engine, task.questions[n].text, limit)
        yield (
            f"{OURS}, whole prompt counted",
            lambda n, limit: _places(engine.context(task.questions[n].text, budget=limit)),
        )


def _sources_within(engine: Engine, question: str, limit: int) -> list[Place]:
    """The fullest context whose source text keeps the limit.

    What instructions, question and headers take is added to the budget until nothing changes.
    """
    best, fullest = list[Place](), -1
    budget, tried = limit, set[int]()
    while budget not in tried:
        tried.add(budget)
        context = engine.context(question, budget=budget)
        spent = sum(COUNTER.count(source.text) for source in context.sources)
        if fullest < spent <= limit:
            best, fullest = _places(context), spent
        budget = limit + sum(s.tokens for s in context.segments if s.source is None)
    return best


def others(task: ChunkingSet) -> Iterator[tuple[str, HandOver]]:
    for cut in CUTS:
        if cut.peer not in peers.installed():
            continue
        spans = cut_by(cut, task)
        chunks = {
            chunk.id: chunk
            for key, text in task.documents.items()
            for chunk in GivenSpans(spans).chunk(Document(id=key, text=text))
        }
        with _opened(task, GivenSpans(spans)) as engine:
            found = {
                number: [h.id for h in engine.search(question.text, limit=DEPTH)]
                for number, question in enumerate(task.questions)
            }
        yield f"{cut.name}, our retrieval", _filling(found, chunks)
        corpus = [Passage(chunk.id, "", chunk.text) for chunk in chunks.values()]
        queries = {str(number): q.text for number, q in enumerate(task.questions)}
        name = f"{task.name}-{cut.name.replace(' ', '-').replace(',', '')}"
        pieces = RetrievalSet(name, corpus, queries, {}, [])
        for system, run in peers.rankings(
            cut.peer, pieces, minilm_vectors(pieces), limit=DEPTH
        ).items():
            ranked = {int(number): ids for number, ids in run.items()}
            yield f"{cut.name}, {system.partition(' ')[2]}", _filling(ranked, chunks)


def _filling(ranked: Mapping[int, Sequence[str]], chunks: Mapping[str, Chunk]) -> HandOver:
    """The best pieces up to the limit; of the one that goes over it, the beginning."""

    def hand_over(number: int, limit: int) -> Iterator[Place]:
        for key in ranked.get(number, ()):
            text, span = chunks[key].text, chunks[key].span
            tokens = COUNTER.count(text)
            if tokens > limit:
                text = beginning(text, limit)
            yield chunks[key].document_id, span.start, span.start + len(text)
            limit -= tokens
            if limit <= 0:
                return

    return hand_over


def beginning(text: str, limit: int) -> str:
    """As much of the text as has at most ``limit`` tokens."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if COUNTER.count(text[:middle]) <= limit:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def gold_share(question: Question, places: Iterable[Place]) -> float:
    """Share of the characters of the question's references that stand inside the places."""
    wanted = _characters((r.start, r.end) for r in question.references)
    held = _characters((s, e) for document, s, e in places if document == question.document_id)
    return len(wanted & held) / len(wanted) if wanted else 0.0


def measure(tasks: Iterator[ChunkingSet]) -> Iterator[Row]:
    for task in tasks:
        shares: dict[tuple[int, str], NDArray[np.float64]] = {}
        for system, hand_over in chain(ours(task), others(task)):
            for limit in LIMITS:
                shares[limit, system] = np.array(
                    [gold_share(q, hand_over(n, limit)) for n, q in enumerate(task.questions)]
                )
        rows = []
        for (limit, system), scores in shares.items():
            rows.append(mean_row(system, task.name, f"gold text@{limit}", scores))
            if system != OURS:
                difference = scores - shares[limit, OURS]
                rows.append(mean_row(system, task.name, f"Δgold text@{limit}", difference))
        print_table(rows)
        yield from rows


def _opened(task: ChunkingSet, chunker: Chunker | None) -> Engine:
    engine = Engine.open(
        ":memory:", settings=Settings(), embedders=[MiniLMEmbedder()], chunker=chunker
    )
    engine.index([Document(id=key, text=text) for key, text in task.documents.items()], wait=True)
    return engine


def _places(context: Context) -> list[Place]:
    found = [segment.source for segment in context.sources]
    return [(s.document_id, s.span.start, s.span.end) for s in found if s is not None]


def _characters(spans: Iterable[tuple[int, int]]) -> set[int]:
    return {character for start, end in spans for character in range(start, end)}


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    folder = data_folder(arguments.data)
    missing = sorted({cut.peer for cut in CUTS} - set(peers.installed()))
    if missing:
        print(f"Without {', '.join(missing)}: `python -m benchmarks.peers install` gets them.")
    limit = QUICK_QUERIES if arguments.quick else None
    write_rows(list(measure(read_chunking_sets(folder, limit=limit))), arguments.json)


if __name__ == "__main__":
    main()
