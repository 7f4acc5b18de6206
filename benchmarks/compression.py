"""How much of the text that answers is left when a prompt is made shorter?

    python -m benchmarks.peers install          # once, for the other libraries
    python -m benchmarks.compression [--data DIR] [--json FILE] [--quick]

For each question of a chunking set, the ten passages that our search finds are compressed to a
quarter, a half and three quarters of their tokens. Measured is the share of the gold characters
of the passages that is kept. Questions whose gold text was not found at all are left out. All
systems get the same passages, and MiniLM where they use vectors; a piece that goes over the limit
is cut off there, but for ours, which never cuts a sentence. LlamaIndex takes a share of each
passage's sentences: it gets the largest share whose text keeps the limit, and is asked for no
neighbours of them, with which it would seldom keep one. ``Δ`` is the difference from ours, paired.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import peers
from benchmarks.compare import mean_row
from benchmarks.data import (
    ChunkingSet,
    Question,
    Row,
    argument_parser,
    data_folder,
    print_table,
    read_chunking_sets,
    write_rows,
)
from benchmarks.passages import Place, beginning, gold_share
from ctxeng import Document, Engine, Hit, Segment, Settings, Source
from ctxeng.context.compress import SentenceCompressor
from ctxeng.embedding import MiniLMEmbedder, StaticEmbedder
from ctxeng.grounding.support import rarity
from ctxeng.protocols import TextKind, Vectors
from ctxeng.text.sentences import sentences
from ctxeng.text.terms import terms
from ctxeng.text.tokens import PackagedTokenCounter

RATIOS = (0.25, 0.5, 0.75)
QUESTIONS = 150
"""Of each set: the vectors of the other libraries' sentences take minutes."""
QUICK = 20
PASSAGES = 10
OURS = "ctxeng"
COUNTER = PackagedTokenCounter()


@dataclass(frozen=True)
class Prompt:
    """A question with the passages that were found for it, best first."""

    question: Question
    passages: Sequence[Segment]
    tokens: int

    @property
    def texts(self) -> list[str]:
        return [passage.text for passage in self.passages]

    def place(self, number: int, start: int, end: int) -> Place:
        """A stretch of one passage as one of its document."""
        source = self.passages[number].source
        assert source is not None
        return source.document_id, source.span.start + start, source.span.start + end

    def kept(self, places: Sequence[Place]) -> float:
        """Share of the found gold characters inside the places."""
        whole = [self.place(n, 0, len(text)) for n, text in enumerate(self.texts)]
        return gold_share(self.question, places) / gold_share(self.question, whole)


Compress = Callable[[Prompt, int, int], list[Place]]
"""From a prompt, its number and a limit in tokens to what is kept."""


def prompts(task: ChunkingSet) -> list[Prompt]:
    with Engine.open(":memory:", settings=Settings(), embedders=[StaticEmbedder()]) as engine:
        documents = [Document(id=key, text=text) for key, text in task.documents.items()]
        engine.index(documents, wait=True)
        found = [
            _prompt(question, engine.search(question.text, limit=PASSAGES))
            for question in task.questions
        ]
    return [prompt for prompt in found if gold_share(prompt.question, _whole(prompt)) > 0]


def _prompt(question: Question, hits: Sequence[Hit]) -> Prompt:
    segments = [
        Segment(
            text=hit.text,
            section="sources",
            role="user",
            tokens=hit.tokens,
            trust=hit.trust,
            reason=f"rank {rank}",
            source=Source(
                uri=hit.uri, document_id=hit.document_id, span=hit.span, format=hit.format
            ),
            scores={"fused": hit.score},
        )
        for rank, hit in enumerate(hits, start=1)
    ]
    return Prompt(question, segments, sum(COUNTER.count(segment.text) for segment in segments))


def _whole(prompt: Prompt) -> list[Place]:
    return [prompt.place(n, 0, len(text)) for n, text in enumerate(prompt.texts)]


def ours(compressor: SentenceCompressor) -> Compress:
    def compress(prompt: Prompt, _: int, limit: int) -> list[Place]:
        kept = compressor.compress(prompt.question.text, prompt.passages, limit)
        assert COUNTER.count("".join(segment.text for segment in kept)) <= limit
        sources = [segment.source for segment in kept if segment.source is not None]
        return [(s.document_id, s.span.start, s.span.end) for s in sources]

    return compress


def first_tokens(prompt: Prompt, _: int, limit: int) -> list[Place]:
    """The best passages, as many as there is room for."""
    pieces = [(n, 0, len(text)) for n, text in enumerate(prompt.texts)]
    return _filled(prompt, pieces, limit)


def tf_idf(prompt: Prompt, _: int, limit: int) -> list[Place]:
    """The sentences with the highest cosine of tf-idf vectors with the question."""
    pieces = [
        (n, span.start, span.end) for n, text in enumerate(prompt.texts) for span in sentences(text)
    ]
    words = [Counter(terms(prompt.texts[n][start:end])) for n, start, end in pieces]
    idf = rarity([prompt.texts[n][start:end] for n, start, end in pieces])
    asked = set(terms(prompt.question.text))

    def cosine(counts: Counter[str]) -> float:
        length = math.sqrt(sum((count * idf(term)) ** 2 for term, count in counts.items()))
        return sum(counts[term] * idf(term) ** 2 for term in asked) / (length or 1.0)

    order = sorted(range(len(pieces)), key=lambda number: -cosine(words[number]))
    return _filled(prompt, [pieces[number] for number in order], limit)


