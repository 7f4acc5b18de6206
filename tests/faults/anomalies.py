"""The anomaly loop: the same work again and again, with a fault at another call each time.

    python tests/faults/anomalies.py --points N     # prints one JSON row for each kind and target

After each fault a fresh process checks every document in the record and in both indexes, goes on
with the work, and must end in the very state of a run without a fault.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forks import Forks

SOURCE = Path(__file__).with_name("iofault.c")
KINDS = ("kill", "torn", "enospc", "eio")
TARGETS = {"record": "store.sqlite3", "lexical": "lexical/", "workspace": ""}
WORLD = {"files": 8, "rounds": 3}


def compile_shim(folder: Path) -> Path:
    """Raises:
    OSError, CalledProcessError: there is no C compiler, or it cannot.
    """
    library = folder / "iofault.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return library


@dataclass
class Tally:
    """What came of the points that were tried."""

    tried: int = 0
    recovered: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)
    """(kind, what) with the point; kinds as in ``look.Problem``, and ``stuck`` and ``hung``."""

    def count(self, kind: str) -> int:
        return sum(found == kind for found, _ in self.problems)


class Loop:
    """One folder in which the same work is done over and over."""

    def __init__(
        self, forks: Forks, root: Path, *, world: dict[str, int] | None = None, dense: str = "auto"
    ) -> None:
        self._forks = forks
        self.root = root
        self.request = {
            "root": str(root),
            "world": world or WORLD,
            "dense": dense,
            "small_batches": True,
            "leave": False,
            "finish": True,
        }
        self.start_anew()
        began = time.monotonic()
        self._run("work", fault=None)
        self.seconds = time.monotonic() - began
        """That the work takes without a fault."""
        self._expected = self._run("check", fault=None)["said"]
        assert self._expected["problems"] == [], self._expected["problems"]
        assert self._expected["dense"] == ("chroma" if dense == "chroma" else "exact")

    def calls(self, path: str) -> int:
        """How many calls the whole work makes below the path."""
        self.start_anew()
        return int(
            self._run("work", fault={"path": path, "kind": "kill", "at": 0})["said"]["calls"]
        )

    def points(self, path: str, count: int, *, shift: float = 0.5) -> list[int]:
        """``count`` call numbers spread evenly over the work; another ``shift``, others between."""
        total = self.calls(path)
        return sorted({1 + int(total * (step + shift) / count) for step in range(count)})

    def try_points(self, kind: str, path: str, points: Sequence[int]) -> Tally:
        tally = Tally()
        for number, at in enumerate(points):
            fault = {"path": path, "kind": kind, "at": at}
            # An error is met by every other process with giving up, else with trying again.
            found = self.try_fault({"fault": fault, "leave": number % 2 == 1})
            tally.tried += 1
            tally.recovered += not found
            tally.problems += [
                (what, f"{kind} at {path or 'any'} {at}: {how}") for what, how in found
            ]
        return tally

    def try_fault(self, request: dict[str, Any]) -> list[tuple[str, str]]:
        """Work into the fault, then check: what is wrong."""
        self.start_anew()
        worked = self._run("work", **request)
        return [*_wrong_in_work(worked), *self.check()]

    def start_anew(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)

    def work_until(self, move: int) -> None:
        """Do the moves before this one, and close the workspace."""
        worked = self._run("work", fault=None, stop_before=move)
        assert worked["said"] is not None, worked

    def die_after(self, number: int) -> None:
        """Work until this move was acknowledged; then the process kills itself."""
        assert self._run("work", fault=None, die_after=number)["signal"] == signal.SIGKILL

    def work_until_killed(self, seconds: float) -> bool:
        """Go on with the work; whether the kill came before its end."""
        worked = self._run("work", fault=None, kill_after=seconds)
        assert worked["killed"] or worked["said"] is not None, worked
        return bool(worked["killed"])

    def look(self) -> list[tuple[str, str]]:
        """What is wrong with what the last work left, in a fresh process that does no work."""
        return self.check(finish=False)

    def check(self, *, finish: bool = True) -> list[tuple[str, str]]:
        """As ``look``; then it does the rest of the work, and the end is compared too."""
        checked = self._run("check", fault=None, finish=finish)
        if checked["hung"] or checked["signal"]:
            return [("hung", f"the check ended by signal {checked['signal']}")]
        if checked["said"] is None:
            return [("other", checked["trace"])]
        found = [(kind, what) for kind, what in checked["said"]["problems"]]
        if finish and checked["said"]["dense"] != self._expected["dense"]:
            found.append(("other", f"in the end {checked['said']['dense']} search answers"))
        for name, rows in checked["said"]["everything"].items() if finish else ():
            if rows != self._expected["everything"][name]:
                found.append(("other", f"in the end the {name} are not those of a calm run"))
        return found

    def answers(self, *, read_only: bool = False, index_first: bool = False) -> dict[str, Any]:
        """What a fresh process finds, or the error that it gets."""
        ran = self._run("answers", read_only=read_only, index_first=index_first)
        assert ran["said"] is not None, ran
        return dict(ran["said"])

    def _run(self, job: str, **request: Any) -> dict[str, Any]:
        return self._forks.run(job, **{**self.request, **request})


def _wrong_in_work(worked: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if worked["hung"]:
        yield "hung", "the work did not end"
    if worked["trace"]:
        yield "other", worked["trace"]
    said = worked["said"] or {}
    if said.get("stuck"):
        yield "stuck", f"after the fault had passed: {said['stuck']}"
    for term in said.get("read_after_error", ()):
        yield "lost", f"{term} could not be found while writing failed"
    for message in said.get("errors", ()):
        if "/workspace" not in message:
            yield "other", f"the error names no file: {message}"


@contextmanager
def forks_with_shim() -> Iterator[Forks]:
    with tempfile.TemporaryDirectory() as name, Forks(compile_shim(Path(name))) as forks:
        yield forks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, required=True, help="for each kind and target")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, forks_with_shim() as forks:
        root = Path(name).resolve() / "loop"
        for dense, targets in (("exact", TARGETS), ("chroma", {"Chroma": "dense/"})):
            loop = Loop(forks, root, dense=dense)
            for target, path in targets.items():
                for kind in KINDS:
                    tally = loop.try_points(kind, path, loop.points(path, arguments.points))
                    row = {
                        "target": target,
                        "kind": kind,
                        "tried": tally.tried,
                        "recovered": tally.recovered,
                        "lost": tally.count("lost"),
                        "doubled": tally.count("doubled"),
                        "problems": [what for _, what in tally.problems],
                    }
                    sys.stdout.write(json.dumps(row) + "\n")
                    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
