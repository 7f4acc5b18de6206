"""A stream that breaks off after its first token, and is to start again."""

import time
from functools import partial

import anyio
import pytest
from server import CLOSE, RESET, STALL, chat, delta, message, status, stream, usage
from server import block as opened
from server import start as began
from server import text as said
from talking import (
    BACKENDS,
    PATIENT,
    QUESTION,
    QUICK,
    calls,
    deltas,
    failure,
    interrupted,
    text,
    tries,
)

from ctxeng.errors import BackendError
from ctxeng.generation.cached import Cached
from ctxeng.generation.choice import Cascade, Fallback
from ctxeng.generation.limits import Priced, ProcessLedger
from ctxeng.generation.metered import Metered
from ctxeng.generation.reply import collect
from ctxeng.protocols import Restart
from ctxeng.settings import GenerationSettings, PriceSettings
from ctxeng.trace import Recorder, recording
from ctxeng.types import GenerationOptions, Tool

REPLIES = {"openai": chat, "anthropic": message}
ASKED = GenerationOptions(retry_broken_streams=True, max_tokens=30)
PRICES = PriceSettings(prompt=1_000_000, completion=2_000_000)  # 1 and 2 for each token
BUSY = {"error": {"message": "busy", "type": "overloaded_error"}}


@pytest.fixture(params=sorted(BACKENDS))
def backend(request):
    return request.param


def broken(backend, *texts, ending=CLOSE):
    """A reply that says this much."""
    if backend == "openai":
        return [*stream(*[delta(content=one) for one in texts], end=False), ending]
    return [*stream(began(), opened(), *map(said, texts), end=False), ending]


def standing(found):
    """What is left of a stream for whoever heeds its restarts."""
    at = max((at for at, one in enumerate(found) if isinstance(one, Restart)), default=-1)
    return text(found[at + 1 :])


def restarts(found):
    return [one for one in found if isinstance(one, Restart)]


@pytest.mark.parametrize("ending", [CLOSE, RESET])
def test_it_starts_again_and_says_that_what_was_seen_is_to_be_discarded(backend, server, ending):
    server.reset(broken(backend, "ha", "lf", ending=ending), REPLIES[backend]("fi", "ne"))
    found = deltas(BACKENDS[backend](server, retry_broken_streams=True))
    assert [one.text for one in found] == ["ha", "lf", "", "fi", "ne", ""]
    assert standing(found) == "fine"
    (restart,) = restarts(found)
    assert restart is found[2]
    assert "connection" in restart.error
    assert found[-1].stop == "stop"
    assert server.bodies[0] == server.bodies[1]


def test_a_stall_and_an_error_inside_a_stream_start_it_again_too(backend, server):
    server.reset(broken(backend, "half", ending=STALL), REPLIES[backend]("fine"))
    found = deltas(BACKENDS[backend](server, QUICK, retry_broken_streams=True))
    assert standing(found) == "fine"
    assert "no further token" in restarts(found)[0].error
    busy = b"data: " + str(BUSY).replace("'", '"').encode() + b"\n\n"
    server.reset([*broken(backend, "half")[:-1], b"%x\r\n%s\r\n" % (len(busy), busy), CLOSE])
    found = deltas(BACKENDS[backend](server, retry_broken_streams=True))
    assert standing(found) == "fine"
    assert "busy" in restarts(found)[0].error


def test_it_is_off_unless_the_table_or_the_call_asks_and_the_call_decides(backend, server):
    for table, options, again in [
        ({}, {}, False),
        ({}, {"retry_broken_streams": True}, True),
        ({"retry_broken_streams": True}, {}, True),
        ({"retry_broken_streams": True}, {"retry_broken_streams": False}, False),
    ]:
        server.reset(broken(backend, "half"))
        found = deltas(BACKENDS[backend](server, **table), options=GenerationOptions(**options))
        assert len(server.requests) == 1 + again
        assert bool(restarts(found)) == again
        assert found[-1].stop == ("stop" if again else "interrupted")


