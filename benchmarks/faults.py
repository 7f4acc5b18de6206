"""What do kills, torn writes and failing disks cost, and how much work is done again after a kill?

    python -m benchmarks.peers install          # once, for LangChain
    python -m benchmarks.faults [--json FILE] [--quick]

Two parts. *Points*: the same work with a fault at another write each time (tests/faults); after
each a fresh process looks for every document in the record and in both indexes. *Kills*: a folder
of small files is indexed and the process killed, by ctxeng and by LangChain's indexing API
(``cleanup="full"``, SQLRecordManager, Chroma), with the same vectors. A kill comes at the same
share of each system's own undisturbed run, so that the faster one is not favoured; ten kills in a
row come 0.05 to 1.2 s after the process is ready.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import peers
from benchmarks.compare import bootstrap
from benchmarks.data import Row, argument_parser, print_table, write_rows

ANOMALIES = Path(__file__).parents[1] / "tests" / "faults" / "anomalies.py"
OURS, PEER = "ctxeng", "LangChain index(full) + Chroma"
STAGES = ("read", "cut", "embedded")
SECONDS = 300
"""The longest that one run may take."""


@dataclass(frozen=True)
class Scale:
    points: int
    """For each kind of fault and each target."""
    files: int
    kills: int
    """Single ones, each on a folder of its own."""
    in_a_row: int


FULL = Scale(points=10, files=3_000, kills=12, in_a_row=10)
QUICK = Scale(points=1, files=200, kills=1, in_a_row=1)


def points(count: int) -> Iterator[Row]:
    """Rows of the anomaly loop, which runs in a process of its own."""
    command = [sys.executable, str(ANOMALIES), "--points", str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as loop:
        assert loop.stdout is not None
        for line in loop.stdout:
            found = json.loads(line)
            system, name = f"{OURS}, {found['kind']}", f"faults: {found['target']}"
            for metric in ("tried", "recovered", "lost", "doubled"):
                yield _row(system, name, metric, found[metric])
            for problem in found["problems"]:
                print(f"    {problem}")
    if loop.returncode:
        raise SystemExit(f"the anomaly loop failed: {loop.returncode}")


class Contender:
    """One system that indexes the files, in processes that can be killed."""

    def __init__(self, name: str, python: Path, script: str, files: Path, folder: Path) -> None:
        self.name = name
        self._command = [str(python), "-W", "ignore", str(peers.HERE / script), str(folder)]
        self._files = files
        self._folder = folder

    def start_anew(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        for name in ("state", "counts"):
            (self._folder / name).mkdir(parents=True)

    def run(self, *, kill_after: float | None = None) -> float:
        """Index, or until killed so many seconds after it was ready; the seconds that it took."""
        with self._started("index") as process:
            began = time.monotonic()
            try:
                process.wait(SECONDS if kill_after is None else kill_after)
            except subprocess.TimeoutExpired:
                process.kill()
                if kill_after is None:
                    raise
        if process.returncode not in (0, -9):
            raise SystemExit(f"{self.name} failed: {process.returncode}")
        return time.monotonic() - began

    def check(self) -> Mapping[str, int]:
        """How many files cannot be found, how many are found twice or should not be found."""
        with self._started("check") as process:
            process.wait(SECONDS)
        found: dict[str, int] = json.loads((self._folder / "found.json").read_text("utf-8"))
        return found

    def _started(self, verb: str) -> subprocess.Popen[str]:
        """A process that has imported and opened all that it needs."""
        task = {
            "verb": verb,
            "files": str(self._files),
            "state": str(self._folder / "state"),
            "counts": str(self._folder / "counts"),
        }
        (self._folder / "task.json").write_text(json.dumps(task), "utf-8")
        process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit(f"{self.name} does not start: {process.wait()}")
        return process

    def counts(self) -> dict[str, int]:
        """What all runs since the start have done, by stage."""
        found = {}
        for stage in STAGES:
            file = self._folder / "counts" / stage
            found[stage] = sum(map(int, file.read_text().split())) if file.exists() else 0
        return found


def contenders(files: Path, folder: Path) -> Iterator[Contender]:
    here = Path(sys.executable)
    yield Contender(OURS, here, "with_ctxeng_index.py", files, folder / "ctxeng")
    peer = "langchain_index"
    if peers.is_installed(peer):
        script = f"with_{peer}.py"
        yield Contender(PEER, peers.python(peer), script, files, folder / "langchain")
    else:
        print("LangChain is not installed: python -m benchmarks.peers install")


def kills(scale: Scale) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        files = Path(name).resolve() / "files"
        write_files(files, scale.files)
        for contender in contenders(files, Path(name).resolve()):
            yield from _single_kills(contender, scale)
            yield from _kills_in_a_row(contender, scale)


def write_files(folder: Path, count: int) -> None:
    """Each of one piece, about 60 words, of which the second is its own."""
    folder.mkdir()
    words = [f"word{letter}{other}" for letter in "abcdefgh" for other in "ijklmnop"]
    for number in range(count):
        draw = random.Random(number)
        own = "zq" + "".join("bcdfghjklm"[int(digit)] for digit in f"{number:05}") + "q"
        sentences = [" ".join(draw.choices(words, k=10)) + "." for _ in range(6)]
        text = " ".join([f"Item {own} stands here.", *sentences])
        (folder / f"{number:05}.txt").write_text(text, "utf-8")


def _single_kills(contender: Contender, scale: Scale) -> Iterator[Row]:
    """One kill, then a whole run: what both did beyond doing everything once."""
    name = f"one kill, {scale.files:,} files"
    contender.start_anew()
    calm = contender.run()
    once = contender.counts()
    yield _row(contender.name, name, "undisturbed run, s", calm)
    again: dict[str, list[float]] = {stage: [] for stage in STAGES}
    wrong = {"lost": 0, "doubled": 0, "ghosts": 0}
    draw = random.Random(3)
    for _ in range(scale.kills):
        contender.start_anew()
        contender.run(kill_after=draw.uniform(0.05, 0.95) * calm)
        contender.run()
        for stage, count in contender.counts().items():
            again[stage].append(count / once[stage] - 1)
        for kind, count in contender.check().items():
            wrong[kind] += count
    yield _row(contender.name, name, "kills", scale.kills)
    for stage, shares in again.items():
        low, high = bootstrap(np.array(shares))
        metric = f"{stage} again, share"
        value = float(np.mean(shares))
        yield Row(system=contender.name, set=name, metric=metric, value=value, low=low, high=high)
    for kind, total in wrong.items():
        yield _row(contender.name, name, kind, total)


def _kills_in_a_row(contender: Contender, scale: Scale) -> Iterator[Row]:
    """Kills soon after the start, again and again on one folder; then a whole run."""
    name = f"{scale.in_a_row} kills in a row, {scale.files:,} files"
    contender.start_anew()
    draw = random.Random(5)
    for _ in range(scale.in_a_row):
        contender.run(kill_after=draw.uniform(0.05, 1.2))
    before = contender.counts()
    contender.run()
    after = contender.counts()
    for stage in ("cut", "embedded"):
        left = (after[stage] - before[stage]) / scale.files
        yield _row(contender.name, name, f"{stage} by the last run, share", left)
        yield _row(contender.name, name, f"{stage} in all, share", after[stage] / scale.files)
    for kind, count in contender.check().items():
        yield _row(contender.name, name, kind, count)


def _row(system: str, name: str, metric: str, value: float) -> Row:
    return Row(system=system, set=name, metric=metric, value=value, low=value, high=value)


def main() -> None:
    parser = argument_parser(__doc__)
    arguments = parser.parse_args()
    scale = QUICK if arguments.quick else FULL
    rows: list[Row] = []
    for part in (points(scale.points), kills(scale)):
        for row in part:
            rows.append(row)
            print(f"{row['set']:>32}  {row['system']:<31} {row['metric']:<30} {row['value']:.3f}")
            write_rows(rows, arguments.json)
    print_table(rows)


if __name__ == "__main__":
    main()
