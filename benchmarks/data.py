"""Reads evaluation sets, and prints and writes what a benchmark found.

A folder of sets holds one folder per set, in one of these forms:

- retrieval: ``corpus.jsonl`` {id, title, text}, ``queries.jsonl`` {id, text}, ``qrels.tsv``
  (query, document, relevance), and perhaps ``files.jsonl`` {id, path, text}: the whole files that
  the corpus was cut from;
- chunking: ``documents/``, ``questions.jsonl`` {question, references, corpus_id}.

Every ``.jsonl`` may be gzipped.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

RETRIEVAL_SETS = (
    "scifact",
    "conala",
    "multihop_dev",
    "anthropic_code",
    "xquad_en",
    "xquad_es",
    "xquad_hi",
    "xquad_th",
    "cmrc_zh",
)
CHUNKING_SETS = ("chunking_dev", "covidqa_dev")
QUICK_QUERIES = 50

Qrels = dict[str, dict[str, int]]
"""Relevance by query id and document id."""


class Row(TypedDict):
    """One measured figure with its 95 % interval (equal to the value where there is none)."""

    system: str
    set: str
    metric: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Passage:
    id: str
    title: str
    text: str

    @property
    def whole(self) -> str:
        """Title and text, as every system that is handed one string gets them."""
        return f"{self.title}\n{self.text}" if self.title else self.text


@dataclass(frozen=True)
class File:
    """A whole file that a corpus was cut from; ``<id>:<n>`` is the id of its n-th piece."""

    id: str
    path: str
    text: str


@dataclass(frozen=True)
class RetrievalSet:
    name: str
    corpus: list[Passage]
    queries: dict[str, str]
    qrels: Qrels
    files: list[File]
    """Empty where the corpus is all there is."""


@dataclass(frozen=True)
class Reference:
    """A stretch ``[start, end)`` of a document that a question asks for."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Question:
    text: str
    document_id: str
    references: list[Reference]


@dataclass(frozen=True)
class ChunkingSet:
    name: str
    documents: dict[str, str]
    questions: list[Question]


def data_folder(argument: str | Path | None = None) -> Path:
    """The folder of sets: the argument, else ``CTXENG_DATA``, else ``../shared/data``.

    Raises:
        SystemExit: it is not there; the message says how to name one.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(argument or os.environ.get("CTXENG_DATA") or beside)
    if not folder.is_dir():
        raise SystemExit(
            f"{folder}: no such folder of evaluation sets. Name one with --data DIR or in the "
            "environment variable CTXENG_DATA; benchmarks/data.py says what must be in it."
        )
    return folder


def read_jsonl(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """The rows of ``name.jsonl`` or ``name.jsonl.gz``.

    Raises:
        SystemExit: neither is there.
    """
    plain, zipped = folder / f"{name}.jsonl", folder / f"{name}.jsonl.gz"
    if not plain.exists() and not zipped.exists():
        raise SystemExit(f"{folder}: has neither {plain.name} nor {zipped.name}.")
    data = plain.read_bytes() if plain.exists() else gzip.decompress(zipped.read_bytes())
    for line in data.decode("utf-8").split("\n"):
        if line.strip():
            yield json.loads(line)


def read_retrieval_set(folder: Path, *, limit: int | None = None) -> RetrievalSet:
    """One set; ``limit`` keeps the first so many judged queries and the whole corpus."""
    qrels: Qrels = {}
    for line in (folder / "qrels.tsv").read_text("utf-8").splitlines():
        query, document, relevance = line.split("\t")
        qrels.setdefault(query, {})[document] = int(relevance)
    texts = {row["id"]: row["text"] for row in read_jsonl(folder, "queries")}
    judged = [query for query in texts if query in qrels][:limit]
    has_files = any(folder.glob("files.jsonl*"))
    return RetrievalSet(
        name=folder.name,
        corpus=[
            Passage(row["id"], row.get("title", ""), row["text"])
            for row in read_jsonl(folder, "corpus")
        ],
        queries={query: texts[query] for query in judged},
        qrels={query: qrels[query] for query in judged},
        files=[File(row["id"], row["path"], row["text"]) for row in read_jsonl(folder, "files")]
        if has_files
        else [],
    )


def read_retrieval_sets(
    folder: Path, *, names: Sequence[str] = RETRIEVAL_SETS, limit: int | None = None
) -> Iterator[RetrievalSet]:
    """The named sets that are there, else (another folder of sets) all of that form."""
    present = [folder / name for name in names if (folder / name / "qrels.tsv").is_file()]
    if not present:
        present = sorted(
            path.parent
            for path in folder.glob("*/qrels.tsv")
            if any(path.parent.glob("corpus.jsonl*"))
        )
    if not present:
        raise SystemExit(f"{folder}: no set in retrieval form (corpus, queries, qrels.tsv) in it.")
    for path in present:
        yield read_retrieval_set(path, limit=limit)


def read_chunking_set(folder: Path, *, limit: int | None = None) -> ChunkingSet:
    """One set; documents go by their file name without its ending."""
    questions = [
        Question(
            row["question"],
            row["corpus_id"],
            [
                Reference(part["start_index"], part["end_index"], part["content"])
                for part in row["references"]
            ],
        )
        for row in read_jsonl(folder, "questions")
    ][:limit]
    documents = {
        path.stem: path.read_bytes().decode("utf-8")  # read_text would change line ends
        for path in sorted((folder / "documents").iterdir())
    }
    return ChunkingSet(folder.name, documents, questions)


def read_chunking_sets(
    folder: Path, *, names: Sequence[str] = CHUNKING_SETS, limit: int | None = None
) -> Iterator[ChunkingSet]:
    """The named sets that are there, else all of that form."""
    present = [folder / name for name in names if (folder / name / "documents").is_dir()]
    if not present:
        present = sorted(
            path.parent
            for path in folder.glob("*/documents")
            if any(path.parent.glob("questions.jsonl*"))
        )
    if not present:
        raise SystemExit(f"{folder}: no set in chunking form (documents/, questions) in it.")
    for path in present:
        yield read_chunking_set(path, limit=limit)


def argument_parser(docstring: str | None) -> argparse.ArgumentParser:
    """The arguments of every benchmark; ``--quick`` is for seeing that it runs."""
    parser = argparse.ArgumentParser(
        description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", metavar="DIR", help="folder of sets (see benchmarks/data.py)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows there")
    parser.add_argument("--quick", action="store_true", help="few queries: does it run?")
    return parser


def write_rows(rows: Sequence[Row], file: Path | None) -> None:
    """Write the rows as one JSON array, a line each."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        file.write_text(f"[\n{lines}\n]\n", "utf-8")


def print_table(rows: Sequence[Row]) -> None:
    """One table for each set: systems down, metrics across, intervals in brackets."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if os.isatty(1) else 200)
    for name in dict.fromkeys(row["set"] for row in rows):
        cells = {(row["system"], row["metric"]): row for row in rows if row["set"] == name}
        metrics = list(dict.fromkeys(metric for _, metric in cells))
        table = Table("system", *metrics, title=name, title_justify="left")
        for system in dict.fromkeys(system for system, _ in cells):
            table.add_row(system, *(_cell(cells.get((system, metric))) for metric in metrics))
        console.print(table)


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    value = f"{row['value']:.3f}"
    if row["low"] == row["high"]:
        return value
    return f"{value} [{row['low']:.3f}, {row['high']:.3f}]".replace("[", r"\[")