def test_usage_counts_what_was_discarded(server):
    server.reset(broken("openai", "one two three"), chat("fine", counts=usage(11, 7)))
    found = deltas(BACKENDS["openai"](server, retry_broken_streams=True))
    (restart,) = restarts(found)
    assert restart.took.prompt_tokens > 0
    assert restart.took.completion_tokens > 0
    last = found[-1].usage
    assert last.prompt_tokens == 11 + restart.took.prompt_tokens
    assert last.completion_tokens == 7 + restart.took.completion_tokens
    assert last.seconds >= last.first_token_seconds >= restart.took.seconds


def test_all_tries_are_counted_together_and_the_last_part_is_kept(backend, server):
    server.reset(status(503), *[broken(backend, f"part {n}") for n in range(9)])
    generator = BACKENDS[backend](server, retry_broken_streams=True)
    found, stages = tries(partial(deltas, generator))
    assert len(server.requests) == 5
    assert [s["try"] for s in stages] == [1, 2, 3, 4, 5]
    assert [s["status"] for s in stages] == [503, 200, 200, 200, 200]
    assert standing(found) == "part 3"
    assert found[-1].stop == "interrupted"


def test_what_had_come_is_given_once_more_where_no_try_begins(backend, server):
    server.reset(broken(backend, "ha", "lf"), status(401, {"error": {"message": "no more"}}))
    found = deltas(BACKENDS[backend](server, retry_broken_streams=True))
    assert standing(found) == "half"
    assert found[-1].stop == "interrupted"
    assert "could not start again" in found[-1].error
    assert "no more" in found[-1].error
    assert found[-1].usage == restarts(found)[0].took


def test_the_deadline_holds_over_all(backend, server):
    timeout = QUICK.model_copy(update={"total": 0.6})
    server.reset(*[broken(backend, "half", ending=STALL) for _ in range(9)])
    before = time.monotonic()
    found = deltas(BACKENDS[backend](server, timeout, retry_broken_streams=True))
    assert time.monotonic() - before < 3
    assert len(server.requests) < 5
    assert found[-1].stop == "interrupted"
    assert standing(found) == "half"


def test_what_cannot_pass_is_not_tried_again(server):
    nonsense = [*broken("openai", "half")[:-1], b"b\r\ndata: oops\n\r\n", b"2\r\n\n\n\r\n", CLOSE]
    server.reset(nonsense)
    _, why = interrupted(deltas(BACKENDS["openai"](server, retry_broken_streams=True)))
    assert "no JSON" in why
    assert len(server.requests) == 1


def test_a_tool_call_of_a_broken_stream_is_discarded_with_its_text(server):
    call = {"index": 0, "id": "a", "function": {"name": "look", "arguments": "{}"}}
    other = {"index": 1, "id": "b", "function": {"name": "look", "arguments": "{"}}
    first = stream(delta(tool_calls=[call]), delta(tool_calls=[other]), end=False)
    server.reset([*first, CLOSE], chat("fine"))
    options = GenerationOptions(tools=(Tool(name="look"),), retry_broken_streams=True)
    generator = BACKENDS["openai"](server)
    found = deltas(generator, options=options)
    assert len(calls(found)) == 1
    server.reset([*first, CLOSE], chat("fine"))
    reply = anyio.run(replied, generator, options)
    assert (reply.text, reply.tool_calls, reply.stop) == ("fine", (), "stop")


async def replied(generator, options=ASKED):
    return await collect(generator.stream(QUESTION, options), options, model=generator.name)


class Kept:
    """Replies in memory."""

    def __init__(self):
        self.held = {}

    def get_reply(self, key):
        return self.held.get(key)

    def put_reply(self, key, payload):
        self.held[key] = payload


def test_a_reply_is_kept_as_it_stands_with_what_all_tries_took(server):
    server.reset(broken("openai", "half"), chat("fine"))
    kept = Kept()
    generator = Cached(BACKENDS["openai"](server), kept)
    first = anyio.run(replied, generator)
    again = anyio.run(replied, generator)
    without = anyio.run(replied, generator, ASKED.model_copy(update={"retry_broken_streams": None}))
    assert first.text == again.text == without.text == "fine"
    assert first.usage.prompt_tokens == again.usage.prompt_tokens > 11
    assert len(server.requests) == 2
    assert len(kept.held) == 1


