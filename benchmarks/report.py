"""Writes docs/benchmarks.md from the figures in benchmarks/results/.

    python -m benchmarks.report

Each benchmark writes its rows with ``--json benchmarks/results/NAME.json``; nothing here measures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.data import Row

RESULTS = Path(__file__).parent / "results"
TARGET = Path(__file__).parents[1] / "docs" / "benchmarks.md"

HEAD = """# Benchmarks

Each table says which command made it. `--data DIR` runs the same benchmark on other sets of the
same form (`benchmarks/data.py` says which). Figures in brackets are 95 % intervals (bootstrap over
questions, paired where two systems are compared). Times are process CPU times on two cores of a
shared machine: quote the ratios.
"""


def main() -> None:
    TARGET.write_text("\n".join(page()), "utf-8")
    print(TARGET)


def page() -> Iterator[str]:
    yield HEAD
    for name, title, text, tables in SECTIONS:
        file = RESULTS / f"{name}.json"
        if not file.exists():
            continue
        rows: list[Row] = json.loads(file.read_text("utf-8"))
        yield f"## {title}\n\n`python -m benchmarks.{name} --json benchmarks/results/{name}.json`\n"
        yield f"{text.strip()}\n"
        yield from tables(rows)


def pivot(
    rows: Sequence[Row],
    *,
    columns: Sequence[tuple[str, str]],
    corner: str = "",
    digits: int = 3,
    interval: bool = False,
) -> str:
    """A table with systems down and (set, metric) pairs across; only what was measured."""
    cells = {(row["system"], row["set"], row["metric"]): row for row in rows}
    systems = [
        system
        for system in dict.fromkeys(row["system"] for row in rows)
        if any((system, *column) in cells for column in columns)
    ]
    one_metric = len({metric for _, metric in columns}) == 1
    one_set = len({set_ for set_, _ in columns}) == 1
    heads = [m if one_set else s if one_metric else f"{s}, {m}" for s, m in columns]
    lines = [f"| {corner} | {' | '.join(heads)} |", "|---" * (len(columns) + 1) + "|"]
    for system in systems:
        shown = [_cell(cells.get((system, *column)), digits, interval) for column in columns]
        lines.append(f"| {system} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def by_metric(rows: Sequence[Row], *, digits: int = 3) -> Iterator[str]:
    """For each set one table: metrics down, systems across."""
    for name in dict.fromkeys(row["set"] for row in rows):
        mine = [row for row in rows if row["set"] == name]
        systems = list(dict.fromkeys(row["system"] for row in mine))
        cells = {(row["metric"], row["system"]): row for row in mine}
        lines = [f"| {name} | {' | '.join(systems)} |", "|---" * (len(systems) + 1) + "|"]
        for metric in dict.fromkeys(row["metric"] for row in mine):
            shown = [_cell(cells.get((metric, system)), digits, True) for system in systems]
            lines.append(f"| {metric} | {' | '.join(shown)} |")
        yield "\n".join(lines) + "\n"


def _cell(row: Row | None, digits: int, interval: bool) -> str:
    if row is None:
        return "–"
    if not interval or row["low"] == row["high"]:
        return f"{row['value']:.{digits}f}"
    return f"{row['value']:.{digits}f} [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"


def _sets(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["set"] for row in rows))


def _retrieval(rows: Sequence[Row]) -> Iterator[str]:
    sets = _sets(rows)
    yield "nDCG@10:\n"
    yield pivot(rows, columns=[(name, "nDCG@10") for name in sets], corner="nDCG@10")
    yield "Difference of nDCG@10 from our lexical search:\n"
    ours = [row for row in rows if row["system"].startswith("ctxeng")]
    yield pivot(
        ours,
        columns=[(name, "ΔnDCG@10") for name in sets],
        corner="ΔnDCG@10",
        interval=True,
    )
    for name in sets:
        if name == "anthropic_code":
            depths = [f"recall@{k}" for k in (5, 10, 20, 100)]
            yield "The contextual code set:\n"
            yield pivot(rows, columns=[(name, metric) for metric in depths], interval=True)
    yield "recall@20:\n"
    yield pivot(rows, columns=[(name, "recall@20") for name in sets], corner="recall@20")


def _passages(rows: Sequence[Row]) -> Iterator[str]:
    for name in _sets(rows):
        metrics = [
            metric
            for metric in dict.fromkeys(row["metric"] for row in rows)
            if not metric.startswith("Δ")
        ]
        yield f"{name}:\n"
        yield pivot(rows, columns=[(name, metric) for metric in metrics], interval=True)


def _loading(rows: Sequence[Row]) -> Iterator[str]:
    """Formats down; both systems' shares, and how much longer the other one takes."""
    cells = {(row["set"], row["system"], row["metric"]): row for row in rows}
    columns = [
        (system, metric)
        for metric in ("files right", "lines found")
        for system in ("ctxeng", "markitdown")
    ]
    columns.append(("markitdown", "CPU, ctxeng = 1"))
    heads = [f"{system}: {metric}" for system, metric in columns]
    lines = [f"| format | {' | '.join(heads)} |", "|---" * (len(columns) + 1) + "|"]
    for name in _sets(rows):
        shown = [_cell(cells.get((name, *column)), 2, False) for column in columns]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    yield "\n".join(lines) + "\n"


