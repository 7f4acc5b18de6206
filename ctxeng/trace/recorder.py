"""The recorder that every stage may write to.

A verb makes a ``Recorder`` and runs under ``recording``; the stages below it, on whatever thread,
call ``stage``. Where nobody records, ``stage`` costs a dictionary.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import JsonValue

from ctxeng.protocols import Delta, Generator, Restart
from ctxeng.trace.spans import Spans
from ctxeng.types import Answer, Context, GenerationOptions, Hit, Route, StopReason, Usage

Facts = dict[str, JsonValue]
TIMES = {"seconds", "cpu_seconds", "wait", "at"}
"""Facts that differ from run to run."""


class Recorder:
    """Collects what one run took in, found and decided; its stages in the order in which they
    ended.
    """

    def __init__(self, verb: str, inputs: Facts) -> None:
        self.verb = verb
        self.inputs = inputs
        self.stages: list[Facts] = []
        self.hits: list[Hit] = []
        """The candidates, best first."""
        self.context: Context | None = None
        self.route: Route | None = None
        """Where was looked for them; None: in every source."""
        self.answer: Answer | None = None
        self.error = ""
        """What ended the run before it had a result."""
        self.time = datetime.now(UTC)
        self.trace_id = ""
        """Where it was kept; empty where it was not."""
        self._began = time.perf_counter()
        self.spans = Spans(verb)

    @property
    def seconds(self) -> float:
        """Wall time since the run began."""
        return time.perf_counter() - self._began

    @contextmanager
    def generating(
        self, generator: Generator, prompt_tokens: int, options: GenerationOptions
    ) -> Iterator[Generating]:
        """One reply, from the request to its end. A generator may yield inside.

        Args:
            prompt_tokens: as we count them, for where the backend does not say.
        """
        at, reply = self.seconds, Generating()
        span = self.spans.start_generation(generator.name, options)
        failure: BaseException | None = None
        try:
            yield reply
        except BaseException as error:
            failure = error
            raise
        finally:
            usage = reply.usage
            taken = usage.prompt_tokens or prompt_tokens
            made = usage.completion_tokens or generator.counter.count(reply.text)
            self.stages.append(
                {
                    "stage": "generate",
                    "model": generator.name,
                    "prompt_tokens": taken,
                    "completion_tokens": made,
                    "stop": reply.stop,
                    "error": type(failure).__name__ if failure else reply.error,
                    "at": round(at, 6),
                    "seconds": round(self.seconds - at, 6),
                }
            )
            self.spans.end_generation(span, taken, made, reply.stop, failure)


@dataclass(slots=True)
class Generating:
    """A reply that is coming."""

    text: str = ""
    usage: Usage = field(default_factory=Usage)
    stop: StopReason | None = None
    error: str = ""

    def take(self, delta: Delta) -> None:
        if isinstance(delta, Restart):
            self.text = ""
            return
        self.text += delta.text
        self.usage = delta.usage or self.usage
        self.stop = delta.stop or self.stop
        self.error = delta.error or self.error


_recorder: ContextVar[Recorder | None] = ContextVar("ctxeng_recorder", default=None)


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Stages inside write to ``recorder``. A generator must not yield inside."""
    token = _recorder.set(recorder)
    try:
        with recorder.spans.current():
            yield
    finally:
        _recorder.reset(token)


def keep(
    *,
    route: Route | None = None,
    hits: list[Hit] | None = None,
    context: Context | None = None,
) -> None:
    """Hand what a stage made to the recorder of this run, where there is one; the last one counts.
    ``hits`` that are empty count too.
    """
    recorder = _recorder.get()
    if recorder is None:
        return
    if route is not None:
        recorder.route = route
    if hits is not None:
        recorder.hits = hits
    if context is not None:
        recorder.context = context


@contextmanager
def stage(name: str) -> Iterator[Facts]:
    """Times a stage; what the body puts into the yielded facts is recorded with it.

    ``seconds`` is wall time, ``cpu_seconds`` the CPU time of the calling thread, ``at`` the wall
    time from the beginning of the run to its own.
    """
    facts: Facts = {"stage": name}
    recorder = _recorder.get()
    at = recorder.seconds if recorder is not None else 0.0
    span = recorder.spans.start(name) if recorder is not None else None
    wall, cpu = time.perf_counter(), time.thread_time()
    failure: BaseException | None = None
    try:
        yield facts
    except BaseException as error:
        failure = error
        raise
    finally:
        if recorder is not None:
            facts["at"] = round(at, 6)
            facts["seconds"] = round(time.perf_counter() - wall, 6)
            facts["cpu_seconds"] = round(time.thread_time() - cpu, 6)
            recorder.stages.append(facts)
            recorder.spans.end(span, facts, failure)
