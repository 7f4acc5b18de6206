"""Fits the weights of ``ctxeng.grounding.answerable`` on data that is for fitting only.

    python -m benchmarks.fit_answerability [--data DIR] [--json FILE] [--quick]

Questions of SQuAD, WikiQA and TREC-QA (their training parts) are asked of workspaces that lack the
passages of half of them: one that holds all other passages, and many small ones, of neighbouring
passages or of any. Some ask two things at once, both there or both gone. Prints logistic
regressions, for terms alone and for each packaged embedder, and how well they tell the halves apart
on questions that they were not fitted on. Within each kind of workspace both answers count the
same.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare import bootstrap
from benchmarks.data import (
    Row,
    argument_parser,
    data_folder,
    print_table,
    read_jsonl,
    write_rows,
)
from ctxeng import Document, Engine, Settings
from ctxeng.embedding import MiniLMEmbedder, StaticEmbedder
from ctxeng.grounding.answerable import Weights, signs
from ctxeng.protocols import Embedder, TextKind, Vectors

SENTENCES_A_PASSAGE = 5
QUESTIONS = 1_000
"""Asked of the workspace with everything."""
SMALL = {20: 40, 5: 120, 1: 120}
"""How many workspaces of so many passages."""
BOTH = 150
"""How many questions are joined from two, of each half."""
BOTH_FROM = 20
FOLDS = 5

Features = NDArray[np.float64]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """Passages by id, in their order, and questions with the passages that answer them."""

    name: str
    passages: dict[str, str]
    questions: list[tuple[str, set[str]]]


@dataclass(frozen=True)
class Trial:
    """Questions asked of one workspace, with whether it holds their answers."""

    kind: str
    passages: Sequence[str]
    asked: Sequence[tuple[str, bool]]

    def questions(self) -> Iterator[tuple[str, str, bool]]:
        """(kind, text, whether the answer is there): each question, and in workspaces of some size
        also each two, joined.
        """
        for text, there in self.asked:
            yield self.kind, text, there
        if len(self.passages) < BOTH_FROM:
            return
        for label in (True, False):
            group = [text for text, there in self.asked if there == label][: 2 * BOTH]
            for one, other in zip(group[::2], group[1::2], strict=False):
                yield f"{self.kind}, two in one", f"{one.rstrip(' ?')} and {other}", label


@dataclass(frozen=True)
class Example:
    kind: str
    question: str
    features: tuple[float, ...]
    whole: bool
    there: bool


class Remembering:
    """An embedder that never embeds a text twice: the same passages come in many workspaces."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[tuple[str, TextKind], NDArray[np.float32]] = {}
        self.name = embedder.name
        self.dimensions = embedder.dimensions
        self.coverage = embedder.coverage

    def embed(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        new = [t for t in dict.fromkeys(texts) if (t, kind) not in self._known]
        for text, row in zip(new, self._embedder.embed(new, kind), strict=True):
            self._known[text, kind] = row
        if not texts:
            return self._embedder.embed([], kind)
        return np.stack([self._known[text, kind] for text in texts])


def squad(folder: Path) -> Task:
    """Neighbouring answer sentences, joined into passages again."""
    rows = list(read_jsonl(folder, "pairs"))
    order = list(dict.fromkeys(row["sentence"] for row in rows))
    borders = [*range(0, len(order), SENTENCES_A_PASSAGE), len(order)]
    passages, home = {}, {}
    for start, end in pairwise(borders):
        passages[f"s{start}"] = " ".join(order[start:end])
        home.update(dict.fromkeys(order[start:end], f"s{start}"))
    return Task("squad", passages, [(r["question"], {home[r["sentence"]]}) for r in rows])


def with_candidates(folder: Path) -> Task:
    """Each question's candidate sentences are passages of five; unanswered questions go."""
    passages: dict[str, str] = {}
    questions = []
    for row in read_jsonl(folder, "train"):
        own = set()
        for start in range(0, len(row["candidates"]), SENTENCES_A_PASSAGE):
            part = row["candidates"][start : start + SENTENCES_A_PASSAGE]
            key = f"{row['id']}:{start}"
            passages[key] = " ".join(candidate["text"] for candidate in part)
            if any(candidate["label"] for candidate in part):
                own.add(key)
        if own:
            questions.append((row["question"], own))
    return Task(folder.name, passages, questions)


def trials(task: Task, limit: int) -> Iterator[Trial]:
    draw = random.Random(3)
    chosen = draw.sample(task.questions, min(limit, len(task.questions)))
    gone = set().union(*(passages for _, passages in chosen[::2]))
    rest = [key for key in task.passages if key not in gone]
    yield Trial(f"{task.name}, all", rest, [(text, not home & gone) for text, home in chosen])
    order = list(task.passages)
    for size, count in SMALL.items():
        for number in range(count * limit // QUESTIONS):
            if number % 2:  # neighbours: what is asked for is near, and not there
                start = draw.randrange(len(order) - size - 3)
                inside, outside = order[start : start + size], order[start + size :][:3]
            else:
                *inside, a, b, c = draw.sample(order, size + 3)
                outside = [a, b, c]
            there = [text for text, home in task.questions if home & set(inside)]
            away = [
                text
                for text, home in task.questions
                if home & set(outside) and not home & set(inside)
            ]
            each = min(len(there), len(away), 5)
            asked = [(text, True) for text in draw.sample(there, each)]
            asked += [(text, False) for text in draw.sample(away, each)]
            yield Trial(f"{task.name}, {size}", inside, asked)


def examples(task: Task, trial: Trial, embedder: Embedder | None) -> Iterator[Example]:
    """What is seen of each question of a trial."""
    embedders = [embedder] if embedder else []
    with Engine.open(":memory:", settings=Settings(), embedders=embedders) as engine:
        documents = [Document(id=key, text=task.passages[key]) for key in trial.passages]
        engine.index(documents, wait=True)
        for kind, text, there in trial.questions():
            seen = signs(text, engine.context(text).sources, engine._parts.idf)
            *features, whole = astuple(seen)
            yield Example(kind, text, tuple(features), whole, there)


def fit(x: Features, y: Scores, weights: Scores, *, ridge: float = 1e-3) -> Scores:
    """Logistic regression by Newton's method; the last weight is the bias."""
    x = np.column_stack([x, np.ones(len(x))])
    weights = weights / weights.sum()
    w = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ w))
        hessian = (x * (weights * p * (1 - p))[:, None]).T @ x + ridge * np.eye(len(w))
        w -= np.linalg.solve(hessian, x.T @ (weights * (p - y)) + ridge * w)
    return w


