"""How often does an answer hold what it should, and is it withheld when there is none?

    python -m benchmarks.answers [--data DIR] [--json FILE] [--quick] [--model NAME]

Each set's documents are one workspace with defaults. Every question is asked

- with our context: ``engine.ask`` of the workspace, which may answer "not found";
- with the gold passage as all there is, and no choice but to answer;
- closed book: the question alone, of a model.

Reported is how often the answer holds a gold phrase, and exact match and F1 of its words as SQuAD
scores them (an extractive answer is whole sentences: its exact match is about 0 and its F1 low by
nature). "context holds the phrase" is the most that a generator can quote. Abstention: every
question is asked a second time without the document that answers (a filter leaves it out), so that
half of all should be answered with "not found". Precision is their share among the questions that
were, recall the share that was among them. nq_open has no passages: its questions are asked of
those of xquad_en, which answer next to none of them.

The extractive generator answers many questions. The model (``--model``, by default the packaged
one) is slow on a CPU, and answers few, in the budget that it has by default; the extractive one
answers the same ones in the same budget beside it. ``ΔF1`` is the difference between them.
"""

from __future__ import annotations

import random
import re
import string
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare import RESAMPLES, mean_row
from benchmarks.data import Row, argument_parser, data_folder, print_table, write_rows
from benchmarks.data_answers import Asked, Task, tasks
from ctxeng import Answer, Document, Engine, Settings, open_model
from ctxeng.errors import ConfigError
from ctxeng.generation import EXTRACTIVE, NOT_FOUND
from ctxeng.generation.named import habits_of
from ctxeng.settings import GenerationSettings, load_settings
from ctxeng.types import Filter

QUESTIONS, QUICK_QUESTIONS = 300, 20
MODEL_QUESTIONS, QUICK_MODEL_QUESTIONS = 40, 2
MODEL_TOKENS = 40
OURS, GIVEN, CLOSED = "our context", "gold passage", "closed book"

Values = NDArray[np.float64]
Ask = Callable[[Asked, str, int | None], "Said"]
"""A question, by whom it is answered, and the budget of the context."""


@dataclass(frozen=True)
class Said:
    """An answer, and the sources that it was made from."""

    text: str
    found: bool
    seen: str | None
    """None: there were none to make it from."""


class Desk:
    """Where one set's questions are asked."""

    def __init__(self, task: Task, asked: Sequence[Asked], model: str) -> None:
        settings = Settings(
            models=load_settings().models, generation=GenerationSettings(max_tokens=MODEL_TOKENS)
        )
        self._model = open_model(model, settings=settings)
        self._ids = [document.id for document in task.documents]
        self._workspace = _opened(task.documents, settings)
        passages = dict.fromkeys(one.passage for one in asked if one.passage)
        self._numbers = {passage: str(number) for number, passage in enumerate(passages)}
        self._passages = _opened(
            [Document(id=number, text=passage) for passage, number in self._numbers.items()],
            settings,
        )
        self._passages._parts.answerability.threshold = 0.0  # it has to answer

    def ours(self, asked: Asked, model: str, budget: int | None) -> Said:
        return _said(
            self._workspace.ask(
                asked.question, filter=dict(asked.within), model=model, budget=budget
            )
        )

    def without_document(self, asked: Asked, model: str, budget: int | None) -> Said:
        """As ``ours``, of a workspace that lacks what answers."""
        others = [key for key in self._ids if key != asked.document_id]
        filter: Filter = {**asked.within, "document_id": others}
        return _said(self._workspace.ask(asked.question, filter=filter, model=model, budget=budget))

    def given(self, asked: Asked, model: str, budget: int | None) -> Said:
        filter = {"document_id": self._numbers[asked.passage]}
        return _said(self._passages.ask(asked.question, filter=filter, model=model, budget=budget))

    def closed(self, asked: Asked, model: str, budget: int | None) -> Said:
        return Said(self._model.generate(asked.question).text, True, None)

    def close(self) -> None:
        self._workspace.close()
        self._passages.close()


def _opened(documents: Sequence[Document], settings: Settings) -> Engine:
    engine = Engine.open(":memory:", settings=settings)
    if documents:
        engine.index(documents, wait=True)
    return engine


def _said(answer: Answer) -> Said:
    seen = "\n".join(source.text for source in answer.context.sources)
    return Said(answer.text, answer.found, seen)


