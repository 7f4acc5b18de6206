"""What is left of a long history after it was made to fit, and what was thrown away unread?

    python -m benchmarks.peers install          # once
    python -m benchmarks.compaction [--data DIR] [--json FILE] [--quick]

100 facts of six kinds are planted in a history of an agent at work (``data_compaction``), most of
them in the middle of long results of tools. It is handed over at once, 40,000 tokens in a window of
40,000, as by an agent that goes on after a restart; and message by message in windows of 20,000 and
10,000, compacted before each reply where it must be. A fact is kept where its sentence stands in
what the model would see: verbatim in a message that stayed, or in notes (a summary). It is
retrievable where it is kept, or comes back by a public call: ``fetch`` of an id that stands in the
context or in a list that such an id leads to; a store of the peer. It was deleted unread where it
is in nothing that stayed and was never handed to what makes the notes: our distiller, their model.

The peers run at their defaults, in environments of their own, with the same two models: one is
perfect, it keeps every planted fact that it is handed, word for word, and nothing else, which no
model is; the other replies with the first 4,000 characters of what it is handed. We use none, and
beside that the perfect one. The sets with "fresh" in their name are ours alone on twelve histories
that nothing was looked at on while the rules were made.

``locomo``: each conversation in a window of a quarter of it. Of the numbers, names, dates … of the
turns that the questions rest on, the share that is still in what the model would see; beside it
what the newest turns alone hold, at the same size.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from benchmarks import peers
from benchmarks.data import Row, argument_parser, data_folder, print_table, read_jsonl, write_rows
from benchmarks.data_compaction import Dictionary, History, history
from ctxeng import acompact, compact
from ctxeng.context.compact import Compacted, MemoryArchive
from ctxeng.context.history import count
from ctxeng.memory import RuleDistiller
from ctxeng.memory.audit import atoms
from ctxeng.memory.distill import Note
from ctxeng.protocols import Delta, Generator
from ctxeng.text.tokens import PackagedTokenCounter
from ctxeng.types import DEFAULT_OPTIONS, GenerationOptions, Message, Usage

OURS = "ctxeng.compact"
TOKENS = 40_000
CASES = ((40_000, False), (20_000, True), (10_000, True))
"""Windows, and whether the history grows message by message."""
SEEDS = (1, 2, 3)
FRESH = tuple(range(21, 33))
"""Of histories that no variant of the rules was compared on."""
PEERS = ("langchain_compaction", "llamaindex_compaction", "haystack_compaction")
MODELS = ("perfect", "first")
COUNTER = PackagedTokenCounter()

_ID = re.compile(r"#([a-z]{6,})")


@dataclass
class Outcome:
    """What a system left: the texts that the model would see, all that was handed to what makes
    notes, and what comes back by a public call.
    """

    texts: Sequence[str]
    handed: Sequence[str]
    stored: Sequence[str]


@dataclass
class _Reading(RuleDistiller):
    """Remembers what it was handed."""

    handed: list[str] = field(default_factory=list)

    def distill(self, text: str) -> list[Note]:
        self.handed.append(text)
        return super().distill(text)


def ours(
    messages: Sequence[Dictionary], window: int, *, grows: bool, model: Generator | None = None
) -> Outcome:
    """By rules, or with notes of a model beside them."""
    archive, distiller = MemoryArchive(), _Reading()

    def shorter(chat: list[Dictionary]) -> Compacted[Dictionary]:
        if model is None:
            return compact(chat, window, archive=archive, distiller=distiller)
        asked = partial(acompact, chat, window, model=model, archive=archive, distiller=distiller)
        return anyio.run(asked)

    chat: list[Dictionary] = []
    for message in messages:
        if grows and message["role"] == "assistant":
            chat = shorter(chat).messages
        chat.append(message)
    made = shorter(chat)
    texts = [message["content"] or "" for message in made.messages]
    return Outcome(texts, distiller.handed, reachable(made, texts))


class Recorded:
    """The perfect model of the peers, which answers our prompt in its form; fits ``Generator``."""

    name = "recorded"
    counter = COUNTER

    def __init__(self, facts: Sequence[str]) -> None:
        self._facts = facts

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Delta]:
        lines, name = [], ""
        for line in messages[-1].text.split("\n"):
            name = head[1] if (head := re.match(r"<\w+ #(\w+) ", line)) else name
            lines += [f"#{name} {fact}" for fact in self._facts if fact in line]
        yield Delta(text="\n".join(lines))
        yield Delta(usage=Usage(), stop="stop")


def reachable(made: Compacted[Any], texts: Sequence[str]) -> list[str]:
    """The full texts that the ids in some texts lead to, straight or over lists."""
    found: dict[str, str] = {}
    waiting = set(_ID.findall("\n".join(texts)))
    while waiting:
        name = waiting.pop()
        if name in found or made.archive.get(name) is None:
            continue
        found[name] = made.fetch(name)
        if found[name].startswith("#"):
            waiting |= set(_ID.findall(found[name]))
    return list(found.values())


def measure(
    made: History, window: int, *, grows: bool, others: Sequence[str] = PEERS
) -> dict[str, dict[str, float]]:
    """By system the figures of one history in one window."""
    perfect = Recorded([fact.sentence for fact in made.facts])
    outcomes = {
        OURS: ours(made.messages, window, grows=grows),
        f"{OURS}, perfect model": ours(made.messages, window, grows=grows, model=perfect),
    }
    for peer in filter(peers.is_installed, others):
        for model in MODELS:
            task = {
                "messages": made.messages,
                "window": window,
                "grows": grows,
                "facts": [fact.sentence for fact in made.facts],
                "model": model,
            }
            for system, found in peers.compacted(peer, task).items():
                name = f"{system}, {model} model" if found["handed"] else system
                outcomes[name] = Outcome(found["texts"], found["handed"], found["stored"])
    return {system: figures(made, outcome) for system, outcome in outcomes.items()}


def figures(made: History, outcome: Outcome) -> dict[str, float]:
    before = {message["content"] for message in made.messages}
    stayed = "\n".join(text for text in outcome.texts if text in before)
    whole = "\n".join(outcome.texts)
    handed, stored = "\n".join(outcome.handed), "\n".join(outcome.stored)
    facts = [fact.sentence for fact in made.facts]
    verbatim = sum(fact in stayed for fact in facts)
    kept = sum(fact in whole for fact in facts)
    retrievable = sum(fact in whole or fact in stored for fact in facts)
    return {
        "kept": kept,
        "verbatim": verbatim,
        "in notes": kept - verbatim,
        "retrievable": retrievable,
        "lost": len(facts) - retrievable,
        "deleted unread": sum(fact not in whole and fact not in handed for fact in facts),
        "tokens": count(COUNTER, whole),
    }


def planted(
    seeds: Sequence[int], *, others: Sequence[str] = PEERS, named: str = ""
) -> Iterator[Row]:
    """Means over the histories, lowest and highest beside them."""
    histories = [history(COUNTER, tokens=TOKENS, seed=seed) for seed in seeds]
    for window, grows in CASES:
        name = f"window {window:,}, {'message by message' if grows else 'at once'}{named}"
        runs = [measure(made, window, grows=grows, others=others) for made in histories]
        for system in runs[0]:
            mine = [run[system] for run in runs if system in run]
            for metric in mine[0]:
                values = [one[metric] for one in mine]
                yield Row(
                    system=system,
                    set=name,
                    metric=metric,
                    value=sum(values) / len(values),
                    low=min(values),
                    high=max(values),
                )


def locomo(folder: Path, *, limit: int | None = None) -> Iterator[Row]:
    """What is left of the turns that the questions rest on."""
    said: dict[str, list[Mapping[str, Any]]] = {}
    for row in read_jsonl(folder, "turns"):
        said.setdefault(row["conversation"], []).append(row)
    wanted: dict[str, set[str]] = {}
    for row in read_jsonl(folder, "questions"):
        wanted.setdefault(row["conversation"], set()).update(row["evidence"])
    left: dict[str, list[int]] = {}
    for name in list(said)[:limit]:
        turns = said[name]
        speaker = turns[0]["speaker"]
        texts = [f"{turn['speaker']} ({turn['time']}): {turn['text']}" for turn in turns]
        chat: list[Dictionary] = [
            {"role": "user" if turn["speaker"] == speaker else "assistant", "content": text}
            for turn, text in zip(turns, texts, strict=True)
        ]
        window = sum(COUNTER.count(text) + 4 for text in texts) // 4
        evidence = atoms("\n".join(t["text"] for t in turns if t["id"] in wanted.get(name, ())))
        made = compact(chat, window)
        seen = {
            OURS: "\n".join(message["content"] for message in made.messages),
            "newest turns, same size": _newest(texts, made.report.tokens_after),
        }
        for system, text in seen.items():
            counts = left.setdefault(system, [0, 0])
            counts[0] += len(evidence & atoms(text))
            counts[1] += len(evidence)
        counts = left.setdefault(f"{OURS}, and fetch", [0, 0])
        everything = [seen[OURS], *reachable(made, [seen[OURS]])]
        counts[0] += len(evidence & atoms("\n".join(everything)))
        counts[1] += len(evidence)
    for system, (kept, of) in left.items():
        share = kept / of
        metric = "share of the evidence's atoms"
        yield Row(system=system, set="locomo", metric=metric, value=share, low=share, high=share)


def _newest(texts: Sequence[str], tokens: int) -> str:
    kept: list[str] = []
    for text in reversed(texts):
        tokens -= COUNTER.count(text) + 4
        if tokens < 0:
            break
        kept.insert(0, text)
    return "\n".join(kept)


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    missing = [peer for peer in PEERS if not peers.is_installed(peer)]
    if missing:
        print(f"Without {', '.join(missing)}: `python -m benchmarks.peers install` gets them.")
    rows = list(planted(SEEDS[:1] if arguments.quick else SEEDS))
    rows += planted(FRESH[: 1 if arguments.quick else None], others=(), named=", fresh histories")
    folder = data_folder(arguments.data) / "locomo"
    if folder.is_dir():
        rows += locomo(folder, limit=1 if arguments.quick else None)
    print_table(rows)
    write_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