def _filled(prompt: Prompt, pieces: Sequence[tuple[int, int, int]], limit: int) -> list[Place]:
    """Pieces (passage, start, end) up to the limit; of the one that goes over it, the beginning."""
    places: list[Place] = []
    for number, start, end in pieces:
        text = prompt.texts[number][start:end]
        tokens = COUNTER.count(text)
        text = text if tokens <= limit else beginning(text, limit)
        places.append(prompt.place(number, start, start + len(text)))
        limit -= tokens
        if limit <= 0:
            break
    return places


def langchain(found: Sequence[Prompt]) -> Compress:
    ranked = _asked("langchain", found)

    def compress(prompt: Prompt, number: int, limit: int) -> list[Place]:
        pieces = [_located(prompt, n, text) for n, text in ranked[number]]
        return _filled(prompt, [piece for piece in pieces if piece is not None], limit)

    return compress


def llamaindex(found: Sequence[Prompt]) -> Compress:
    made = _asked("llamaindex", found)

    def compress(prompt: Prompt, number: int, limit: int) -> list[Place]:
        sizes = [sum(COUNTER.count(text) for text, _ in left) for left in made[number]]
        fitting = [at for at, size in enumerate(sizes) if size <= limit]
        best = fitting[-1] if fitting else sizes.index(min(sizes))
        pieces = [
            _located(prompt, n, sentence)
            for n, (_, kept) in enumerate(made[number][best])
            for sentence in kept
        ]
        return _filled(prompt, [piece for piece in pieces if piece is not None], limit)

    return compress


def _located(prompt: Prompt, number: int, text: str) -> tuple[int, int, int] | None:
    start = prompt.texts[number].find(text)
    return None if start < 0 else (number, start, start + len(text))


class Remembering:
    """MiniLM, which embeds each text once; fits ``Embedder``."""

    def __init__(self) -> None:
        self._model = MiniLMEmbedder()
        self._vectors: dict[str, Vectors] = {}
        self.name, self.dimensions = self._model.name, self._model.dimensions

    def embed(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        """Its vectors do not depend on the kind."""
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        self._vectors.update(zip(new, self._model.embed(new, kind), strict=True))
        rows = [self._vectors[text] for text in texts]
        return np.array(rows, np.float32).reshape(len(rows), self.dimensions)

    def coverage(self, text: str) -> float:
        return self._model.coverage(text)


MINILM = Remembering()


def _asked(peer: str, found: Sequence[Prompt]) -> Any:
    """What the library makes of the prompts: asked once for its texts, then with their vectors."""
    texts: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        tasks = [{"query": prompt.question.text, "texts": prompt.texts} for prompt in found]
        (work / "tasks.json").write_text(json.dumps(tasks), "utf-8")
        for _ in range(2):
            vectors = MINILM.embed(texts, "document")
            np.save(work / "vectors.npy", vectors)
            (work / "texts.json").write_text(json.dumps(texts), "utf-8")
            script = peers.HERE / f"with_{peer}_compressor.py"
            subprocess.run([peers.python(peer), "-P", "-W", "ignore", script, work], check=True)
            texts = json.loads((work / "unknown.json").read_text("utf-8"))
        assert not texts, f"{peer}: asked for other texts the second time"
        return json.loads((work / "kept.json").read_text("utf-8"))


def contenders(found: Sequence[Prompt]) -> Iterator[tuple[str, Compress]]:
    yield OURS, ours(SentenceCompressor(COUNTER))
    yield f"{OURS}, with MiniLM", ours(SentenceCompressor(COUNTER, embedder=MINILM))
    yield "first tokens", first_tokens
    yield "tf-idf sentences", tf_idf
    if "langchain" in peers.installed():
        yield "LangChain DocumentCompressorPipeline", langchain(found)
    if "llamaindex" in peers.installed():
        yield "LlamaIndex SentenceEmbeddingOptimizer", llamaindex(found)


def measure(tasks: Iterator[ChunkingSet]) -> Iterator[Row]:
    for task in tasks:
        found = prompts(task)
        shares: dict[tuple[float, str], NDArray[np.float64]] = {}
        for system, compress in contenders(found):
            for ratio in RATIOS:
                shares[ratio, system] = np.array(
                    [
                        prompt.kept(compress(prompt, number, int(prompt.tokens * ratio)))
                        for number, prompt in enumerate(found)
                    ]
                )
        rows = []
        for (ratio, system), scores in shares.items():
            rows.append(mean_row(system, task.name, f"gold kept@{ratio}", scores))
            if system != OURS:
                difference = scores - shares[ratio, OURS]
                rows.append(mean_row(system, task.name, f"Δgold kept@{ratio}", difference))
        print_table(rows)
        yield from rows


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    folder = data_folder(arguments.data)
    missing = sorted({"langchain", "llamaindex"} - set(peers.installed()))
    if missing:
        print(f"Without {', '.join(missing)}: `python -m benchmarks.peers install` gets them.")
    limit = QUICK if arguments.quick else QUESTIONS
    write_rows(list(measure(read_chunking_sets(folder, limit=limit))), arguments.json)


if __name__ == "__main__":
    main()
