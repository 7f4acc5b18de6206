"""The one place that writes to the terminal: JSON, tables, notes, progress bars, errors.

Standard output holds the result and nothing else; all that accompanies it goes to standard error.
Names and texts come from anybody's files: nothing of them is read as markup or reaches the
terminal as a control character.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pydantic import JsonValue
    from rich.console import Console
    from rich.progress import TaskID

    from ctxeng.protocols import Progress
    from ctxeng.types import Usage, VectorStatus

OK = 0
SOME_FAILED = 1
"""The run went through, but some inputs failed."""
MISUSED = 2
"""Usage, configuration, a missing path, a workspace that is busy or damaged."""
INTERRUPTED = 130

DIRECTION_OVERRIDES = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""They make a line read otherwise than it is written."""
WIDE = 160
"""Columns where the output is not a terminal: tables in files are not squeezed into 80."""
PLAIN_STAGES = frozenset({"files", "documents", "dense index"})
"""Their bars carry their own name; all others show the vectors of a model."""
NARROW = 120
"""Columns below which tables show the last step of a path."""
BAR = 60
"""Columns of a bar."""
BAR_STYLES = (
    "magenta", "yellow", "blue", "green", "cyan", "bright_black", "red", "bright_blue",
    "bright_magenta",
)  # fmt: skip
STATUS_SECONDS = 1.0
"""Least time between two looks at how far the vectors are."""


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if stream.isatty() else WIDE,
    )


def printable(text: str) -> str:
    """The text without what could steer a terminal: control characters other than line breaks and
    tabs, direction overrides, lone surrogates.
    """
    return "".join("\N{REPLACEMENT CHARACTER}" if _steers(c) else c for c in text)


def _steers(character: str) -> bool:
    if character in "\n\t":
        return False
    return unicodedata.category(character) in {"Cc", "Cs"} or character in DIRECTION_OVERRIDES


def one_line(text: str, limit: int) -> str:
    """The text on one line of at most ``limit`` characters."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def place(location: str) -> str:
    """A path as the user would type it: relative to the working folder where it is below."""
    here = str(Path.cwd()).rstrip("/") + "/"
    return printable(location.removeprefix(here)).replace("\n", " ")


def short_place(location: str) -> str:
    """For a cell of a table: the file's name alone where the terminal is too narrow for more."""
    whole = place(location)
    folder, slash, name = whole.rpartition("/")
    return f"…/{name}" if slash and folder and console().width < NARROW else whole


def emit(value: JsonValue) -> None:
    """The one JSON value on standard output. ASCII, so that no terminal or locale alters it."""
    sys.stdout.write(json.dumps(value) + "\n")


def say(text: str = "", *, style: str = "") -> None:
    """A line of the result."""
    console().print(printable(text), style=style or None, soft_wrap=True)


def note(text: str) -> None:
    """A dim line beside the result."""
    console(stderr=True).print(printable(text), style="dim", soft_wrap=True)


def note_usage(usage: Usage) -> None:
    """What models took; nothing where none was asked."""
    if not (usage.prompt_tokens or usage.completion_tokens):
        return
    cached = f" ({usage.cached_tokens} cached)" if usage.cached_tokens else ""
    cost = f", cost {usage.cost:.4f}" if usage.cost else ""
    note(
        f"{usage.prompt_tokens}{cached} + {usage.completion_tokens} tokens, "
        f"{usage.seconds:.1f} s{cost}"
    )


def note_bar(parts: Sequence[tuple[str, int]], total: int, remark: str = "") -> None:
    """How a total is divided, beside the result: drawn where a terminal shows it, and in numbers.
    What the parts leave is free; the remark ends the line. A part of nothing is not told.
    """
    from rich.text import Text

    free = max(0, total - sum(size for _, size in parts))
    told = Text()
    if sys.stderr.isatty():
        for at, (_, size) in enumerate([*parts, ("free", free)]):
            style = BAR_STYLES[at % len(BAR_STYLES)] if at < len(parts) else "dim"
            told.append(round(BAR * size / max(total, 1)) * ("█" if style != "dim" else "░"), style)
        told.append("\n")
    for at, (name, size) in enumerate(parts):
        if size:
            told.append(f"{name} {size:,} · ", BAR_STYLES[at % len(BAR_STYLES)])
    told.append(f"free {free:,} of {total:,} tokens{remark}", "dim")
    console(stderr=True).print(told, soft_wrap=True)


def write(text: str) -> None:
    """Text as it is, at once. Byte for byte where no terminal reads it."""
    if sys.stdout.isatty():
        sys.stdout.write(printable(text))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass"))
    sys.stdout.flush()


def end_line() -> None:
    """End the line that ``write`` left open, where a person reads it."""
    if sys.stdout.isatty():
        sys.stdout.write("\n")
        sys.stdout.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Numbers stand right, everything else left; long cells go on below."""
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    drawn = Table(box=None, padding=(0, 2, 0, 0), show_header=any(columns))
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[index], int | float | None) for row in rows)
        drawn.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(_cell(value)) for value in row))
    console().print(drawn)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return printable(str(value))


def complain(message: str, *, as_json: bool) -> None:
    """An error: in red on standard error, and as the one JSON value where that was asked for."""
    if as_json:
        emit({"error": message})
    console(stderr=True).print(printable(message), style="red", soft_wrap=True)


class Bars:
    """Progress on standard error while entered; may be entered again. Silent without a terminal.

    ``vectors`` tells how far the vectors of each model are; it is asked at most once a second.
    """

    def __init__(self, vectors: Callable[[], Sequence[VectorStatus]]) -> None:
        self._vectors = vectors
        self._looked = 0.0
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        self._shown = sys.stderr.isatty()
        self._entered = False

    def __enter__(self) -> Self:
        if self._shown:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Display

            self._tasks.clear()
            self._display = Display(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=console(stderr=True),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._display.start()
            self._entered = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            if self._entered:
                self._entered = False
                self._display.stop()

    def __call__(self, progress: Progress) -> None:
        """Show progress; it may come from any thread, also before and after."""
        with self._lock:
            if not self._entered:
                return
            if progress.stage.startswith("vectors "):
                self._show_vectors()
            else:
                self._show(progress.stage, progress.done, progress.total)

    def _show_vectors(self) -> None:
        if time.monotonic() - self._looked < STATUS_SECONDS:
            return
        for tier in self._vectors():
            if tier.done < tier.total or tier.model in self._tasks:
                self._show(tier.model, tier.done, tier.total)
        self._looked = time.monotonic()

    def _show(self, stage: str, done: int, total: int | None) -> None:
        label = printable(stage if stage in PLAIN_STAGES else f"vectors {stage}")
        if stage not in self._tasks:
            self._tasks[stage] = self._display.add_task(label, total=total)
        self._display.update(self._tasks[stage], completed=done, total=total)
