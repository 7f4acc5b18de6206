"""What do more samples of an answer buy?

    python -m benchmarks.voting [--data DIR] [--json FILE] [--quick] [--model NAME]

``gsm8k_solutions`` holds four labelled solutions of each question, of a model with 6 and one with
175 billion parameters, each finetuned alone and with a verifier. They are handed out as samples, in
four orders, so that each is the first one once: what a vote decides does not depend on how good a
model is that runs here. ``gsm8k`` asks a model (``--model``, by default the packaged one, which can
hardly reckon) a few questions, eight times each.

One sample is compared with the majority, with the best by a scorer that needs no labels (the share
of the equations in a text that hold), with the one most like the others, and, as the bound of every
choice, with the best by its label. A majority stops when it is decided: "samples" says how many
were asked for. Tokens are read and written ones. What more samples buy is given in tokens for each
point of accuracy; a dash where it is not sure that they buy any.

The model is also asked to revise its greedy reply, one version after the other: while an equation
in it does not hold, which one it is told, and, as a model that has no such critic would be, to look
for a mistake whatever it wrote. "of 4" is at most three revisions. Solutions that are there already
cannot be revised.
"""

from __future__ import annotations

import ast
import operator
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import numpy as np

from benchmarks.compare import mean_row
from benchmarks.data import (
    Row,
    argument_parser,
    data_folder,
    print_table,
    read_jsonl,
    write_rows,
)
from ctxeng import open_model
from ctxeng.errors import ConfigError
from ctxeng.generation.cached import Cached
from ctxeng.generation.decoding import (
    Scaled,
    best_of_n,
    last_number,
    most_agreed,
    revise,
    self_consistency,
    tokens_per_point,
)
from ctxeng.generation.reply import collect
from ctxeng.protocols import Delta, Generator
from ctxeng.text.tokens import PackagedTokenCounter
from ctxeng.types import DEFAULT_OPTIONS, GenerationOptions, Message, Reply, Usage

QUESTIONS, QUICK_QUESTIONS = 30, 2
"""That the model is asked."""
QUICK_SOLUTIONS = 40
SAMPLES = 8
TOGETHER = 4
MAX_TOKENS = 160
PROMPT = 'Solve the problem step by step. End with "The answer is" and the number.\n\n{}'
ONE = "one sample"
CHECK = "Look for a mistake in your solution, and correct it."
REVISIONS = (2, 4)
"""Versions of a reply: each is asked for with all those before it, so eight would be dear."""

OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_EQUATION = re.compile(r"([\d.,$+*/x×÷()\s-]*\d[\d.,$+*/x×÷()\s-]*)=\s*\$?(-?\d[\d,]*(?:\.\d+)?)")

Method = Callable[["Puzzle", int], Awaitable[Scaled]]


@dataclass(frozen=True)
class Puzzle:
    """A question to a generator, and the number that answers it."""

    generator: Generator
    question: str
    gold: str
    options: GenerationOptions

    @property
    def messages(self) -> list[Message]:
        return [Message(role="user", content=self.question)]

    def right(self, reply: Reply) -> bool:
        return last_number(reply.text) == self.gold


class HandedOut:
    """Gives texts that are there already, one for each seed; fits ``Generator``."""

    def __init__(self, texts: Sequence[str], *, price: float = 0.0) -> None:
        """``price``: of a token, read or written."""
        self.name = "handed out"
        self.counter = PackagedTokenCounter()
        self.asked = 0
        self._texts = texts
        self._price = price
        self._tokens: dict[str, int] = {}

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Delta]:
        self.asked += 1
        text = self._texts[options.seed or 0]
        read, written = self._count(messages[-1].text), self._count(text)
        cost = (read + written) * self._price
        yield Delta(text=text)
        yield Delta(
            usage=Usage(prompt_tokens=read, completion_tokens=written, cost=cost), stop="stop"
        )

    def _count(self, text: str) -> int:
        if text not in self._tokens:
            self._tokens[text] = self.counter.count(text)
        return self._tokens[text]