def priced(server, ledger=None, **limits):
    return Priced(
        BACKENDS["openai"](server),
        PRICES,
        limits=GenerationSettings(**limits),
        ledger=ledger or ProcessLedger(),
    )


def test_all_tries_are_paid_for(server):
    server.reset(broken("openai", "half"), chat("fine", counts=usage(11, 7)))
    ledger = ProcessLedger()
    found = deltas(Closing(priced(server, ledger)), options=ASKED)
    (restart,) = restarts(found)
    assert restart.took.cost > 0
    assert found[-1].usage.cost == pytest.approx(restart.took.cost + 11 + 2 * 7)
    assert sum(ledger._spent.values()) == pytest.approx(found[-1].usage.cost)


@pytest.mark.parametrize("limit", ["spend_per_call", "spend_per_session", "spend_per_day"])
def test_no_try_is_made_that_could_go_over_a_limit_and_what_had_come_is_kept(server, limit):
    """One try can cost some 75, and the broken one has cost some 15."""
    server.reset(broken("openai", "half"))
    ledger = ProcessLedger()
    model = Closing(priced(server, ledger, **{limit: 80}))
    came, why = interrupted(deltas(model, options=ASKED))
    assert came == "half"
    assert "It is not started again" in why
    assert limit in why
    assert len(server.requests) == 1
    assert 0 < sum(ledger._spent.values()) < 30


def test_wrappers_hand_a_restart_on(server):
    for wrapped in (
        lambda one: Fallback([one, one]),
        Metered,
        lambda one: Cascade(failing(), one, confidence=None, threshold=0.5),
    ):
        server.reset(broken("openai", "half"), chat("fine", counts=usage(11, 7)))
        found = deltas(Closing(wrapped(BACKENDS["openai"](server))), options=ASKED)
        assert standing(found) == "fine"
        assert found[-1].usage.prompt_tokens == 11 + restarts(found)[0].took.prompt_tokens


class Closing:
    """As ``deltas`` wants it."""

    def __init__(self, generator):
        self.stream = generator.stream

    async def aclose(self):
        """There is nothing to close."""


def failing():
    class Failing:
        name = "failing"

        async def stream(self, messages, options):
            raise BackendError("it is not there")
            yield

    return Failing()


def test_the_trace_says_why_it_started_again(server):
    server.reset(broken("openai", "half"), chat("fine"))
    recorder = Recorder("test", {})
    with recording(recorder):
        deltas(BACKENDS["openai"](server, retry_broken_streams=True))
    names = [stage["stage"] for stage in recorder.stages]
    assert names == ["generate.try", "generate.restart", "generate.try"]
    assert "connection" in recorder.stages[1]["why"]


def test_leaving_after_a_restart_makes_no_further_try(server):
    server.reset(broken("openai", "half"))

    async def leave():
        generator = BACKENDS["openai"](server, PATIENT, first_pause=5)
        stream = generator.stream(QUESTION, ASKED)
        async for one in stream:
            if isinstance(one, Restart):
                await stream.aclose()
        await generator.aclose()

    with_limit = time.monotonic()
    anyio.run(leave)
    assert time.monotonic() - with_limit < 3
    assert len(server.requests) == 1


def test_a_reply_that_cannot_be_used_after_a_restart_counts_both(server):
    options = ASKED.model_copy(update={"json_schema": {"type": "object"}})
    server.reset(broken("openai", "{"), chat("no json", counts=usage(11, 7)))
    error = failure(BACKENDS["openai"](server), options=options)
    assert (error.kind, error.text) == ("bad_reply", "no json")
    assert error.usage.prompt_tokens > 11


def test_streams_side_by_side_start_again_each_by_itself(server):
    server.reset(*[broken("openai", "half") for _ in range(4)])
    generator = BACKENDS["openai"](server, retry_broken_streams=True)
    found = []

    async def one():
        found.append(standing([d async for d in generator.stream(QUESTION)]))

    async def many():
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(one)
            await generator.aclose()

    anyio.run(many)
    assert found == ["fine"] * 4
    assert len(server.requests) == 8
