"""Reads sets of questions with their answers and the documents that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import read_chunking_set, read_jsonl
from ctxeng import Document

AROUND = 500
"""Characters of a long document on either side of an answer that make its passage."""


@dataclass(frozen=True)
class Asked:
    question: str
    gold: Sequence[str]
    """Any of these phrases is right."""
    within: Mapping[str, str]
    """Filter that is part of the question (whose policy?)."""
    document_id: str = ""
    """That answers; empty: the set's documents do not."""
    passage: str = ""
    """Of that document, what is enough to answer."""
    decision: str = ""
    """Yes, no or maybe, where that is asked."""


@dataclass(frozen=True)
class Task:
    name: str
    documents: Sequence[Document]
    asked: Sequence[Asked]


def policyqa(folder: Path) -> Task:
    """ "This website" is the site of the question's paragraph."""
    paragraphs = {row["id"]: row for row in read_jsonl(folder, "paragraphs")}
    return Task(
        "policyqa",
        [
            Document(id=key, text=row["text"], metadata={"site": row["site"]})
            for key, row in paragraphs.items()
        ],
        [
            Asked(
                row["question"],
                row["answers"],
                {"site": paragraphs[row["paragraph"]]["site"]},
                row["paragraph"],
                paragraphs[row["paragraph"]]["text"],
            )
            for row in read_jsonl(folder, "questions")
        ],
    )


def covidqa(folder: Path) -> Task:
    """The documents are whole articles: a passage is what stands around the answer."""
    task = read_chunking_set(folder)
    return Task(
        task.name,
        [Document(id=key, text=text) for key, text in task.documents.items()],
        [
            Asked(
                q.text,
                [r.text for r in q.references],
                {},
                q.document_id,
                around(task.documents[q.document_id], q.references[0].start, q.references[0].end),
            )
            for q in task.questions
        ],
    )


def xquad(folder: Path) -> Task:
    home = dict(line.split("\t")[:2] for line in (folder / "qrels.tsv").read_text().splitlines())
    documents = {
        row["id"]: Document(id=row["id"], title=row["title"], text=row["text"])
        for row in read_jsonl(folder, "corpus")
    }
    return Task(
        folder.name,
        list(documents.values()),
        [
            Asked(
                row["text"], [row["answer"]], {}, home[row["id"]], documents[home[row["id"]]].text
            )
            for row in read_jsonl(folder, "queries")
        ],
    )


def pubmedqa(folder: Path) -> Task:
    """Gold is the abstract's conclusion, which is not in the workspace: only F1 says something."""
    rows = list(read_jsonl(folder, "questions"))
    documents = [Document(id=row["id"], text="\n\n".join(row["contexts"])) for row in rows]
    return Task(
        "pubmedqa",
        documents,
        [
            Asked(
                row["question"], [row["long_answer"]], {}, row["id"], document.text, row["answer"]
            )
            for row, document in zip(rows, documents, strict=True)
        ],
    )


def nq_open(folder: Path, passages: Sequence[Document]) -> Task:
    """Has no passages of its own; next to none of these answer its questions."""
    return Task(
        "nq_open",
        passages,
        [Asked(row["question"], row["answers"], {}) for row in read_jsonl(folder, "questions")],
    )


def tasks(folder: Path) -> Iterator[Task]:
    """Those of the sets that are there."""
    readers = {"policyqa": policyqa, "pubmedqa": pubmedqa, "covidqa_dev": covidqa}
    for name, read in readers.items():
        if (folder / name).is_dir():
            yield read(folder / name)
    if (folder / "xquad_en").is_dir():
        passages = xquad(folder / "xquad_en")
        yield passages
        if (folder / "nq_open").is_dir():
            yield nq_open(folder / "nq_open", passages.documents)


def around(text: str, start: int, end: int) -> str:
    """The range with ``AROUND`` characters on either side, cut at white space."""
    left, right = max(0, start - AROUND), min(len(text), end + AROUND)
    while 0 < left < start and not text[left - 1].isspace():
        left += 1
    while end < right < len(text) and not text[right].isspace():
        right -= 1
    return text[left:right].strip()
