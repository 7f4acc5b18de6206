"""Runs jobs in forks of one warm process: a fresh process in milliseconds instead of a second.

Started as a script it is that process: it reads one request a line, forks, waits, and answers with
one line. ``Forks`` is its other end. A job that does not end in time is killed and reported.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
SECONDS = 120
"""The longest that a job may take."""


class Forks:
    """A process to fork from; ``preload`` is the compiled iofault.c, ``under`` a command such as
    strace that runs it.
    """

    def __init__(self, preload: Path | None = None, *, under: Sequence[str] = ()) -> None:
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
        environment.pop("LD_PRELOAD", None)
        if preload is not None:
            environment["LD_PRELOAD"] = str(preload)
        self._process = subprocess.Popen(
            [*under, sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, job: str, **request: Any) -> dict[str, Any]:
        """Run one job.

        Returns:
            ``signal`` (0 where it ended by itself), ``hung``, ``killed`` (at the request's
            ``kill_after`` seconds), ``said`` (what the job returned, or None) and ``trace`` (of an
            unexpected exception, else empty).
        """
        self.start(job, **request)
        return self.finish()

    def start(self, job: str, **request: Any) -> None:
        """Begin a job beside this process; ``finish`` waits for it. One at a time."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"job": job, **request}) + "\n")
        self._process.stdin.flush()

    def finish(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the process to fork from has died: {self._process.poll()}"
        return json.loads(line)

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve() -> None:
    import jobs

    jobs.warm_up()
    for line in sys.stdin:
        request = json.loads(line)
        jobs.prepare(request)
        answer = _run_in_fork(jobs.JOBS[request["job"]], request)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _run_in_fork(job: Any, request: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _run(job, request, writing)
    os.close(writing)
    answer, hung, killed = _wait(child, reading, request.get("kill_after"))
    os.close(reading)
    _, status = os.waitpid(child, 0)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    said = json.loads(answer) if answer and number == 0 else {"said": None, "trace": ""}
    return {"signal": number, "hung": hung, "killed": killed, **said}


def _run(job: Any, request: dict[str, Any], writing: int) -> None:
    """In the child: never returns."""
    try:
        answer = {"said": job(request), "trace": ""}
    except BaseException:
        answer = {"said": None, "trace": traceback.format_exc()}
    data = json.dumps(answer).encode()
    while data:
        data = data[os.write(writing, data) :]
    os._exit(0)


def _wait(child: int, reading: int, kill_after: float | None) -> tuple[bytes, bool, bool]:
    """(what it said, whether it hung, whether it was killed at ``kill_after`` seconds)."""
    import time

    begun, pieces = time.monotonic(), []
    end = begun + (SECONDS if kill_after is None else kill_after)
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            os.kill(child, signal.SIGKILL)
            return b"", kill_after is None, kill_after is not None
        piece = os.read(reading, 1 << 20)
        if not piece:
            return b"".join(pieces), False, False
        pieces.append(piece)


if __name__ == "__main__":
    _serve()
