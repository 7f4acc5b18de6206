"""Is a recorded run rebuilt to the byte, after a restart and after the index has grown?

    python -m benchmarks.replay [--data DIR] [--json FILE] [--quick]

Two folders of files: the example handbook with made-up pages beside it, and the passages of a set.
Each run has another question, budget or verb. Then, each in a process of its own: all are replayed;
the folder grows by as many files again, every third file changes and every fifth goes, and it is
indexed; all are replayed once more, and asked again, which is what one can do without a record. For
the cost, the same questions go in turns to two workspaces, of which one records.
"""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np

from benchmarks.compare import bootstrap
from benchmarks.data import (
    RetrievalSet,
    Row,
    argument_parser,
    data_folder,
    print_table,
    read_retrieval_sets,
    write_rows,
)
from ctxeng import Engine, Settings
from ctxeng.settings import EmbeddingSettings, TraceSettings
from ctxeng.store.store import FILE

HANDBOOK = Path(__file__).parents[1] / "examples" / "handbook"
SETS = ("xquad_en",)
BUDGETS = (150, 400, 1_000, 2_000, 4_000)
SECONDS = 900
"""The longest that one process may take."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Scale:
    runs: int
    pages: int
    """Made up, beside the handbook."""
    timed: int


FULL = Scale(runs=1_000, pages=300, timed=200)
QUICK = Scale(runs=30, pages=30, timed=10)


@dataclass(frozen=True)
class Asked:
    verb: str
    query: str
    budget: int


Prompts = Mapping[str, tuple[Asked, str]]
"""By trace id: what was asked, and the sha256 of the prompt's bytes."""


def measure(name: str, files: Path, questions: Sequence[str], scale: Scale) -> Iterator[Row]:
    """Rows of one folder, which is changed."""
    with tempfile.TemporaryDirectory() as made:
        workspace = Path(made) / "workspace"
        prompts = apart(record, workspace, files, asked(questions, scale.runs))
        yield _row(name, "replayed", "runs", len(prompts))
        restarted = apart(replays, workspace, prompts)
        yield _share(name, "replayed", "identical after a restart", restarted)
        yield from _sizes(name, workspace)
        apart(grow, workspace, files)
        grown = apart(replays, workspace, prompts)
        yield _share(name, "replayed", "identical after growth", grown)
        again = apart(asks_again, workspace, prompts)
        yield _share(name, "asked again", "identical after growth", again)
        yield from _cost(name, Path(made), files, questions[: scale.timed])


