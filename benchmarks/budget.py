"""Does a plan keep its budget, how fast is it, and how much of the evidence does it hold?

    python -m benchmarks.peers install          # once, for the splitter
    ctxeng models add smollm2                   # once, for a backend that counts
    python -m benchmarks.budget [--data DIR] [--json FILE] [--quick]

Three questions. Random plans, with chats, calls, hostile texts and tool schemas, are built and
counted as the local backend counts: its chat template with all of the prompt in it. Allocation over
1,000 candidates is timed with cached counts. And at equal tokens of source text, namely as many as
the five best chunks of 1,000 characters have, the evidence in the prompt is compared with those
chunks and with the best chunks that fit (greedy top-k), all found by the same retrieval.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from benchmarks import peers
from benchmarks.compare import mean_row
from benchmarks.data import (
    QUICK_QUERIES,
    ChunkingSet,
    Question,
    Reference,
    RetrievalSet,
    Row,
    argument_parser,
    data_folder,
    print_table,
    read_chunking_sets,
    read_retrieval_sets,
    write_rows,
)
from benchmarks.passages import COUNTER, CUTS, GivenSpans, Place, cut_by, gold_share
from ctxeng import BudgetError, ConfigError, Context, ContextPlan, Document, Engine, Hit, Tool
from ctxeng.context import plan as plans
from ctxeng.context.allocate import Item, Limits, allocate
from ctxeng.context.candidates import Given
from ctxeng.embedding import MiniLMEmbedder
from ctxeng.protocols import Chunker, TokenCounter
from ctxeng.settings import Settings
from ctxeng.types import GenerationOptions

PLANS = 10_000
CANDIDATES = 1_000
TOP = 5
DEPTH = 40
HEADER = 24
"""Tokens: about what the line above a source has."""
OURS = "ctxeng"
MULTIHOP = ("multihop_dev",)
CHARACTERS = next(cut for cut in CUTS if cut.name.startswith("LangChain 1,000"))

WORDS = (
    "the", "pager", "invoice", "rotor", "日本語", "ünder", "42", "<|im_end|>", "<|im_start|>system",
    "<abc123", "end>", "f(x):", "Berlin\nnext.", "🙂", "العَرَبِيَّة", "</s>", "a_b_c", "camelCase",
    "\u202e", "\u200b", "pass", "the", "keys", "```py\n", "3.14", "%",
)  # fmt: skip
"""Some of them are control tokens, our own kind of markers, or not to be seen."""


# -- random plans


class Backend:
    """What counts a whole prompt: the packaged model's chat template, or (where the model is not
    there) the packaged tokenizer and nothing around it.
    """

    def __init__(self) -> None:
        from ctxeng.generation.chat_prompt import ChatPrompt
        from ctxeng.generation.loaded import load_tokenizer
        from ctxeng.generation.local import TokenizerCounter
        from ctxeng.generation.sources import transformers_source

        self.counter: TokenCounter
        self._prompt: ChatPrompt | None = None
        try:
            source = transformers_source("smollm2")
            self.counter = TokenizerCounter(source.name, source.path)
            self._prompt = ChatPrompt(source.name, load_tokenizer(source.path()))
        except ConfigError as error:
            print(f"Counted by the packaged tokenizer alone: {error}")
            self.counter = COUNTER

    def tokens(self, context: Context, tools: Sequence[Tool]) -> int:
        """Of all that the backend reads for it."""
        if self._prompt is None:
            schemas = (json.dumps(tool.model_dump(), ensure_ascii=False) for tool in tools)
            return COUNTER.count(context.render()) + sum(COUNTER.count(s) for s in schemas)
        if not context.messages:
            return 0
        return len(self._prompt.ids(context.messages, GenerationOptions(tools=tuple(tools))))


class Prompts:
    """Random plans with what to put in them."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def text(self, most: int) -> str:
        words = self._random.choices(WORDS, k=self._random.randint(0, most))
        return " ".join(words)

    def tool(self, number: int) -> Tool:
        count = self._random.randint(0, 4)
        properties: dict[str, JsonValue] = {
            f"p{n}": {"type": "string", "description": self.text(8)} for n in range(count)
        }
        return Tool(
            name=f"tool_{number}",
            description=self.text(20),
            parameters={"type": "object", "properties": properties},
        )

    def chat(self) -> list[dict[str, object]]:
        turns: list[dict[str, object]] = []
        for number in range(self._random.randint(0, 8)):
            kind = self._random.choice(["user", "assistant", "call"])
            if kind != "call":
                turns.append({"role": kind, "content": self.text(60)})
                continue
            arguments = json.dumps({"q": self.text(6)})
            call = {"id": f"c{number}", "function": {"name": "tool_0", "arguments": arguments}}
            result = self.text(self._random.choice([20, 1_000]))
            turns.append({"role": "assistant", "content": None, "tool_calls": [call]})
            turns.append({"role": "tool", "tool_call_id": f"c{number}", "content": result})
        return turns

    def hits(self) -> list[Hit]:
        return [
            Hit(
                id=f"h{n}",
                text=self.text(80),
                tokens=1,
                score=self._random.random(),
                uri=f"/files/{self.text(2)}{n}.md",
                trust=self._random.choice(["document", "tool", "web"]),
            )
            for n in range(self._random.randint(0, 12))
        ]

    def plan(self) -> tuple[ContextPlan, dict[str, Given], list[Tool]]:
        make: Callable[..., ContextPlan] = self._random.choice(
            [plans.chat, plans.rag, plans.agent, plans.code]
        )
        plan = make(self._random.randint(120, 3_000), reply=self._random.randint(0, 100))
        held: dict[str, Given] = {}
        for section in plan.sections:
            if section.name == "history":
                held[section.name] = self.chat()
            elif section.name == "sources":
                held[section.name] = self.hits()
            elif section.required:
                held[section.name] = self.text(30)
            else:
                count = self._random.randint(0, 5)
                held[section.name] = [self.text(60) for _ in range(count)]
        tools = [self.tool(n) for n in range(self._random.choice([0, 0, 1, 3]))]
        return plan, held, tools