def auroc(scores: Scores, y: Scores) -> float:
    """Chance that an answerable question scores above one that is not; ties count half."""
    there, gone = scores[y == 1][:, None], scores[y == 0][None, :]
    return float(((there > gone) + 0.5 * (there == gone)).mean())


def measure(name: str, found: Sequence[Example]) -> Iterator[Row]:
    """Figures of held-out questions by kind of workspace; prints the weights fitted on all."""
    x = np.array([example.features for example in found])
    y = np.array([example.there for example in found], dtype=np.float64)
    counts = Counter((example.kind, example.there) for example in found)
    # A workspace of TREC-QA has few questions: they shall not count more than others.
    weights = np.array([min(1.0, 100 / counts[e.kind, e.there]) for e in found])
    numbers = {text: n for n, text in enumerate(dict.fromkeys(e.question for e in found))}
    folds = np.array([numbers[example.question] % FOLDS for example in found])
    scores = np.zeros(len(found))
    for fold in range(FOLDS):
        inside = folds != fold
        w = fit(x[inside], y[inside], weights[inside])
        scores[~inside] = x[~inside] @ w[:-1] + w[-1]
    kinds = np.array([example.kind for example in found])
    whole = np.array([example.whole for example in found])
    abstains = (scores < 0) & ~whole
    for kind in dict.fromkeys(kinds):
        mine = kinds == kind
        yield _row(name, kind, "AUROC", auroc(scores[mine], y[mine]), None)
        for there, metric in ((0, "abstains, gone"), (1, "abstains wrongly, there")):
            outcomes = abstains[mine & (y == there)].astype(np.float64)
            yield _row(name, kind, metric, float(outcomes.mean()), outcomes)
    yield _row(name, "all kinds", "AUROC", auroc(scores, y), None)
    outcomes = y[whole]
    yield _row(name, "all kinds", "there, if one source holds all terms", outcomes.mean(), outcomes)
    print(name, Weights(*(round(float(value), 2) for value in fit(x, y, weights))))


def _row(name: str, kind: str, metric: str, value: float, outcomes: Scores | None) -> Row:
    low, high = (value, value) if outcomes is None else bootstrap(outcomes)
    return Row(system=name, set=kind, metric=metric, value=value, low=low, high=high)


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    folder = data_folder(arguments.data)
    limit = 100 if arguments.quick else QUESTIONS
    tasks = [
        squad(folder / "squad_sentences"),
        with_candidates(folder / "wikiqa"),
        with_candidates(folder / "trecqa"),
    ]
    rows: list[Row] = []
    embedders = (None, Remembering(StaticEmbedder()), Remembering(MiniLMEmbedder()))
    for embedder in embedders:
        found = [
            example
            for task in tasks
            for trial in trials(task, limit)
            for example in examples(task, trial, embedder)
        ]
        rows += measure(embedder.name.partition("@")[0] if embedder else "terms alone", found)
    print_table(rows)
    write_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