class Kept(dict[str, str]):
    """Replies, so that N = 1, 2, 4 choose among the samples that N = 8 made."""

    def get_reply(self, key: str) -> str | None:
        return self.get(key)

    def put_reply(self, key: str, payload: str) -> None:
        self[key] = payload


METHODS: Mapping[str, Method] = {
    "majority": lambda p, n: self_consistency(
        p.generator, p.messages, p.options, n=n, normalise=last_number
    ),
    "majority, never stopping early": lambda p, n: self_consistency(
        p.generator, p.messages, p.options, n=n, normalise=last_number, together=n
    ),
    "best by its equations": lambda p, n: best_of_n(
        p.generator, p.messages, p.options, n=n, score=lambda reply: equations(reply.text)
    ),
    "most like the others": lambda p, n: most_agreed(p.generator, p.messages, p.options, n=n),
    "best by its label (bound)": lambda p, n: best_of_n(
        p.generator, p.messages, p.options, n=n, score=lambda reply: float(p.right(reply))
    ),
}
REVISING: Mapping[str, Method] = {
    "revised while its equations are wrong": lambda p, n: revise(
        p.generator, p.messages, p.options, critique=wrong_equations, rounds=n - 1
    ),
    "revised, told to look for a mistake": lambda p, n: revise(
        p.generator, p.messages, p.options, critique=lambda _: CHECK, rounds=n - 1
    ),
}
"""Of a model that can be asked again."""


async def greedy(puzzle: Puzzle, count: int) -> Scaled:
    """One reply, which is not sampled."""
    reply = await collect(
        puzzle.generator.stream(puzzle.messages, puzzle.options),
        puzzle.options,
        model=puzzle.generator.name,
    )
    return Scaled(reply, (reply,), reply.usage, 1.0)


async def vote(
    name: str,
    puzzles: Sequence[Sequence[Puzzle]],
    counts: Sequence[int],
    *,
    by_a_model: bool = False,
) -> list[Row]:
    """Rows for each method and each number of samples.

    Args:
        puzzles: for each question what is asked; several where its samples come in several orders.
        by_a_model: that can also reply greedily.
    """
    base = await _outcomes(METHODS["majority"], puzzles, 1)
    rows = list(_rows(ONE, name, base, base))
    if by_a_model:
        rows += _rows("one reply, greedy", name, await _outcomes(greedy, puzzles, 1), base)
    asked = [(method, count) for method in METHODS for count in counts]
    asked += [(method, count) for method in REVISING for count in REVISIONS if by_a_model]
    for method, count in asked:
        found = await _outcomes({**METHODS, **REVISING}[method], puzzles, count)
        rows += _rows(f"{method} of {count}", name, found, base)
    return rows


@dataclass(frozen=True)
class Outcome:
    """Of one puzzle."""

    right: bool
    tokens: int
    samples: int


async def _outcomes(
    ask: Method, puzzles: Sequence[Sequence[Puzzle]], count: int
) -> list[list[Outcome]]:
    found = []
    for orders in puzzles:
        chosen = [(puzzle, await ask(puzzle, count)) for puzzle in orders]
        found.append([Outcome(p.right(s.reply), s.tokens, len(s.candidates)) for p, s in chosen])
    return found


def _rows(
    system: str, name: str, found: list[list[Outcome]], base: list[list[Outcome]]
) -> Iterator[Row]:
    right, before = (np.array([[o.right for o in q] for q in each]) for each in (found, base))
    tokens, first = (np.array([[o.tokens for o in q] for q in each]) for each in (found, base))
    yield mean_row(system, name, "accuracy", right.mean(axis=1))
    gained = mean_row(system, name, "Δaccuracy", right.mean(axis=1) - before.mean(axis=1))
    if system != ONE:
        yield gained
        samples = np.array([[o.samples for o in q] for q in found])
        yield mean_row(system, name, "samples", samples.mean(axis=1))
    yield mean_row(system, name, "tokens", tokens.mean(axis=1))
    if gained["low"] > 0:
        price = tokens_per_point(
            before.ravel().tolist(), float(first.sum()), right.ravel().tolist(), float(tokens.sum())
        )
        yield Row(
            system=system,
            set=name,
            metric="tokens for a point",
            value=price,
            low=price,
            high=price,
        )


