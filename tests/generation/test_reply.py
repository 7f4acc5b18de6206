"""One reply of a stream."""

import anyio
import pytest

from ctxeng.errors import BackendError
from ctxeng.generation.reply import collect
from ctxeng.protocols import Delta
from ctxeng.types import DEFAULT_OPTIONS, GenerationOptions, Message, ToolCall, Usage
from tests.generation.scripted import Scripted

HELLO = [Message(role="user", content="hello")]
AS_JSON = GenerationOptions(json_schema={"type": "object"})


def collected(generator, options=DEFAULT_OPTIONS):
    async def run():
        return await collect(generator.stream(HELLO, options), options, model="scripted")

    return anyio.run(run)


def test_the_joined_texts_are_the_reply():
    generator = Scripted(["one ", "", "two"])
    reply = collected(generator)
    assert (reply.text, reply.stop, reply.model) == ("one two", "stop", "scripted")
    assert reply.usage == Usage(prompt_tokens=10, completion_tokens=20)
    assert generator.closed == 1


def test_a_schema_gives_the_parsed_value_or_an_error_with_the_text():
    assert collected(Scripted(['{"a"', ": [1]}"]), AS_JSON).value == {"a": [1]}
    with pytest.raises(BackendError, match="no JSON") as caught:
        collected(Scripted(["I would rather not"]), AS_JSON)
    assert caught.value.kind == "bad_reply"
    assert caught.value.text == "I would rather not"


def test_tool_calls_are_kept_and_are_no_json():
    class Calls:
        async def stream(self, messages, options):
            yield Delta(tool_call=ToolCall(id="1", name="search", arguments={"q": "x"}))
            yield Delta(usage=Usage(), stop="tool_calls")

    reply = collected(Calls(), AS_JSON)
    assert [call.name for call in reply.tool_calls] == ["search"]
    assert reply.value is None
    assert reply.stop == "tool_calls"


def test_an_interrupted_stream_keeps_what_had_come_and_says_why():
    class Breaks:
        async def stream(self, messages, options):
            yield Delta(text="half of")
            yield Delta(usage=Usage(), stop="interrupted", error="connection reset")

    class Ends:
        async def stream(self, messages, options):
            yield Delta(text="half of")

    assert collected(Breaks()).error == "connection reset"
    assert collected(Breaks()).text == "half of"
    assert collected(Ends()).stop == "interrupted"
    assert collected(Ends()).error