def measure(
    task: Task, *, questions: int, model: str = EXTRACTIVE, model_questions: int = 0
) -> Iterator[Row]:
    """Rows of the extractive generator, and of a model beside it on the first few questions."""
    chosen = random.Random(5).sample(task.asked, min(questions, len(task.asked)))
    with closing(Desk(task, chosen, model)) as desk:
        yield from _rows(desk, task.name, chosen, [EXTRACTIVE], None)
        if model != EXTRACTIVE:
            few = chosen[:model_questions]
            budget = habits_of(model, load_settings()).budget
            yield from _rows(desk, task.name, few, [EXTRACTIVE, model], budget)


def _rows(
    desk: Desk, task: str, asked: Sequence[Asked], models: Sequence[str], budget: int | None
) -> Iterator[Row]:
    name = f"{task}, {len(asked)} questions"
    answered = bool(asked[0].document_id)
    beside: dict[str, Values] = {}
    for model in models:
        system = model if model == EXTRACTIVE else open_model(model).name
        ways: dict[str, Ask] = {OURS: desk.ours, GIVEN: desk.given} if answered else {}
        if model != EXTRACTIVE:
            ways[CLOSED] = desk.closed
        found: dict[str, dict[str, Values]] = {}
        for way, ask in ways.items():
            found[way] = _figures([score(ask(one, model, budget), one) for one in asked])
            if model == EXTRACTIVE:
                beside[way] = found[way]["F1"]
            elif way in beside:
                found[way]["ΔF1"] = found[way]["F1"] - beside[way]
            for metric, values in found[way].items():
                yield mean_row(f"{system}, {way}", name, metric, values)
        left_out = desk.without_document if answered else desk.ours
        gone = np.array([float(not left_out(one, model, budget).found) for one in asked])
        there = found[OURS]["abstains"] if answered else None
        yield from abstention(f"{system}, {OURS}", name, gone, there)


def _figures(scores: Sequence[Mapping[str, float]]) -> dict[str, Values]:
    return {metric: np.array([one[metric] for one in scores]) for metric in scores[0]}


def abstention(system: str, name: str, gone: Values, there: Values | None) -> Iterator[Row]:
    """Recall, and where something abstained precision.

    Args:
        gone: whether each question was answered with "not found" where nothing answers it; shape
            (n,), 0 or 1.
        there: the same where something does; None: nothing ever does.
    """
    if there is not None and gone.sum() + there.sum():
        picks = np.random.default_rng(0).integers(0, len(gone), (RESAMPLES, len(gone)))
        right, withheld = gone[picks].sum(axis=1), (gone + there)[picks].sum(axis=1)
        some = withheld > 0
        low, high = np.quantile(right[some] / withheld[some], [0.025, 0.975])
        yield Row(
            system=system,
            set=name,
            metric="abstention precision",
            value=float(gone.sum() / (gone + there).sum()),
            low=float(low),
            high=float(high),
        )
    yield mean_row(system, name, "abstention recall", gone)


def score(said: Said, asked: Asked) -> dict[str, float]:
    """The figures of one answer; "not found" is an empty one."""
    text = "" if said.text == NOT_FOUND else said.text
    words = plain_words(re.sub(r"\s*\[\d+\]", "", text))
    gold = [plain_words(phrase) for phrase in asked.gold]
    figures: dict[str, float] = {}
    if said.seen is not None:
        seen = plain_words(said.seen)
        figures["abstains"] = float(not said.found)
        figures["context holds the phrase"] = float(any(holds(seen, phrase) for phrase in gold))
    figures |= {
        "answer holds the phrase": float(any(holds(words, phrase) for phrase in gold)),
        "exact match": float(words in gold),
        "F1": max(f1(words, phrase) for phrase in gold),
        "words": float(len(words)),
    }
    if asked.decision:
        figures["begins with the right yes, no or maybe"] = float(words[:1] == [asked.decision])
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


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", metavar="NAME", default="local", help="asked few questions")
    arguments = parser.parse_args()
    try:
        open_model(arguments.model)
    except ConfigError as error:
        print(f"The extractive generator only. {error}")
        arguments.model = EXTRACTIVE
    rows = [
        row
        for task in tasks(data_folder(arguments.data))
        for row in measure(
            task,
            questions=QUICK_QUESTIONS if arguments.quick else QUESTIONS,
            model=arguments.model,
            model_questions=QUICK_MODEL_QUESTIONS if arguments.quick else MODEL_QUESTIONS,
        )
    ]
    print_table(rows)
    write_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