def solutions(folder: Path, limit: int | None = None) -> list[list[Puzzle]]:
    """For each question four orders of its solutions."""
    puzzles = []
    for row in list(read_jsonl(folder, "questions"))[:limit]:
        texts = [candidate["text"] for candidate in row["candidates"]]
        gold = last_number(row["solution"])
        puzzles.append(
            [
                Puzzle(HandedOut(texts[k:] + texts[:k]), row["question"], gold, DEFAULT_OPTIONS)
                for k in range(len(texts))
            ]
        )
    return puzzles


async def ask_model(folder: Path, generator: Generator, count: int) -> list[list[Puzzle]]:
    """Puzzles whose samples have been made."""
    asked = random.Random(3).sample(list(read_jsonl(folder, "questions")), count)
    puzzles = []
    for row in asked:
        options = GenerationOptions(max_tokens=MAX_TOKENS)
        kept = Cached(generator, Kept())
        puzzle = Puzzle(kept, PROMPT.format(row["question"]), row["answer"], options)
        await best_of_n(
            kept, puzzle.messages, options, n=SAMPLES, score=lambda _: 0.0, together=TOGETHER
        )
        puzzles.append([puzzle])
    return puzzles


def equations(text: str) -> float:
    """The share of the equations in a text that hold, to 1 %; 0 where there is none."""
    held = [_holds(*sides) for _, *sides in _sides(text)]
    return sum(held) / len(held) if held else 0.0


def wrong_equations(reply: Reply) -> str:
    """What is wrong with a reply, as far as its equations tell; empty: nothing."""
    wrong = [
        f"{written} is wrong: it is {round(left, 2):g}."
        for written, left, right in _sides(reply.text)
        if not _holds(left, right)
    ]
    return " ".join(dict.fromkeys(wrong))


def _holds(left: float, right: float) -> bool:
    return abs(left - right) <= 0.01 * max(1.0, abs(right))


def _sides(text: str) -> Iterator[tuple[str, float, float]]:
    """Each equation as it is written, the value of its left side, and its right one."""
    plain = re.sub(r"<<.*?>>", "", text)  # what a calculator wrote into a solution
    for found in _EQUATION.finditer(plain):
        term = re.sub(r"[$,\s]", "", found[1]).replace("÷", "/")
        value = _value(re.sub("[x×]", "*", term).strip("."))
        if value is not None:
            yield " ".join(found[0].split()).rstrip(","), value, float(found[2].replace(",", ""))


def _value(term: str) -> float | None:
    """Of a term with at least one operator; None: it is none."""
    if len(term) > 200:
        return None
    try:
        tree = ast.parse(term, mode="eval").body
        return _reckoned(tree) if isinstance(tree, ast.BinOp) else None
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError):
        return None


def _reckoned(node: ast.expr) -> float:
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](_reckoned(node.left), _reckoned(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_reckoned(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    raise ValueError(f"not a sum: {ast.dump(node)}")


async def measure(folder: Path, model: str, *, quick: bool) -> list[Row]:
    rows: list[Row] = []
    if (folder / "gsm8k_solutions").is_dir():
        puzzles = solutions(folder / "gsm8k_solutions", QUICK_SOLUTIONS if quick else None)
        rows += await vote(f"gsm8k_solutions, {len(puzzles)} questions", puzzles, (2, 3, 4))
    if model and (folder / "gsm8k").is_dir():
        generator = open_model(model).generator
        count = QUICK_QUESTIONS if quick else QUESTIONS
        puzzles = await ask_model(folder / "gsm8k", generator, count)
        name = f"gsm8k, {count} questions, {generator.name}"
        rows += await vote(name, puzzles, (2, 4, SAMPLES), by_a_model=True)
    return rows


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", metavar="NAME", default="local", help="asked gsm8k")
    arguments = parser.parse_args()
    try:
        open_model(arguments.model)
    except ConfigError as error:
        print(f"Without a model. {error}")
        arguments.model = ""
    folder = data_folder(arguments.data)
    rows = anyio.run(partial(measure, folder, arguments.model, quick=arguments.quick))
    print_table(rows)
    write_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
