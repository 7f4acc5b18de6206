"""The same question to the same model is asked once."""

import anyio
import pytest

from ctxeng.errors import BackendError
from ctxeng.generation.cached import Cached, cache_key
from ctxeng.generation.reply import collect
from ctxeng.protocols import Delta
from ctxeng.store import open_store
from ctxeng.types import (
    DEFAULT_OPTIONS,
    GenerationOptions,
    Image,
    Message,
    Segment,
    ToolCall,
    Usage,
)
from tests.generation.scripted import Scripted

HELLO = [Message(role="user", content="hello")]


@pytest.fixture
def replies():
    store = open_store(None)
    yield store.replies
    store.close()


def ask(generator, messages=HELLO, options=DEFAULT_OPTIONS):
    async def run():
        return await collect(generator.stream(messages, options), options, model="scripted")

    return anyio.run(run)


def test_asked_again_it_answers_alike_without_a_call_and_at_no_cost(replies):
    inner = Scripted(["one ", "two"], ["other"], usage=Usage(prompt_tokens=9, cost=0.5))
    cached = Cached(inner, replies)
    first, second = ask(cached), ask(cached)
    assert first.text == second.text == "one two"
    assert len(inner.calls) == 1
    assert first.usage.cost == 0.5
    assert second.usage.cost == 0.0
    assert second.usage.cached_tokens == 9


@pytest.mark.parametrize(
    "other",
    [
        ([Message(role="user", content="hello!")], DEFAULT_OPTIONS),
        ([Message(role="assistant", content="hello")], DEFAULT_OPTIONS),
        ([Message(role="user", content=("hello", Image(media_type="image/png", data="AA==")))],
         DEFAULT_OPTIONS),
        (HELLO, GenerationOptions(max_tokens=3)),
        (HELLO, GenerationOptions(temperature=1.0, seed=1)),
        (HELLO, GenerationOptions(json_schema={"type": "object"})),
    ],
)  # fmt: skip
def test_whatever_differs_is_asked_anew(replies, other):
    inner = Scripted(['{"n": 1}'], ['{"n": 2}'])
    cached = Cached(inner, replies)
    assert ask(cached).text != ask(cached, *other).text
    assert len(inner.calls) == 2


def test_segments_count_by_their_text_not_by_where_they_come_from():
    def message(reason):
        segment = Segment(
            text="hello", section="s", role="user", tokens=1, trust="user", reason=reason
        )
        return [Message(role="user", content=(segment,))]

    keys = {cache_key("m", m, DEFAULT_OPTIONS) for m in (message("a"), message("b"), HELLO)}
    assert len(keys) == 1


def test_a_sampled_reply_without_a_seed_is_never_kept(replies):
    inner = Scripted(["a"], ["b"])
    sampled = GenerationOptions(temperature=0.7)
    cached = Cached(inner, replies)
    assert [ask(cached, HELLO, sampled).text for _ in range(2)] == ["a", "b"]


def test_what_failed_or_was_interrupted_is_never_kept(replies):
    class Breaks(Scripted):
        async def stream(self, messages, options=DEFAULT_OPTIONS):
            self.calls.append(messages)
            yield Delta(text="half")
            yield Delta(usage=Usage(), stop="interrupted", error="reset")

    breaks = Breaks()
    cached = Cached(breaks, replies)
    ask(cached)
    ask(cached)
    assert len(breaks.calls) == 2
    fails = Scripted(BackendError("down", retryable=True), ["up"])
    cached = Cached(fails, replies)
    with pytest.raises(BackendError):
        ask(cached)
    assert ask(cached).text == "up"


def test_tool_calls_come_back_too(replies):
    class Calls(Scripted):
        async def stream(self, messages, options=DEFAULT_OPTIONS):
            self.calls.append(messages)
            yield Delta(tool_call=ToolCall(id="1", name="search", arguments={"q": "x"}))
            yield Delta(usage=Usage(), stop="tool_calls")

    calls = Calls()
    cached = Cached(calls, replies)
    assert ask(cached).tool_calls == ask(cached).tool_calls
    assert len(calls.calls) == 1
