"""What does our client cost beside bare httpx, and what do 200 streams at once take?

    python -m benchmarks.api_overhead [--json FILE] [--quick]

A server in a process of its own on loopback streams the same replies to both: as fast as it can,
and token by token as a model would. Times are the client's CPU time, the calls take turns. Both
read all that comes and join the text; bare httpx checks nothing, waits for ever and never tries
again.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import numpy as np

from benchmarks.compare import mean_row
from benchmarks.data import Row, argument_parser, print_table, write_rows
from ctxeng.generation.openai import OpenAIGenerator
from ctxeng.settings import ModelSettings
from ctxeng.types import Message

TOKENS = 100
PAUSES = {"burst": 0.0, "token by token": 0.002}
"""Seconds between two tokens, by the name of the set."""
CALLS = 300
WARM = 20
STREAMS = 200
QUESTION = "Who approves expenses above 500 euros? " * 40
CLEAR_PEAK = Path("/proc/self/clear_refs")
SERVE, FLOOD = "--serve", "--flood"
"""First arguments of the processes that this one starts."""

Ask = Callable[[], Awaitable[str]]


def measure(*, quick: bool = False) -> Iterator[Row]:
    """All rows; ``benchmarks.generation`` shows them among its own."""
    calls = CALLS // 10 if quick else CALLS
    with serving() as address:
        for name, pause in PAUSES.items():
            times = anyio.run(_in_turns, f"{address}/{pause}/v1", calls)
            for system, values in times.items():
                yield mean_row(system, name, "CPU ms a call", values)
            beyond = times["ctxeng"] - times["bare httpx"]
            yield mean_row("ctxeng", name, "CPU ms a call beyond bare httpx", beyond)
        for system in contenders(address):
            yield from _flood(system, f"{address}/{PAUSES['token by token']}/v1")


def contenders(base_url: str) -> dict[str, Ask]:
    """Both ask the same and give the text of the reply."""
    table = ModelSettings(backend="openai", model="m", base_url=base_url, max_concurrent=STREAMS)
    generator = OpenAIGenerator(table)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)  # as ours
    client = httpx.AsyncClient(limits=limits, timeout=None)
    messages = [Message(role="user", content=QUESTION)]
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }

    async def ours() -> str:
        return "".join([delta.text async for delta in generator.stream(messages)])

    async def bare() -> str:
        texts = []
        async with client.stream("POST", f"{base_url}/chat/completions", json=body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    for choice in json.loads(line[6:])["choices"]:
                        texts.append(choice["delta"].get("content") or "")
        return "".join(texts)

    return {"bare httpx": bare, "ctxeng": ours}


async def _in_turns(base_url: str, calls: int) -> dict[str, np.ndarray]:
    """CPU milliseconds of every call, by system; they alternate, so that drift hits both alike."""
    asks = contenders(base_url)
    times: dict[str, list[float]] = {system: [] for system in asks}
    for call in range(-WARM, calls):
        for system, ask in asks.items():
            began = time.process_time()
            text = await ask()
            spent = 1_000 * (time.process_time() - began)
            assert text == reply_text()
            if call >= 0:
                times[system].append(spent)
    return {system: np.array(values) for system, values in times.items()}


def _flood(system: str, base_url: str) -> Iterator[Row]:
    """``STREAMS`` at once, in a fresh process, whose peak of memory is that of nothing else."""
    command = [sys.executable, "-m", "benchmarks.api_overhead", FLOOD, system, base_url]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    for metric, value in found.items():
        yield mean_row(system, f"{STREAMS} streams at once", metric, np.array([value]))


async def _flooded(system: str, base_url: str) -> dict[str, float]:
    ask = contenders(base_url)[system]
    await ask()
    memory, cpu, wall = _Memory(), time.process_time(), time.perf_counter()
    texts = []

    async def one() -> None:
        texts.append(await ask())

    async with anyio.create_task_group() as group:
        for _ in range(STREAMS):
            group.start_soon(one)
    assert texts == [reply_text()] * STREAMS
    return {
        "peak memory beyond one stream, MB": memory.growth(),
        "CPU ms a stream": 1_000 * (time.process_time() - cpu) / STREAMS,
        "seconds": time.perf_counter() - wall,
    }


class _Memory:
    """The most that this process has held since this was made, beyond what it held then, in MB.

    Of Linux; elsewhere it is the growth of the process's peak.
    """

    def __init__(self) -> None:
        if CLEAR_PEAK.exists():
            CLEAR_PEAK.write_text("5")
        self._before = self._peak()

    def growth(self) -> float:
        return self._peak() - self._before

    def _peak(self) -> float:
        if not CLEAR_PEAK.exists():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        lines = CLEAR_PEAK.with_name("status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


@contextmanager
def serving() -> Iterator[str]:
    """A server process; yields its address. The path begins with the pause between tokens."""
    command = [sys.executable, "-m", "benchmarks.api_overhead", SERVE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _token(number: int) -> str:
    return f" word{number}"


def reply_text() -> str:
    return "".join(map(_token, range(TOKENS)))


async def _serve() -> None:
    """As plain as can be: reads a request, writes the reply, keeps the connection."""
    about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}

    def event(**fields: object) -> bytes:
        data = f"data: {json.dumps({**about, **fields})}\n\n".encode()
        return b"%x\r\n%s\r\n" % (len(data), data)

    def choice(reason: str | None, **delta: str) -> dict[str, object]:
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    tokens = [event(**choice(None, content=_token(number))) for number in range(TOKENS)]
    counts = {"prompt_tokens": 400, "completion_tokens": TOKENS}
    last = event(**choice("stop")) + event(choices=[], usage=counts)
    last += b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                await reader.readexactly(int(request.split("content-length:")[1].split()[0]))
                pause = float(request.split("/")[1])
                writer.write(head)
                for token in tokens:
                    writer.write(token)
                    if pause:
                        await asyncio.sleep(pause)
                writer.write(last)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=2 * STREAMS)
    print("http://{}:{}".format(*server.sockets[0].getsockname()), flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    if sys.argv[1:2] == [SERVE]:
        asyncio.run(_serve())
    elif sys.argv[1:2] == [FLOOD]:
        print(json.dumps(anyio.run(_flooded, sys.argv[2], sys.argv[3])))
    else:
        arguments = argument_parser(__doc__).parse_args()
        rows = list(measure(quick=arguments.quick))
        print_table(rows)
        write_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
