"""What does a large model that is asked in doubt only save, and what does it lose?

    python -m benchmarks.cascade [--data DIR] [--json FILE] [--quick]

``gsm8k_solutions`` holds solutions by a model with 6 and by one with 175 billion parameters. The
small one's is taken where it is sure (a second sample ends in the same number, and its equations
hold), else the large one's. How sure it has to be is chosen on one half of the questions
(``calibrate``) and measured on the other. Cost is tokens, read and written, times parameters, the
second sample included.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import numpy as np

from benchmarks.compare import mean_row
from benchmarks.data import Row, argument_parser, data_folder, print_table, read_jsonl, write_rows
from benchmarks.voting import HandedOut, equations
from ctxeng.generation.choice import Calibration, Cascade, Confidence, agreement, calibrate
from ctxeng.generation.decoding import last_number
from ctxeng.generation.reply import collect
from ctxeng.protocols import Generator
from ctxeng.types import GenerationOptions, Message, Reply

SMALL, LARGE = 6.0, 175.0
"""Billions of parameters."""
MAX_LOSSES = (0.0, 0.05, 0.1)
QUICK = 60
OPTIONS = GenerationOptions(seed=0)


@dataclass(frozen=True)
class Outcome:
    right: bool
    cost: float
    asked_large: bool


class Case:
    """One question, and what both models say to it."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        said = {candidate["model"]: candidate["text"] for candidate in row["candidates"]}
        self.messages = [Message(role="user", content=row["question"])]
        self._gold = last_number(row["solution"])
        self._small = [said["6b_verification"], said["6b_finetuning"]]
        self._large = [said["175b_verification"]]

    def small(self) -> HandedOut:
        return HandedOut(self._small, price=SMALL)

    def large(self) -> HandedOut:
        return HandedOut(self._large, price=LARGE)

    async def ask(self, generator: Generator) -> Reply:
        return await collect(
            generator.stream(self.messages, OPTIONS), OPTIONS, model=generator.name
        )

    async def alone(self, generator: HandedOut) -> Outcome:
        reply = await self.ask(generator)
        return Outcome(self.right(reply), reply.usage.cost, generator.name == "large")

    async def cascaded(self, threshold: float) -> Outcome:
        large = self.large()
        both = Cascade(self.small(), large, confidence=sureness(), threshold=threshold)
        reply = await self.ask(both)
        return Outcome(self.right(reply), reply.usage.cost, large.asked > 0)

    def right(self, reply: Reply) -> bool:
        return last_number(reply.text) == self._gold


def sureness() -> Confidence:
    """Half of it whether a second sample agrees, half the share of equations that hold."""
    agrees = agreement(1, normalise=last_number)

    async def confidence(
        generator: Generator, messages: Sequence[Message], options: GenerationOptions, reply: Reply
    ) -> float:
        same = await agrees(generator, messages, options, reply)
        return (same + equations(reply.text)) / 2

    return confidence


async def chosen(cases: Sequence[Case], max_loss: float) -> Calibration:
    """The threshold for these questions."""
    sure, small_right, large_right = [], [], []
    for case in cases:
        small = case.small()
        reply = await case.ask(small)
        sure.append(await sureness()(small, case.messages, OPTIONS, reply))
        small_right.append(case.right(reply))
        large_right.append(case.right(await case.ask(case.large())))
    return calibrate(sure, small_right, large_right, max_loss=max_loss)


async def measure(folder: Path, limit: int | None = None) -> list[Row]:
    questions = list(read_jsonl(folder, "questions"))[:limit]
    random.Random(4).shuffle(questions)
    cases = [Case(row) for row in questions]
    first, second = cases[::2], cases[1::2]
    name = f"{folder.name}, {len(second)} questions"
    large = [await case.alone(case.large()) for case in second]
    rows = list(_rows("large alone", name, large, large))
    rows += _rows("small alone", name, [await case.alone(case.small()) for case in second], large)
    for max_loss in MAX_LOSSES:
        found = await chosen(first, max_loss)
        system = f"cascade that may lose {max_loss:.0%} on the other half"
        outcomes = [await case.cascaded(found.threshold) for case in second]
        rows += _rows(system, name, outcomes, large)
        rows.append(mean_row(system, name, "Δaccuracy, other half", np.array([-found.loss])))
        rows.append(mean_row(system, name, "threshold", np.array([found.threshold])))
    return rows


def _rows(
    system: str, name: str, found: Sequence[Outcome], large: Sequence[Outcome]
) -> Iterator[Row]:
    right = np.array([float(outcome.right) for outcome in found])
    yield mean_row(system, name, "accuracy", right)
    if found is not large:
        before = np.array([float(outcome.right) for outcome in large])
        spared = np.array([float(not outcome.asked_large) for outcome in found])
        cost = sum(outcome.cost for outcome in found) / sum(outcome.cost for outcome in large)
        yield mean_row(system, name, "Δaccuracy", right - before)
        yield mean_row(system, name, "large model spared", spared)
        yield mean_row(system, name, "cost, large alone = 1", np.array([cost]))


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    folder = data_folder(arguments.data) / "gsm8k_solutions"
    rows = anyio.run(measure, folder, QUICK if arguments.quick else None)
    print_table(rows)
    write_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
