"""Asks generators in tests, within bounded time."""

from functools import partial

import anyio

from ctxeng.errors import BackendError
from ctxeng.generation.anthropic import AnthropicGenerator
from ctxeng.generation.openai import OpenAIGenerator
from ctxeng.settings import ModelSettings, TimeoutSettings
from ctxeng.trace import Recorder, recording
from ctxeng.types import DEFAULT_OPTIONS, Message

LONGEST = 20
KEY_ENV = "CTXENG_TEST_KEY"
KEY = "sk-very-secret-0123456789abcdef"
QUESTION = [
    Message(role="system", content="Be short."),
    Message(role="user", content="Who approves expenses?"),
]
QUICK = TimeoutSettings(connect=5, first_token=0.25, between_tokens=0.25, total=5)
PATIENT = TimeoutSettings(connect=5, first_token=5, between_tokens=5, total=10)


def openai(server, timeout=PATIENT, first_pause=0.01, **table):
    table = {"model": "small", "base_url": server.url, "key_env": KEY_ENV, **table}
    settings = ModelSettings(backend="openai", timeout=timeout, **table)
    return OpenAIGenerator(settings, first_pause=first_pause)


def anthropic(server, timeout=PATIENT, first_pause=0.01, **table):
    table = {"model": "small", "base_url": server.root, "key_env": KEY_ENV, **table}
    settings = ModelSettings(backend="anthropic", timeout=timeout, **table)
    return AnthropicGenerator(settings, first_pause=first_pause)


BACKENDS = {"openai": openai, "anthropic": anthropic}


async def adeltas(generator, messages=QUESTION, options=DEFAULT_OPTIONS):
    with anyio.fail_after(LONGEST):
        try:
            return [delta async for delta in generator.stream(messages, options)]
        finally:
            await generator.aclose()


def deltas(generator, messages=QUESTION, options=DEFAULT_OPTIONS):
    return anyio.run(partial(adeltas, generator, messages, options))


def text(found):
    return "".join(delta.text for delta in found)


def calls(found):
    return [delta.tool_call for delta in found if delta.tool_call is not None]


def failure(generator, messages=QUESTION, options=DEFAULT_OPTIONS):
    """The error that it raises."""
    try:
        found = deltas(generator, messages, options)
    except BackendError as error:
        return error
    raise AssertionError(f"no error, but {found}")


def interrupted(found):
    """What had come, and why no more did."""
    last = found[-1]
    assert last.stop == "interrupted"
    assert last.usage is not None
    assert last.error
    return text(found), last.error


def tries(call):
    """The result of the call, and what the trace says of its tries."""
    recorder = Recorder("test", {})
    with recording(recorder):
        result = call()
    return result, [s for s in recorder.stages if s["stage"] == "generate.try"]