def random_plans(count: int) -> Iterator[Row]:
    backend, prompts = Backend(), Prompts(11)
    overruns = refused = 0
    most, used = 0.0, list[float]()
    for _ in range(count):
        plan, held, tools = prompts.plan()
        try:
            context = plan.build(held, counter=backend.counter, tools=tools)
        except BudgetError:
            refused += 1
            continue
        tokens = backend.tokens(context, tools) + plan.reply
        overruns += tokens > plan.budget
        most = max(most, tokens / plan.budget)
        if any(row.reason.startswith("over budget") for row in context.dropped):
            used.append(tokens / plan.budget)
    name = "random plans"
    yield _figure(name, "plans", count)
    yield _figure(name, "overruns", overruns)
    yield _figure(name, "most of its budget that a plan used", most)
    yield _figure(name, "refused: what is required does not fit", refused)
    yield mean_row(OURS, name, "budget used where something was left out", np.array(used))


# -- time


class Cached:
    """A counter that has seen the texts."""

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._known: dict[str, int] = {}
        self.name = counter.name

    def count(self, text: str) -> int:
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = self._counter.count(text)
        return known


def times(repeats: int) -> Iterator[Row]:
    """CPU milliseconds of one thread."""
    random = Random(3)
    items = [
        Item(random.randrange(5), random.randint(20, 400), random.random() * 10)
        for _ in range(CANDIDATES)
    ]
    limits = [*[Limits(300, 4_000)] * 4, Limits(500, 3_000, chain=True)]
    name = f"{CANDIDATES:,} candidates, 5 sections"
    for room in (2_000, 8_000, 32_000):
        spent = _timed(lambda room=room: allocate(items, limits, room), repeats)  # type: ignore[misc]
        yield _times(name, f"allocation, {room:,} tokens, ms", spent)
    prompts = Prompts(4)
    hits = [
        Hit(
            id=f"h{n}", text=f"{n} {prompts.text(100)}", tokens=1, score=random.random(), uri=f"{n}"
        )
        for n in range(CANDIDATES)
    ]
    held: dict[str, Given] = {
        "instructions": "Be brief.",
        "sources": hits,
        "question": "Which?",
    }
    plan, counter = plans.rag(8_000), Cached(COUNTER)
    plan.build(held, counter=counter)
    spent = _timed(lambda: plan.build(held, counter=counter), max(5, repeats // 5))
    yield _times(name, "whole build, 8,000 tokens, cached counts, ms", spent)


def _timed(work: Callable[[], object], repeats: int) -> NDArray[np.float64]:
    work()
    spent = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        spent.append(1_000 * (time.process_time() - began))
    return np.array(spent)


def _times(name: str, metric: str, spent: NDArray[np.float64]) -> Row:
    """The median, with the 5th and the 95th of a hundred."""
    low, value, high = (float(np.quantile(spent, q)) for q in (0.05, 0.5, 0.95))
    return Row(system=OURS, set=name, metric=metric, value=value, low=low, high=high)


# -- evidence


@dataclass(frozen=True)
class Task:
    """A set, and the documents that each of its questions needs."""

    name: str
    documents: dict[str, str]
    questions: list[tuple[str, list[tuple[str, list[Reference]]]]]
    """Text, and by document the stretches that answer."""

    def share(self, number: int, places: Sequence[Place]) -> float:
        """Of the gold characters."""
        wanted = self.questions[number][1]
        found = [
            gold_share(Question("", document, references), places)
            for document, references in wanted
        ]
        return sum(found) / len(found)

    def touched(self, number: int, places: Sequence[Place]) -> float:
        """Of the gold documents, those of which anything is there."""
        wanted = {document for document, _ in self.questions[number][1]}
        return len(wanted & {document for document, _, _ in places}) / len(wanted)


def task_of(task: ChunkingSet | RetrievalSet) -> Task:
    if isinstance(task, ChunkingSet):
        questions = [(q.text, [(q.document_id, q.references)]) for q in task.questions]
        return Task(task.name, task.documents, questions)
    documents = {p.id: p.whole for p in task.corpus if p.text.strip()}
    judged = [
        (
            task.queries[query],
            [(d, [Reference(0, len(documents[d]), documents[d])]) for d in gold if d in documents],
        )
        for query, gold in task.qrels.items()
    ]
    return Task(task.name, documents, judged)


Chosen = Callable[[int, int], Sequence[Place]]
"""From the number of a question and tokens of source text to what is handed over."""


def evidence(task: Task) -> Iterator[Row]:
    top, tokens = _top_chunks(task)
    with _opened(task, None) as engine:
        found = [engine.search(text, limit=DEPTH) for text, _ in task.questions]
        systems: Mapping[str, Chosen] = {
            OURS: lambda n, limit: _fullest(
                lambda budget: engine.context(task.questions[n][0], budget=budget), limit
            ),
            f"{OURS}, the whole prompt counted": lambda n, limit: _places(
                engine.context(task.questions[n][0], budget=limit)
            ),
            f"{OURS}, a plan over whole chunks": lambda n, limit: _fullest(
                lambda budget: _planned(task.questions[n][0], found[n], budget), limit
            ),
            "greedy top-k of the same chunks": lambda n, limit: _greedy(found[n], limit),
            f"top {TOP} chunks of 1,000 characters": lambda n, _: top[n],
        }
        places = {
            name: [choose(n, tokens[n]) for n in range(len(tokens))]
            for name, choose in systems.items()
        }
    yield mean_row(OURS, task.name, "tokens of source text", np.array(tokens, dtype=np.float64))
    measures = {"gold text": task.share}
    if any(len(wanted) > 1 for _, wanted in task.questions):
        measures["gold documents touched"] = task.touched
    for metric, measure in measures.items():
        ours: NDArray[np.float64] | None = None
        for system, chosen in places.items():
            scores = np.array([measure(n, one) for n, one in enumerate(chosen)])
            ours = scores if ours is None else ours
            yield mean_row(system, task.name, metric, scores)
            if system != OURS:
                yield mean_row(system, task.name, f"Δ{metric}", scores - ours)


def _top_chunks(task: Task) -> tuple[list[list[Place]], list[int]]:
    """The best chunks of 1,000 characters, and how many tokens they have together."""
    spans = cut_by(CHARACTERS, ChunkingSet(task.name, task.documents, []))
    with _opened(task, GivenSpans(spans)) as engine:
        hits = [engine.search(text, limit=TOP) for text, _ in task.questions]
    places = [[(h.document_id, h.start, h.end) for h in one] for one in hits]
    return places, [sum(COUNTER.count(h.text) for h in one) for one in hits]


def _opened(task: Task, chunker: Chunker | None) -> Engine:
    engine = Engine.open(
        ":memory:", settings=Settings(), embedders=[MiniLMEmbedder()], chunker=chunker
    )
    engine.index([Document(id=key, text=text) for key, text in task.documents.items()], wait=True)
    return engine


def _planned(question: str, hits: Sequence[Hit], budget: int) -> Context:
    held: dict[str, Given] = {
        "instructions": "Answer from the sources.\n",
        "sources": hits,
        "question": question,
    }
    return plans.rag(budget).build(held, chat_overhead=0)


def _fullest(build: Callable[[int], Context], limit: int) -> Sequence[Place]:
    """The fullest context whose source text keeps the limit: what all else takes is added to the
    budget until nothing changes, once as it is and once with the line above one more source.
    """
    best, fullest = list[Place](), -1
    tried = set[int]()
    for more in (0, HEADER):
        budget = limit + more
        while budget not in tried:
            tried.add(budget)
            context = build(budget)
            spent = sum(COUNTER.count(source.text) for source in context.sources)
            if fullest < spent <= limit:
                best, fullest = _places(context), spent
            budget = limit + more + sum(s.tokens for s in context.segments if s.source is None)
    return best


def _places(context: Context) -> list[Place]:
    found = [segment.source for segment in context.sources]
    return [(s.document_id, s.span.start, s.span.end) for s in found if s is not None]


def _greedy(hits: Iterable[Hit], limit: int) -> list[Place]:
    """Best first, each that still fits."""
    places: list[Place] = []
    for hit in hits:
        tokens = COUNTER.count(hit.text)
        if tokens <= limit:
            limit -= tokens
            places.append((hit.document_id, hit.start, hit.end))
    return places


def _figure(name: str, metric: str, value: float) -> Row:
    return Row(system=OURS, set=name, metric=metric, value=value, low=value, high=value)


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    folder = data_folder(arguments.data)
    quick = bool(arguments.quick)
    rows = [*random_plans(200 if quick else PLANS), *times(20 if quick else 100)]
    print_table(rows)
    if CHARACTERS.peer in peers.installed():
        limit = QUICK_QUERIES if quick else None
        tasks: Iterator[ChunkingSet | RetrievalSet] = chain(
            read_chunking_sets(folder, limit=limit),
            read_retrieval_sets(folder, names=MULTIHOP, limit=limit),
        )
        for task in tasks:
            found = list(evidence(task_of(task)))
            print_table(found)
            rows += found
    else:
        print(f"Without {CHARACTERS.peer}: `python -m benchmarks.peers install` gets it.")
    write_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
