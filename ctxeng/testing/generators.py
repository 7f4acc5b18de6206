"""The laws of ``Generator``, one function each, for any implementation.

``messages`` may be any that the generator replies to without failing. What a backend that fails
must raise only its own tests can say.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import cast

import anyio

from ctxeng.errors import BackendError
from ctxeng.protocols import Delta, Generator, Restart
from ctxeng.testing.token_counters import nothing_is_no_tokens
from ctxeng.types import DEFAULT_OPTIONS, GenerationOptions, Message, Metadata

TIMEOUT = 60.0

SCHEMA: Metadata = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}

QUESTION: Sequence[Message] = (
    Message(role="system", content="Answer in one sentence."),
    Message(role="user", content="Who approves expenses above 500 euros?"),
)


def the_last_delta_and_only_it_ends_the_reply(
    generator: Generator, messages: Sequence[Message] = QUESTION
) -> None:
    """It reports the usage and the reason of the end."""
    *earlier, last = anyio.run(_deltas, generator, messages)
    assert last.usage is not None
    assert last.stop is not None
    for delta in earlier:
        assert delta.usage is None
        assert delta.stop is None
        assert delta.text or delta.tool_call is not None or isinstance(delta, Restart)


def usage_is_of_this_reply(generator: Generator, messages: Sequence[Message] = QUESTION) -> None:
    usage = anyio.run(_deltas, generator, messages)[-1].usage
    assert usage is not None
    assert usage.seconds > 0
    assert min(usage.prompt_tokens, usage.completion_tokens, usage.cost) >= 0


def closing_the_iterator_stops_the_work(
    generator: Generator, messages: Sequence[Message] = QUESTION
) -> None:
    """Nothing more comes out of it, and the generator goes on to serve others."""

    async def law() -> None:
        with anyio.fail_after(TIMEOUT):
            stream = cast("AsyncGenerator[Delta]", generator.stream(messages))
            first = await anext(stream)
            await stream.aclose()
            assert [delta async for delta in stream] == []
            assert isinstance(first, Delta)
            assert (await _deltas(generator, messages))[-1].stop is not None

    anyio.run(law)


def it_can_be_cancelled(generator: Generator, messages: Sequence[Message] = QUESTION) -> None:
    async def law() -> None:
        with anyio.fail_after(TIMEOUT):
            with anyio.CancelScope() as scope:
                async for _ in generator.stream(messages):
                    scope.cancel()
                    await anyio.lowlevel.checkpoint()
            assert scope.cancelled_caught

    anyio.run(law)


def replies_side_by_side_do_not_mix(
    generator: Generator, messages: Sequence[Message] = QUESTION
) -> None:
    """Each stream has an end of its own."""

    async def law() -> None:
        ends: list[Delta] = []

        async def read() -> None:
            ends.append((await _deltas(generator, messages))[-1])

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(read)
        assert len(ends) == 3
        assert all(end.usage is not None for end in ends)

    anyio.run(law)


def a_schema_holds_or_the_reply_is_refused(
    generator: Generator, messages: Sequence[Message] = QUESTION
) -> None:
    """No text that only looks like a reply comes to its end."""
    options = GenerationOptions(max_tokens=64, json_schema=SCHEMA)
    try:
        deltas = anyio.run(_deltas, generator, messages, options)
    except BackendError as error:
        assert error.kind == "bad_reply"
    else:
        value = json.loads("".join(delta.text for delta in deltas))
        assert list(value) == ["answer"]
        assert isinstance(value["answer"], str)


def it_counts_tokens(generator: Generator, messages: Sequence[Message] = QUESTION) -> None:
    nothing_is_no_tokens(generator.counter)
    assert generator.counter.count("two words") > 0


def the_name_stays(generator: Generator, messages: Sequence[Message] = QUESTION) -> None:
    before = generator.name
    anyio.run(_deltas, generator, messages)
    assert before
    assert generator.name == before


async def _deltas(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerationOptions = DEFAULT_OPTIONS,
) -> list[Delta]:
    with anyio.fail_after(TIMEOUT):
        return [delta async for delta in generator.stream(messages, options)]


GENERATOR_LAWS: Sequence[Callable[[Generator], None]] = (
    the_last_delta_and_only_it_ends_the_reply,
    usage_is_of_this_reply,
    closing_the_iterator_stops_the_work,
    it_can_be_cancelled,
    replies_side_by_side_do_not_mix,
    a_schema_holds_or_the_reply_is_refused,
    it_counts_tokens,
    the_name_stays,
)
