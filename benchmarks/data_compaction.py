"""A long history of an agent at work, with facts planted in it; made from a seed.

An engineer and an assistant with tools run a small company's systems: logs, files, tables, pages,
tests that fail and pass. Most of the facts stand in the middle of long tool results.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from ctxeng.protocols import TokenCounter

Dictionary = dict[str, Any]

FACTS = 100
KINDS = ("number", "name", "date", "identifier", "decision", "path")
PLACES = ("page", "log", "table", "file", "user", "assistant")


@dataclass(frozen=True)
class Fact:
    """One sentence, which is kept where its subject and its key stand in one line."""

    kind: str
    place: str
    """What it was planted in."""
    subject: str
    key: str
    sentence: str


@dataclass(frozen=True)
class History:
    messages: list[Dictionary]
    facts: list[Fact]


_THINGS = """archive balancer billing broker cache catalogue checkout cluster collector connector
console crawler dashboard dispatcher exporter feed firewall forwarder frontend gateway harvester
importer indexer inventory ledger mailer mirror monitor notifier pipeline portal proxy publisher
queue ranker recorder registry relay renderer replica reporter resolver router sampler scheduler
scraper sensor shipper spooler storefront tracker translator uploader validator vault warehouse
watcher webhook worker""".split()  # noqa: SIM905
_PLACES = """Aarhus Basel Cork Delft Evora Faro Ghent Haifa Imola Jena Kyoto Lille Malmo Narvik Oulu
Parma Quito Riga Siena Turku Utrecht Varna Wismar Xanten York Zadar""".split()  # noqa: SIM905
_FIRST = """Ada Bjorn Chiara Dmitri Elif Farid Greta Hamid Ines Joaquin Katarzyna Luca Mei Noor
Oskar Priya Quentin Rosa Sven Tariq Ulla Viktor Wanjiru Xenia Yusuf Zofia""".split()  # noqa: SIM905
_LAST = """Abelard Brandvold Castellanos Dunajski Eriksen Fontaine Grigoryan Halvorsen Ibarra
Jurkovic Kowalczyk Lindqvist Marchetti Nakagawa Okonkwo Petrosyan Quintero Rasmussen Sorensen
Takahashi Urquhart Vandermeer Wieczorek Yilmaz Zimmermann""".split()  # noqa: SIM905
_VERBS = """checks collects compares compresses copies counts delivers drains filters flushes groups
joins loads merges moves parses polls prints pulls pushes reads rebuilds replays retries rotates
samples scans sends shards sorts splits stores streams trims validates verifies writes""".split()  # noqa: SIM905
_NOUNS = """alerts batches blocks buffers certificates columns commits cookies credentials events
fields headers images invoices items keys labels leases lines messages metrics objects orders
packets pages partitions payments prices queries records requests rows rules segments sessions
signals snapshots tables tasks tickets tokens topics traces tuples users values views""".split()  # noqa: SIM905
_ADVERBS = """again always carefully daily early eagerly hourly lazily nightly often quickly rarely
safely seldom slowly twice usually weekly""".split()  # noqa: SIM905
_REASONS = """before the caches are warm|after the nightly run|when a customer asks for it|while the
old cluster drains|if the primary does not answer|so that nobody waits for it|as the runbook says|
because the upstream feed is late|without touching the other tenants|until the queue is empty|in the
same way as its neighbour|unless the operator stops it""".replace("\n", " ").split("|")


def history(counter: TokenCounter, *, tokens: int = 40_000, seed: int = 7) -> History:
    """Messages of so many tokens, or of as many more as the facts need, spread evenly over them."""
    draw = random.Random(seed)
    facts = _facts(draw)
    waiting = list(facts)
    messages: list[Dictionary] = [
        {
            "role": "system",
            "content": "You are the operations assistant of a small company. Use the tools.",
        }
    ]
    size, number = 0, 0
    while size < tokens:
        due = max(0, round(len(facts) * (1 - size / (0.85 * tokens))))
        round_ = list(_round(draw, number, waiting, len(waiting) - max(0, due - 4)))
        messages += round_
        size += sum(counter.count(json.dumps(message)) for message in round_)
        number += 1
    while waiting:
        messages += list(_round(draw, number, waiting, len(waiting)))
        number += 1
    messages.append({"role": "user", "content": "Thanks. What should we do next?"})
    return History(messages, facts)


def _facts(draw: random.Random) -> list[Fact]:
    """One of each kind in turn; three of five go into the middle of long results of tools."""
    places = ["page", "log", "table", "file", "page", "log", "table", "file", "user", "assistant"]
    subjects = [f"{a} {b}" for a in _PLACES for b in _THINGS]
    draw.shuffle(subjects)
    made = []
    for number in range(FACTS):
        kind, subject = KINDS[number % len(KINDS)], subjects[number]
        place = places[number * 7 % len(places)]
        key, sentence = _SENTENCES[kind](draw, subject)
        made.append(Fact(kind, place, subject, key, sentence))
    draw.shuffle(made)
    return made


def _number(draw: random.Random, subject: str) -> tuple[str, str]:
    key = f"{draw.randint(1_100, 98_000):,}"
    form = draw.choice(
        [
            "The {s} costs us {k} euros a month.",
            "Support counted {k} open tickets about the {s}.",
            "The {s} gives up after {k} attempts.",
            "At peak the {s} takes {k} requests a second.",
        ]
    )
    return key, form.format(s=subject, k=key)


def _name(draw: random.Random, subject: str) -> tuple[str, str]:
    key = f"{draw.choice(_FIRST)} {draw.choice(_LAST)}"
    form = draw.choice(
        [
            "The {s} is looked after by {k}.",
            "Only {k} may restart the {s}.",
            "Ask {k} about the {s}.",
            "{k} wrote the {s} and still knows it best.",
        ]
    )
    return key, form.format(s=subject, k=key)


def _date(draw: random.Random, subject: str) -> tuple[str, str]:
    day = date(2027, 1, 1) + timedelta(days=draw.randint(0, 700))
    key = draw.choice(
        [day.isoformat(), f"{day.day} {day:%B %Y}", f"{day:%B} {day.day}, {day.year}"]
    )
    form = draw.choice(
        [
            "The certificate of the {s} runs out on {k}.",
            "The contract for the {s} ends on {k}.",
            "The {s} was last restored from a backup on {k}.",
            "The {s} moves to the new site on {k}.",
        ]
    )
    return key, form.format(s=subject, k=key)


def _identifier(draw: random.Random, subject: str) -> tuple[str, str]:
    key = draw.choice(
        [
            f"INC-{draw.randint(10_000, 99_999)}",
            f"{draw.getrandbits(40):010x}",
            f"{draw.choice(_THINGS)}_{draw.choice(_NOUNS)}_v{draw.randint(2, 99)}",
            f"v{draw.randint(2, 30)}.{draw.randint(0, 40)}.{draw.randint(0, 99)}",
        ]
    )
    form = draw.choice(
        [
            "The {s} runs {k}.",
            "The outage of the {s} is filed as {k}.",
            "The {s} reads its flags from {k}.",
            "The last good build of the {s} is {k}.",
        ]
    )
    return key, form.format(s=subject, k=key)


def _decision(draw: random.Random, subject: str) -> tuple[str, str]:
    key = f"{draw.choice(_VERBS)} {draw.choice(_NOUNS)} {draw.choice(_ADVERBS)}"
    form = draw.choice(
        [
            "We decided that the {s} {k} from now on.",
            "Agreed with the team: the {s} {k}.",
            "Constraint from legal: the {s} must be one that {k}.",
            "Still to do: prove that the {s} {k}.",
        ]
    )
    return key, form.format(s=subject, k=key)


def _path(draw: random.Random, subject: str) -> tuple[str, str]:
    folder = draw.choice(["/etc/ops", "/srv/data", "deploy/live", "infra/modules", "~/runbooks"])
    ending = draw.choice(["yaml", "toml", "md", "sql", "py"])
    key = f"{folder}/{draw.choice(_THINGS)}/{draw.choice(_NOUNS)}_{draw.randint(2, 99)}.{ending}"
    form = draw.choice(
        [
            "The {s} is configured in {k}.",
            "The runbook of the {s} is {k}.",
            "The {s} leaves its dumps in {k}.",
        ]
    )
    return key, form.format(s=subject, k=key)


_SENTENCES: dict[str, Callable[[random.Random, str], tuple[str, str]]] = {
    "number": _number,
    "name": _name,
    "date": _date,
    "identifier": _identifier,
    "decision": _decision,
    "path": _path,
}


def _round(
    draw: random.Random, number: int, waiting: list[Fact], most: int
) -> Iterator[Dictionary]:
    """A question, calls of tools with their results, and a reply; up to so many facts in them."""
    took = 0

    def take(place: str) -> list[str]:
        nonlocal took
        found = next((fact for fact in waiting if fact.place == place), None)
        if found is None or took >= most:
            return []
        waiting.remove(found)
        took += 1
        return [found.sentence]

    thing = draw.choice(_THINGS)
    asks = [_sentence(draw, thing) for _ in range(draw.randint(1, 2))]
    asks += [f"Can you see why the {thing} is slow today?", *take("user")]
    yield {"role": "user", "content": " ".join(asks)}
    for step in range(draw.randint(1, 3)):
        tool = draw.choice(["page", "log", "table", "file"])
        if not any(fact.place == tool for fact in waiting):
            tool = next((fact.place for fact in waiting if fact.place in _TOOLS), tool)
        name, arguments, make = _TOOLS[tool]
        id_ = f"call_{number}_{step}"
        if draw.random() < 0.2:
            yield _call(f"{id_}_0", name, arguments(draw, "missing"))
            yield _result(f"{id_}_0", "Error: no such target: missing")
        yield _call(id_, name, arguments(draw, thing))
        lines = make(draw, thing)
        middle = len(lines) // 3
        for sentence in [*take(tool), *(take(tool) if draw.random() < 0.6 else [])]:
            lines.insert(draw.randint(middle, 2 * middle + 1), _AS[tool](draw, sentence))
        yield _result(id_, _JOINED[tool].join(lines))
    says = [_sentence(draw, thing) for _ in range(draw.randint(1, 3))]
    yield {"role": "assistant", "content": " ".join([*says, *take("assistant")])}


def _sentence(draw: random.Random, thing: str) -> str:
    """Prose that says nothing to keep; one in six holds a number of no weight."""
    count = f"{draw.randint(2, 60)} " if draw.random() < 0.17 else ""
    return (
        f"The {draw.choice([thing, draw.choice(_THINGS)])} {draw.choice(_VERBS)} {count}"
        f"{draw.choice(_NOUNS)} {draw.choice(_ADVERBS)} {draw.choice(_REASONS)}."
    )


def _page(draw: random.Random, thing: str) -> list[str]:
    return [_sentence(draw, thing) for _ in range(draw.randint(25, 60))]


def _log(draw: random.Random, thing: str) -> list[str]:
    clock = draw.randint(0, 80_000)
    lines = []
    for _ in range(draw.randint(20, 45)):
        clock += draw.randint(1, 9)
        level = draw.choices(["INFO", "DEBUG", "WARN"], [8, 3, 1])[0]
        lines.append(
            f"2026-11-{1 + clock % 28:02d}T{clock // 3600:02d}:{clock // 60 % 60:02d}:"
            f"{clock % 60:02d}Z {level} {thing}-{draw.randint(1, 6)} {draw.choice(_VERBS)} "
            f"{draw.choice(_NOUNS)} in {draw.randint(1, 900)} ms"
        )
    return lines


def _table(draw: random.Random, thing: str) -> list[str]:
    return [
        json.dumps(
            {
                "id": draw.randint(1_000, 9_999),
                "service": draw.choice([thing, draw.choice(_THINGS)]),
                "state": draw.choice(["ok", "ok", "ok", "late"]),
                "note": f"{draw.choice(_VERBS)} {draw.choice(_NOUNS)} {draw.choice(_ADVERBS)}",
            }
        )
        for _ in range(draw.randint(15, 35))
    ]


def _file(draw: random.Random, thing: str) -> list[str]:
    lines = [f"import {draw.choice(_NOUNS)}", ""]
    for _ in range(draw.randint(6, 14)):
        verb, noun = draw.choice(_VERBS), draw.choice(_NOUNS)
        lines += [
            f"def {verb}_{noun}({draw.choice(_NOUNS)}, limit={draw.randint(1, 64)}):",
            f"    for one in {thing}.{noun}():",
            f"        {draw.choice(_VERBS)}(one)",
            "",
        ]
    return lines


_TOOLS: dict[str, tuple[str, Callable[..., Dictionary], Callable[..., list[str]]]] = {
    "page": ("fetch_page", lambda d, t: {"url": f"https://wiki.example/{t}"}, _page),
    "log": ("search_logs", lambda d, t: {"service": t, "minutes": d.randint(5, 90)}, _log),
    "table": ("query_table", lambda d, t: {"table": t, "limit": d.randint(10, 50)}, _table),
    "file": ("read_file", lambda d, t: {"path": f"src/{t}.py"}, _file),
}
_AS: dict[str, Callable[[random.Random, str], str]] = {
    "page": lambda d, s: s,
    "log": lambda d, s: f"2026-11-09T05:{d.randint(10, 59)}:{d.randint(10, 59)}Z INFO note: {s}",
    "table": lambda d, s: json.dumps({"id": d.randint(1_000, 9_999), "comment": s}),
    "file": lambda d, s: f"# {s}",
}
_JOINED = {"page": " ", "log": "\n", "table": ",\n", "file": "\n"}


def _call(id_: str, name: str, arguments: Dictionary) -> Dictionary:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": id_, "type": "function", "function": function}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


def _result(id_: str, text: str) -> Dictionary:
    return {"role": "tool", "tool_call_id": id_, "content": text}