def apart(work: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
    """Run in a process of its own, started anew."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply_async(work, arguments, more).get(SECONDS)


def asked(questions: Sequence[str], runs: int) -> list[Asked]:
    """Different ones: every fifth is answered, the others build a context."""
    pairs = list(itertools.product(BUDGETS, dict.fromkeys(questions)))
    random.Random(3).shuffle(pairs)
    return [
        Asked("ask" if number % 5 == 4 else "context", query, budget)
        for number, (budget, query) in enumerate(pairs[:runs])
    ]


# -- what the processes do


def opened(workspace: Path, *, record: bool) -> Engine:
    settings = Settings(
        embedding=EmbeddingSettings(model="static"), trace=TraceSettings(enabled=record)
    )
    return Engine.open(workspace, settings=settings)


def record(workspace: Path, files: Path, runs: Sequence[Asked]) -> Prompts:
    found: dict[str, tuple[Asked, str]] = {}
    with opened(workspace, record=True) as engine:
        engine.index(files, wait=True)
        for run in runs:
            if run.verb == "ask":
                context = engine.ask(run.query, budget=run.budget).context
            else:
                context = engine.context(run.query, budget=run.budget)
            found[engine.traces(limit=1)[0].id] = (run, _hash(context.render()))
    return found


def replays(workspace: Path, prompts: Prompts) -> list[bool]:
    with opened(workspace, record=False) as engine:
        return [
            _hash(engine.replay(trace_id).render()) == digest
            for trace_id, (_, digest) in prompts.items()
        ]


def asks_again(workspace: Path, prompts: Prompts) -> list[bool]:
    with opened(workspace, record=False) as engine:
        return [
            _hash(engine.context(run.query, budget=run.budget).render()) == digest
            for run, digest in prompts.values()
        ]


def grow(workspace: Path, files: Path) -> None:
    """As many files again; every third changes, every fifth goes."""
    before = sorted(path for path in files.rglob("*") if path.is_file())
    for number, path in enumerate(before):
        if path.suffix == ".md":
            lines = path.read_text("utf-8").splitlines()
            (path.parent / f"more-{path.name}").write_text("\n".join(reversed(lines)), "utf-8")
        if number % 5 == 0:
            path.unlink()
        elif number % 3 == 0 and path.suffix == ".md":
            path.write_text(f"{path.read_text('utf-8')}\nThis page was changed since.\n", "utf-8")
    with opened(workspace, record=False) as engine:
        engine.index(files, wait=True)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# -- what it takes


def _sizes(name: str, workspace: Path) -> Iterator[Row]:
    with closing(sqlite3.connect(workspace / FILE)) as db:
        count, records = db.execute("SELECT count(*), sum(length(payload)) FROM trace").fetchone()
        texts, bodies = db.execute("SELECT count(*), sum(length(body)) FROM text").fetchone()
        (named,) = db.execute("SELECT count(*) FROM trace_text").fetchone()
    yield _row(name, "replayed", "kB per run: record", records / count / 1_000)
    yield _row(name, "replayed", "kB per run: new texts", bodies / count / 1_000)
    yield _row(name, "replayed", "runs per text", named / texts)


def _cost(name: str, folder: Path, files: Path, questions: Sequence[str]) -> Iterator[Row]:
    """CPU of ``context``, of the whole process, in turns with and without recording."""
    plain: list[float] = []
    recording: list[float] = []
    with (
        opened(folder / "plain", record=False) as off,
        opened(folder / "recording", record=True) as on,
    ):
        for engine in (off, on):
            engine.index(files, wait=True)
            for question in questions[:10]:
                engine.context(question)
        for number, question in enumerate(questions):
            both = [(off, plain), (on, recording)]
            for engine, times in both if number % 2 else both[::-1]:
                start = time.process_time()
                engine.context(f"{question} {number}")
                times.append(time.process_time() - start)
        start = time.process_time()
        runs = on.traces(limit=len(questions))
        for run in runs:
            on.replay(run.id)
        replaying = (time.process_time() - start) / len(runs)
    yield _row(name, "replayed", "CPU ms to replay", 1_000 * replaying)
    without, with_it = np.array(plain), np.array(recording)
    for system, spent in (("context", without), ("context, recorded", with_it)):
        yield _row(name, system, "CPU ms", float(1_000 * spent.mean()), bootstrap(1_000 * spent))
    shares = (with_it - without) / with_it.mean()
    metric = "share of recording"
    yield _row(name, "context, recorded", metric, float(shares.mean()), bootstrap(shares))


def _share(name: str, system: str, metric: str, outcomes: Sequence[bool]) -> Row:
    shares = np.array(outcomes, dtype=np.float64)
    return _row(name, system, metric, float(shares.mean()), bootstrap(shares))


def _row(
    name: str, system: str, metric: str, value: float, interval: tuple[float, float] | None = None
) -> Row:
    low, high = interval or (value, value)
    return Row(system=system, set=name, metric=metric, value=value, low=low, high=high)


# -- folders


def handbook(folder: Path, pages: int) -> list[str]:
    """The example handbook and made-up pages about the same things; returns questions."""
    shutil.copytree(HANDBOOK, folder)
    draw = random.Random(5)
    sentences = [
        line.strip()
        for path in sorted(folder.rglob("*.md"))
        for line in path.read_text("utf-8").split(". ")
        if len(line.split()) > 5
    ]
    for number in range(pages):
        chosen = draw.sample(sentences, 12)
        paragraphs = [". ".join(chosen[at : at + 3]) for at in range(0, 12, 3)]
        text = f"# Page {number}\n\n" + "\n\n".join(paragraphs) + "\n"
        (folder / f"page-{number}.md").write_text(text, "utf-8")
    words = [word.strip(".,:;()|#*`") for sentence in sentences for word in sentence.split()]
    words = sorted({word for word in words if len(word) > 4})
    return [f"What about {' and '.join(draw.sample(words, 3))}?" for _ in range(400)]


def passages(folder: Path, task: RetrievalSet) -> list[str]:
    """One file for each passage; returns the set's questions."""
    folder.mkdir()
    for number, passage in enumerate(task.corpus):
        text = f"# {passage.title or number}\n\n{passage.text}\n"
        (folder / f"{number}.md").write_text(text, "utf-8")
    return list(task.queries.values())


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    scale = QUICK if arguments.quick else FULL
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as made:
        files = Path(made) / "handbook"
        rows += measure("handbook", files, handbook(files, scale.pages), scale)
        for task in read_retrieval_sets(data_folder(arguments.data), names=SETS):
            files = Path(made) / task.name
            rows += measure(task.name, files, passages(files, task), scale)
    print_table(rows)
    write_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
