"""Do files load, and is in them what must be found?

    python -m benchmarks.peers install          # once, for markitdown
    python -m benchmarks.loading [--data DIR] [--json FILE] [--quick]

A set is a folder of files with an ``expected.jsonl`` {file, must_contain, note, expect?}. A file
is *right* when it loads or, where the set says that it is encrypted, broken or without text, is
reported as such: of an encrypted file the report must say that, of a broken one there must be one.
A line is *found* when its letters and digits stand in the text (or title) in a row: marks of
Markdown, white space and line breaks count on neither side. Times are CPU time of one file, the
better of two runs, imports done.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from benchmarks import peers
from benchmarks.data import Row, argument_parser, data_folder, read_jsonl, write_rows
from ctxeng.errors import LoadError
from ctxeng.loading import load_bytes

OURS, PEER = "ctxeng", "markitdown"
RUNS = 2
QUICK_FILES = 3
"""Of each format."""
RIGHT, FOUND, TIME, RATIO = "files right", "lines found", "CPU ms a file", "CPU, ctxeng = 1"

Expected = Literal["text", "empty", "encrypted", "error-or-text", "any"]


@dataclass(frozen=True)
class Case:
    """One file and what must come of it."""

    file: str
    expected: Expected
    lines: Sequence[str]

    @property
    def format(self) -> str:
        path = PurePosixPath(self.file)
        return path.parts[0] if len(path.parts) > 1 else path.suffix.lstrip(".").lower()


@dataclass(frozen=True)
class Outcome:
    """What a system made of one file."""

    text: str
    error: str
    seconds: float


def read_cases(folder: Path) -> list[Case]:
    return [
        Case(row["file"], row.get("expect") or _by_note(row), row.get("must_contain") or ())
        for row in read_jsonl(folder, "expected")
    ]


def _by_note(row: dict[str, Any]) -> Expected:
    note = str(row.get("note") or "").lower()
    if "encrypted" in note and "empty password" not in note:
        return "encrypted"
    if row.get("must_contain"):
        return "text"
    broken = ("broken", "fails", "zero bytes", "no text", "corrupt", "truncated")
    return "error-or-text" if any(word in note for word in broken) else "any"


def letters(text: str) -> str:
    """What two texts are compared by."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text)))


def is_right(case: Case, outcome: Outcome) -> bool:
    if case.expected == "encrypted":
        return bool(re.search("encrypt|password", outcome.error, re.I))
    if case.expected == "text":
        return bool(letters(outcome.text))
    if case.expected == "empty":
        return not letters(outcome.text)
    return case.expected == "any" or bool(outcome.error or letters(outcome.text))


def found(case: Case, outcome: Outcome) -> int:
    text = letters(outcome.text)
    return sum(letters(line) in text for line in case.lines)


def ours(folder: Path, file: str) -> Outcome:
    """Anything but a ``LoadError`` is a crash, and ends the benchmark."""
    began = time.process_time()
    text = error = ""
    try:
        documents = load_bytes((folder / file).read_bytes(), file)
        text = "\n".join(f"{document.title}\n{document.text}" for document in documents)
    except LoadError as failure:
        error = str(failure)
    return Outcome(text, error, time.process_time() - began)


def measure(folder: Path, cases: Sequence[Case]) -> Iterator[Row]:
    """For each format, and for all files, the metrics of each system."""
    runs = {OURS: [[ours(folder, case.file) for case in cases] for _ in range(RUNS)]}
    if peers.is_installed(PEER):
        files = [case.file for case in cases]
        answers = peers.loaded(PEER, folder, files, runs=RUNS)
        runs[PEER] = [[Outcome(**one) for one in run] for run in answers]
    best = {
        system: [min(same, key=lambda outcome: outcome.seconds) for same in zip(*run, strict=True)]
        for system, run in runs.items()
    }
    for name in [*sorted({case.format for case in cases}), "all"]:
        picked = [i for i, case in enumerate(cases) if name in ("all", case.format)]
        some = [cases[i] for i in picked]
        seconds: dict[str, float] = {}
        for system, outcomes in best.items():
            pairs = list(zip(some, (outcomes[i] for i in picked), strict=True))
            seconds[system] = sum(outcome.seconds for _, outcome in pairs)
            yield _row(system, name, RIGHT, sum(is_right(*pair) for pair in pairs) / len(pairs))
            if lines := sum(len(case.lines) for case in some):
                yield _row(system, name, FOUND, sum(found(*pair) for pair in pairs) / lines)
            yield _row(system, name, TIME, 1_000 * seconds[system] / len(pairs))
            yield _row(system, name, RATIO, seconds[system] / seconds[OURS])


def _row(system: str, name: str, metric: str, value: float) -> Row:
    return Row(system=system, set=name, metric=metric, value=value, low=value, high=value)


def print_formats(rows: Sequence[Row], cases: Sequence[Case]) -> None:
    """One line for each format; shares in percent, ours before the peer's."""
    from rich.console import Console
    from rich.table import Table

    systems = list(dict.fromkeys(row["system"] for row in rows))
    metrics = (RIGHT, FOUND, TIME)
    heads = [f"{metric}\n{system}" for metric in metrics for system in systems]
    table = Table("format", "files", "lines", *heads, f"{RATIO}\n{PEER}")
    for name in dict.fromkeys(row["set"] for row in rows):
        some = [case for case in cases if name in ("all", case.format)]
        cells = {(row["metric"], row["system"]): row["value"] for row in rows if row["set"] == name}
        shown = [_shown(metric, cells.get((metric, s))) for metric in metrics for s in systems]
        ratio = cells.get((RATIO, PEER))
        lines = sum(len(case.lines) for case in some)
        table.add_row(
            name, str(len(some)), str(lines), *shown, f"{ratio:.1f}" if ratio is not None else "–"
        )
    Console(width=140).print(table)


def _shown(metric: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if metric == TIME else f"{100 * value:.1f}"


def sets(folder: Path) -> list[Path]:
    """The folder itself, or those in it that have an ``expected.jsonl``.

    Raises:
        SystemExit: there is none.
    """
    named = [folder] if any(folder.glob("expected.jsonl*")) else []
    found_in = named or sorted({path.parent for path in folder.glob("*/expected.jsonl*")})
    if not found_in:
        raise SystemExit(f"{folder}: no folder of files with an expected.jsonl in it.")
    return found_in


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    if not peers.is_installed(PEER):
        print(f"Without {PEER}: `python -m benchmarks.peers install` gets it.")
    rows: list[Row] = []
    for folder in sets(data_folder(arguments.data)):
        cases = read_cases(folder)
        if arguments.quick:
            cases = [c for i, c in enumerate(cases) if _earlier(cases[:i], c) < QUICK_FILES]
        measured = list(measure(folder, cases))
        print_formats(measured, cases)
        rows += measured
    write_rows(rows, arguments.json)


def _earlier(cases: Sequence[Case], case: Case) -> int:
    return sum(other.format == case.format for other in cases)


if __name__ == "__main__":
    main()
