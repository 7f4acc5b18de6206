"""Fits the weights of ``ctxeng.grounding.answerable`` on data that is for fitting only.

    python -m benchmarks.fit_answerability [--data DIR] [--quick]

Questions of SQuAD and WikiQA (their training parts) are asked of a corpus that lacks the passages
of half of them. Prints the logistic regression's weights and how well it tells the halves apart
on questions that it was not fitted on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import argument_parser, data_folder, read_jsonl
from ctxeng import Document, Engine
from ctxeng.grounding.answerable import features

SENTENCES_A_PASSAGE = 5
QUESTIONS = 1_000


@dataclass(frozen=True)
class Task:
    """Passages by id, and questions with the passages that answer them."""

    name: str
    passages: dict[str, str]
    questions: list[tuple[str, set[str]]]


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


def wikiqa(folder: Path) -> Task:
    """Each question's candidate sentences are one passage; questions without an answer go."""
    rows = [r for r in read_jsonl(folder, "train") if any(c["label"] for c in r["candidates"])]
    passages = {r["id"]: " ".join(c["text"] for c in r["candidates"]) for r in rows}
    return Task("wikiqa", passages, [(r["question"], {r["id"]}) for r in rows])


def examples(task: Task, limit: int) -> Iterator[tuple[tuple[float, ...], bool]]:
    """Features of each question, and whether its passage was there."""
    questions = list(task.questions)
    random.Random(3).shuffle(questions)
    questions = questions[:limit]
    gone = set().union(*(passages for _, passages in questions[::2]))
    with Engine.open(":memory:") as engine:
        engine.index(
            [Document(id=i, text=text) for i, text in task.passages.items() if i not in gone],
            wait=True,
        )
        for text, passages in questions:
            context = engine.context(text)
            idf = engine._parts.idf
            yield features(text, context.sources, idf), not passages & gone


def fit(
    x: NDArray[np.float64], y: NDArray[np.float64], *, ridge: float = 1e-3
) -> NDArray[np.float64]:
    """Logistic regression by Newton's method; the last weight is the bias."""
    x = np.column_stack([x, np.ones(len(x))])
    w = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ w))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + ridge * len(x) * np.eye(len(w))
        w -= np.linalg.solve(hessian, x.T @ (p - y) + ridge * len(x) * w)
    return w


def auroc(scores: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Chance that an answerable question scores above one that is not; ties count half."""
    there, gone = scores[y == 1][:, None], scores[y == 0][None, :]
    return float(((there > gone) + 0.5 * (there == gone)).mean())


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    folder = data_folder(arguments.data)
    limit = 100 if arguments.quick else QUESTIONS
    sets = [squad(folder / "squad_sentences"), wikiqa(folder / "wikiqa")]
    rows = [(t.name, *row) for t in sets for row in examples(t, limit)]
    x = np.array([row[1] for row in rows])
    y = np.array([row[2] for row in rows], dtype=np.float64)
    names = np.array([row[0] for row in rows])
    held_out = np.arange(len(x)) // 2 % 4 == 0  # neighbours are one of each half
    w = fit(x[~held_out], y[~held_out])
    for name in dict.fromkeys(names):
        mine = held_out & (names == name)
        scores = x[mine] @ w[:-1] + w[-1]
        print(f"{name}: AUROC {auroc(scores, y[mine]):.3f}", end="; ")
        print(f"abstains, gone {(scores[y[mine] == 0] < 0).mean():.2f}", end=", ")
        print(f"there {(scores[y[mine] == 1] < 0).mean():.2f} (n = {mine.sum()})")
        for column in range(x.shape[1]):
            print(f"  feature {column}: AUROC {auroc(x[mine][:, column], y[mine]):.3f}")
    w = fit(x, y)
    print("WEIGHTS =", tuple(round(float(value), 2) for value in w[:-1]))
    print("BIAS =", round(float(w[-1]), 2))


if __name__ == "__main__":
    main()
