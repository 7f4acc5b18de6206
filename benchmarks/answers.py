"""How often does an answer hold what it should, end to end and with the right passage given?

    python -m benchmarks.answers [--data DIR] [--json FILE] [--quick]

Each set's documents are one workspace with defaults, asked with ``engine.ask``. Reported for each
generator, for the whole workspace and again confined to the document that answers: how often the
answer holds a gold phrase, and exact match and F1 of its words as SQuAD scores them (an extractive
answer is whole sentences: its exact match is about 0 and its F1 low by nature). "context holds the
phrase" is the most that a generator can quote. nq_open has no passages: its questions are asked of
those of xquad_en, which answer next to none of them, and should be answered with "not found".
"""

from __future__ import annotations

import random
import re
import string
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.compare import bootstrap
from benchmarks.data import (
    Row,
    argument_parser,
    data_folder,
    print_table,
    read_chunking_set,
    read_jsonl,
    write_rows,
)
from ctxeng import Answer, Document, Engine, Settings
from ctxeng.protocols import Generator

QUESTIONS = 300
QUICK = 20
GENERATORS: Mapping[str, Callable[[], Generator | None]] = {"extractive": lambda: None}
"""By name; None: the engine's default."""


@dataclass(frozen=True)
class Asked:
    question: str
    gold: Sequence[str]
    """Any of these phrases is right; none where the workspace does not answer."""
    within: Mapping[str, str]
    """Filter that is part of the question (whose policy?)."""
    document_id: str = ""
    """That answers."""


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
            )
            for row in read_jsonl(folder, "questions")
        ],
    )


def covidqa(folder: Path) -> Task:
    task = read_chunking_set(folder)
    return Task(
        task.name,
        [Document(id=key, text=text) for key, text in task.documents.items()],
        [Asked(q.text, [r.text for r in q.references], {}, q.document_id) for q in task.questions],
    )


def xquad(folder: Path) -> Task:
    home = dict(line.split("\t")[:2] for line in (folder / "qrels.tsv").read_text().splitlines())
    return Task(
        folder.name,
        [
            Document(id=row["id"], title=row["title"], text=row["text"])
            for row in read_jsonl(folder, "corpus")
        ],
        [
            Asked(row["text"], [row["answer"]], {}, home[row["id"]])
            for row in read_jsonl(folder, "queries")
        ],
    )


def pubmedqa(folder: Path) -> Task:
    """Gold is the abstract's conclusion, which is not in the workspace: only F1 says something."""
    rows = list(read_jsonl(folder, "questions"))
    return Task(
        "pubmedqa",
        [Document(id=row["id"], text="\n\n".join(row["contexts"])) for row in rows],
        [Asked(row["question"], [row["long_answer"]], {}, row["id"]) for row in rows],
    )


def nq_open(folder: Path, passages: Sequence[Document]) -> Task:
    return Task(
        "nq_open",
        passages,
        [Asked(row["question"], [], {}) for row in read_jsonl(folder, "questions")],
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


def measure(task: Task, questions: int) -> Iterator[Row]:
    chosen = random.Random(5).sample(task.asked, min(questions, len(task.asked)))
    for name, make in GENERATORS.items():
        with Engine.open(":memory:", settings=Settings(), generator=make()) as engine:
            engine.index(task.documents, wait=True)
            for system, narrowed in ((name, False), (f"{name}, right document given", True)):
                if narrowed and not chosen[0].document_id:
                    continue
                scores = [
                    score(engine.ask(one.question, filter=_filter(one, narrowed)), one)
                    for one in chosen
                ]
                for metric in scores[0]:
                    values = np.array([s[metric] for s in scores], dtype=np.float64)
                    low, high = bootstrap(values)
                    yield Row(
                        system=system,
                        set=task.name,
                        metric=metric,
                        value=float(values.mean()),
                        low=low,
                        high=high,
                    )


def score(answer: Answer, asked: Asked) -> dict[str, float]:
    """The figures of one answer; one that abstains is empty."""
    said = plain_words(re.sub(r"\s*\[\d+\]", "", answer.text)) if answer.found else []
    figures = {"abstains": float(not answer.found)}
    if asked.gold:
        gold = [plain_words(phrase) for phrase in asked.gold]
        seen = plain_words("\n".join(source.text for source in answer.context.sources))
        figures |= {
            "context holds the phrase": float(any(holds(seen, phrase) for phrase in gold)),
            "answer holds the phrase": float(any(holds(said, phrase) for phrase in gold)),
            "exact match": float(said in gold),
            "F1": max(f1(said, phrase) for phrase in gold),
            "words": float(len(said)),
        }
    return figures


def plain_words(text: str) -> list[str]:
    """As SQuAD's own script compares: lower case, without punctuation and articles."""
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def holds(words: Sequence[str], phrase: Sequence[str]) -> bool:
    return bool(phrase) and f" {' '.join(phrase)} " in f" {' '.join(words)} "


def f1(words: Sequence[str], phrase: Sequence[str]) -> float:
    common = (Counter(words) & Counter(phrase)).total()
    return 2 * common / (len(words) + len(phrase)) if common else 0.0


def _filter(asked: Asked, narrowed: bool) -> dict[str, str]:
    return {"document_id": asked.document_id} if narrowed else dict(asked.within)


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    folder = data_folder(arguments.data)
    rows = [
        row
        for task in tasks(folder)
        for row in measure(task, QUICK if arguments.quick else QUESTIONS)
    ]
    print_table(rows)
    write_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
