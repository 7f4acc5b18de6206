"""The recorder that every stage may write to.

A verb makes a ``Recorder`` and runs under ``recording``; the stages below it, on whatever thread,
call ``stage``. Where nobody records, ``stage`` costs a dictionary.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import version

from pydantic import JsonValue

from ctxeng.types import sha256

Facts = dict[str, JsonValue]
TIMES = {"seconds", "cpu_seconds", "wait"}
"""Facts that differ from run to run."""


class Recorder:
    """Collects the stages of one run in the order in which they ended."""

    def __init__(self, verb: str, inputs: Facts) -> None:
        self.verb = verb
        self.inputs = inputs
        self.stages: list[Facts] = []

    def record(self) -> tuple[str, str]:
        """Id and JSON. The id is the hash of what went in and came out, timings left aside."""
        body: Facts = {"verb": self.verb, "inputs": self.inputs, "version": version("ctxeng")}
        untimed: list[JsonValue] = [
            {key: fact for key, fact in one.items() if key not in TIMES} for one in self.stages
        ]
        identity = json.dumps({**body, "stages": untimed}, sort_keys=True)
        return sha256(identity)[:32], json.dumps({**body, "stages": self.stages})


_recorder: ContextVar[Recorder | None] = ContextVar("ctxeng_recorder", default=None)


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Stages inside write to ``recorder``. A generator must not yield inside."""
    token = _recorder.set(recorder)
    try:
        yield
    finally:
        _recorder.reset(token)


@contextmanager
def stage(name: str) -> Iterator[Facts]:
    """Times a stage; what the body puts into the yielded facts is recorded with it.

    ``seconds`` is wall time, ``cpu_seconds`` the CPU time of the calling thread.
    """
    facts: Facts = {"stage": name}
    wall, cpu = time.perf_counter(), time.thread_time()
    try:
        yield facts
    finally:
        recorder = _recorder.get()
        if recorder is not None:
            facts["seconds"] = round(time.perf_counter() - wall, 6)
            facts["cpu_seconds"] = round(time.thread_time() - cpu, 6)
            recorder.stages.append(facts)