def _by_set(rows: Sequence[Row]) -> Iterator[str]:
    """For each set one table: systems down, metrics across."""
    for name in _sets(rows):
        mine = [row for row in rows if row["set"] == name]
        metrics = dict.fromkeys(row["metric"] for row in mine)
        yield f"{name}:\n"
        yield pivot(mine, columns=[(name, metric) for metric in metrics], interval=True)


def _faults(rows: Sequence[Row]) -> Iterator[str]:
    """Points in one table, targets and faults down; the rest by set."""
    points = [row for row in rows if row["metric"] in {"tried", "recovered", "lost", "doubled"}]
    cells = {(row["set"], row["system"], row["metric"]): row for row in points}
    metrics = list(dict.fromkeys(row["metric"] for row in points))
    lines = [f"| | {' | '.join(metrics)} |", "|---" * (len(metrics) + 1) + "|"]
    for name, system in dict.fromkeys((row["set"], row["system"]) for row in points):
        shown = [_cell(cells.get((name, system, metric)), 0, False) for metric in metrics]
        lines.append(f"| {name}: {system} | {' | '.join(shown)} |")
    yield "\n".join(lines) + "\n"
    yield from _by_set([row for row in rows if row not in points])


def _speed(rows: Sequence[Row]) -> Iterator[str]:
    sizes = [name for name in _sets(rows) if name.endswith("chunks")]
    searches = ("search p50, CPU ms", "search p95, CPU ms")
    for metric in searches:
        yield pivot(rows, columns=[(name, metric) for name in sizes], corner=metric, digits=2)
    cells = {(f"{row['system']}: {row['metric']}", row["set"]): row for row in rows}
    lines = [f"| | {' | '.join(sizes)} |", "|---" * (len(sizes) + 1) + "|"]
    figures = [row for row in rows if row["set"] in sizes and row["metric"] not in searches]
    for figure in dict.fromkeys(f"{row['system']}: {row['metric']}" for row in figures):
        shown = [_cell(cells.get((figure, size)), 3, False) for size in sizes]
        lines.append(f"| {figure} | {' | '.join(shown)} |")
    yield "\n".join(lines) + "\n"
    yield from by_metric([row for row in rows if row["set"] not in sizes])


def _generation(rows: Sequence[Row]) -> Iterator[str]:
    yield from by_metric(rows, digits=2)


def _compaction(rows: Sequence[Row]) -> Iterator[str]:
    """Facts and tokens with one digit, shares with three."""
    for name in _sets(rows):
        mine = [row for row in rows if row["set"] == name]
        metrics = dict.fromkeys(row["metric"] for row in mine)
        digits = 1 if "tokens" in metrics else 3
        yield f"{name}:\n"
        yield pivot(mine, columns=[(name, metric) for metric in metrics], digits=digits)


