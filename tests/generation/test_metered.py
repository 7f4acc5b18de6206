"""Adding up what replies take, and asking several things at the same time."""

from functools import partial

import anyio
import pytest

from ctxeng.errors import BackendError
from ctxeng.generation.metered import Metered
from ctxeng.generation.reply import collect
from ctxeng.generation.together import together
from ctxeng.types import DEFAULT_OPTIONS, Message, Usage
from tests.generation.scripted import Scripted

ASKED = [Message(role="user", content="?")]


async def reply(generator):
    return await collect(generator.stream(ASKED), DEFAULT_OPTIONS, model=generator.name)


def test_all_replies_are_counted_and_pass_unchanged():
    inner = Scripted(["a", "b"], ["c"], usage=Usage(prompt_tokens=3, cache_write_tokens=2, cost=1))
    metered = Metered(inner)
    assert (metered.name, metered.counter) == (inner.name, inner.counter)
    assert [anyio.run(reply, metered).text for _ in range(2)] == ["ab", "c"]
    assert metered.usage == Usage(prompt_tokens=6, cache_write_tokens=4, cost=2)


def test_a_failure_passes_and_counts_nothing():
    metered = Metered(Scripted(BackendError("down")))
    with pytest.raises(BackendError, match="down"):
        anyio.run(reply, metered)
    assert metered.usage == Usage()


def test_results_stand_in_the_order_of_the_calls_and_few_run_at_once():
    running, most = 0, 0

    async def call(number):
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(20 - number):
            await anyio.lowlevel.checkpoint()
        running -= 1
        return number

    calls = [partial(call, number) for number in range(20)]
    assert anyio.run(partial(together, calls, at_once=3)) == list(range(20))
    assert most == 3
    assert anyio.run(partial(together, [], at_once=3)) == []


def test_the_first_failure_is_raised_as_it_is_and_the_others_are_cancelled():
    done = []

    async def fail():
        raise BackendError("down")

    async def wait():
        await anyio.sleep(30)
        done.append(1)

    with anyio.from_thread.start_blocking_portal() as portal, pytest.raises(BackendError):
        portal.call(partial(together, [wait, fail, wait], at_once=2))
    assert not done