Tables = Callable[[Sequence[Row]], Iterator[str]]
SECTIONS: Sequence[tuple[str, str, str, Tables]] = (
    (
        "retrieval",
        "Retrieval",
        "Every system has the same corpus and, where it uses vectors, the same MiniLM vectors;\n"
        "each is asked for 100 results with its own defaults, in an environment of its own.",
        _retrieval,
    ),
    (
        "passages",
        "Passages at equal budget",
        "Share of the gold characters inside the text that is handed over, at 200 to 1,600 tokens.",
        _passages,
    ),
    (
        "budget",
        "One budget",
        "Random plans are counted as the local backend counts a whole prompt, schemas of tools\n"
        "included. Times are CPU milliseconds of one thread, the median with the 5th and the 95th\n"
        "of a hundred. Evidence: at as many tokens of source text as the five best chunks of\n"
        "1,000 characters have, all found by the same retrieval.",
        _by_set,
    ),
    (
        "prefix",
        "The start that stays",
        "Chats of 20 turns with passages in each: the share of a prompt's tokens that are the\n"
        "start of the one before, and what the packaged model makes of it, asked for one token a\n"
        "turn. LangChain trims the chats of the first two beside ours. The middlewares get the\n"
        "chat message by message, in the window that the passages leave of the budget of 2,000,\n"
        "and then in one of 2,000; whoever goes over the budget keeps more. The packaged model\n"
        "reads none of theirs.",
        _by_set,
    ),
    (
        "compression",
        "Compression",
        "Share of the gold characters of the ten best passages that is left when they are made\n"
        "shorter, to a quarter, a half and three quarters of their tokens.",
        _passages,
    ),
    (
        "compaction",
        "Long chats",
        "100 facts in the history of an agent at work, 40,000 tokens long, most of them inside\n"
        "results of tools; means of three histories, by our count of tokens. At once, and\n"
        "message by message, compacted before each reply where it must be. Unread: never handed\n"
        "to what makes the notes. The perfect model keeps each fact that it is handed and nothing\n"
        "else; the first model says the first 4,000 characters again. Fresh: ours on twelve other\n"
        "histories, which nothing was looked at on before. `locomo`: what is left of the turns\n"
        "that the questions rest on, in a window of a quarter of the conversation.",
        _compaction,
    ),
    (
        "loading",
        "Loading",
        "Share of the expected lines found in real files, beside `markitdown` on the same files.",
        _loading,
    ),
    (
        "not_found",
        "Not found",
        "For each set, the gold documents of half of the questions are taken out. Those questions\n"
        'should be answered with "not found", the others should not.',
        _by_set,
    ),
    (
        "answers",
        "Answers",
        "What the answer holds of the gold answer: many questions to the extractive generator,\n"
        "the first few of them to the packaged model in its own budget, the extractive one\n"
        "beside it (ΔF1: the difference). With the gold passage it has to answer. Abstention:\n"
        "each question is asked with and without the document that answers it, so half of all\n"
        "should be withheld.",
        _by_set,
    ),
    (
        "rewriting",
        "Follow-up questions",
        "What is searched for at a turn that follows others, beside the question as people wrote\n"
        "it so that it stands alone. Held: share of the terms of people's words; right: share of\n"
        "what is searched for that stands in them; answer found: nDCG@10 of the passage that was\n"
        "given as the answer, among those of the set; left alone: share of the questions that\n"
        "people left as they are that is not touched; would be used: share of people's words that\n"
        "would pass the check of what a model says; in its words: share of the questions that a\n"
        "model's words take the place of (the rules have the others). Δ: from the question as it\n"
        "is. The people who wrote `canard` saw the title of the article, which no system does. Of\n"
        "questions on their own the rules should leave all alone.",
        _by_set,
    ),
    (
        "voting",
        "More samples",
        "One sample against a choice among several; a majority stops when it is decided. The last\n"
        "rows choose by the labels, which is the bound. `gsm8k_solutions`: four solutions by\n"
        "models of others, each the first one once. `gsm8k`: the packaged model, sampled 8 times,\n"
        "and revising its greedy reply. Tokens for a point of accuracy are given where a gain is\n"
        "sure.",
        _by_set,
    ),
    (
        "cascade",
        "A large model in doubt only",
        "6 billion parameters reply where they are sure, 175 billion elsewhere. The threshold is\n"
        "chosen on the other half of the questions. Cost is tokens times parameters.",
        _by_set,
    ),
    (
        "faults",
        "Faults",
        "Points at which a process was killed, a write torn, the disk full or failing; what was\n"
        "lost or doubled after the next open; and the work repeated after a kill.",
        _faults,
    ),
    (
        "replay",
        "Replay",
        "Share of the recorded prompts that are rebuilt to the byte in a new process, and after\n"
        "as many files again came, every third changed and every fifth went; what asking again\n"
        "gives then. What a run's record takes, and its share of the CPU time of `context`.",
        _by_set,
    ),
    (
        "speed",
        "Speed",
        "Passages of about 110 words of natural text; static vectors. Every contender answers the\n"
        "same questions in the same process, in turns, each another one at a time: 100 results\n"
        "each (the verbs, and tantivy where it says so: 10 with their texts). Plain tantivy\n"
        "searches once, our index twice: chunks, then their documents.",
        _speed,
    ),
    (
        "generation",
        "Generation",
        "SmolLM2-135M on both local backends, each beside its library alone: replies of 32 tokens\n"
        "to prompts of 600, and a chat. Then what our client costs beside bare `httpx`, with a\n"
        "server that streams 100 tokens, and what 200 such streams at once take.",
        _generation,
    ),
    (
        "grounding",
        "Groundedness",
        "Scorers of whether a text supports an answer.",
        _by_set,
    ),
)

if __name__ == "__main__":
    main()
