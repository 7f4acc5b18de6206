"""Turns at a server: shared by all who ask it, on whatever loop, and within the total time."""

import gc
import threading
import time
from functools import partial
from weakref import WeakValueDictionary

import anyio
import pytest
from server import STALL, chat, delta, finish, head, status, stream
from talking import BACKENDS, QUESTION, deltas, failure, openai, text, tries

from ctxeng.errors import BackendError
from ctxeng.generation import pace
from ctxeng.generation.pace import NoTurnError, Pace, pace_of, turn
from ctxeng.settings import ModelSettings, TimeoutSettings

PAUSE = 0.03
LONGEST = 20


@pytest.fixture(autouse=True)
def _nobody_before(monkeypatch):
    """What one test asks of a server is nothing to the next one."""
    monkeypatch.setattr(pace, "_paces", WeakValueDictionary())


class Watched:
    """A server's replies, each of which takes a while; ``most`` ran at once."""

    def __init__(self, server):
        self.running = self.most = 0
        self._turn = threading.Lock()
        server.replies = self

    def pop(self, _):
        return self._reply()

    def _reply(self):
        with self._turn:
            self.running += 1
            self.most = max(self.most, self.running)
        first, *rest = stream(delta(content="fi"), delta(content="ne"), finish())
        yield first
        yield PAUSE
        with self._turn:
            self.running -= 1
        yield from rest

    def __bool__(self):
        return True


async def ask(generator, times=1):
    with anyio.fail_after(LONGEST):
        async with anyio.create_task_group() as group:
            for _ in range(times):
                group.start_soon(one, generator)
        await generator.aclose()


async def each(times, *generators):
    """All of them on one loop."""
    async with anyio.create_task_group() as group:
        for generator in generators:
            group.start_soon(ask, generator, times)


async def one(generator):
    assert text([part async for part in generator.stream(QUESTION)]) == "fine"


def at_once(*works):
    """Each on a thread, and so on a loop, of its own."""
    failed = []

    def run(work):
        try:
            anyio.run(work)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONGEST)
    assert not any(thread.is_alive() for thread in threads)
    assert not failed


def test_no_more_replies_run_at_once_than_allowed(server):
    watched = Watched(server)
    anyio.run(ask, openai(server, max_concurrent=3), 9)
    assert watched.most == 3
    assert len(server.requests) == 9


def test_two_names_of_one_server_and_key_share_its_places(server):
    watched = Watched(server)
    small, large = openai(server, max_concurrent=2), openai(server, model="large", max_concurrent=2)

    anyio.run(each, 4, small, large)
    assert watched.most == 2
    assert {body["model"] for body in server.bodies} == {"small", "large"}


def test_another_key_has_places_of_its_own(server, monkeypatch):
    monkeypatch.setenv("CTXENG_OTHER_KEY", "sk-another-0123456789")
    watched = Watched(server)
    mine = openai(server, max_concurrent=1)
    theirs = openai(server, key_env="CTXENG_OTHER_KEY", max_concurrent=1)

    anyio.run(each, 3, mine, theirs)
    assert watched.most == 2


def test_the_places_are_those_of_all_loops_together(server):
    """Plain and async verbs run on loops of their own."""
    watched = Watched(server)
    at_once(*[partial(ask, openai(server, max_concurrent=2), 3) for _ in range(4)])
    assert watched.most == 2
    assert len(server.requests) == 12


def test_each_name_keeps_to_its_own_limit_and_who_came_first_goes_first():
    own, order = Pace(), []

    async def take(name, most):
        place = await own.enter(most, anyio.current_time() + LONGEST)
        order.append(name)
        await anyio.sleep(PAUSE)
        own.leave(place)

    async def several():
        async with anyio.create_task_group() as group:
            for name, most in [("a", 2), ("b", 2), ("narrow", 1), ("c", 2)]:
                group.start_soon(take, name, most)

    anyio.run(several)
    assert order == ["a", "b", "narrow", "c"]


def test_a_place_whose_loop_has_ended_is_free_again():
    own = Pace()

    async def enter(until):
        return await own.enter(1, anyio.current_time() + until)

    anyio.run(enter, LONGEST)
    assert anyio.run(enter, LONGEST) is not None


def test_who_gives_up_waiting_leaves_the_queue():
    own = Pace()

    async def impatient():
        place = await own.enter(1, anyio.current_time() + LONGEST)
        with anyio.move_on_after(0.01) as gone:
            await own.enter(1, anyio.current_time() + LONGEST)
        assert gone.cancelled_caught
        own.leave(place)
        with anyio.fail_after(5):
            return await own.enter(1, anyio.current_time() + LONGEST)

    assert anyio.run(impatient) is not None


def test_leaving_a_stream_early_frees_the_place(server):
    generator = openai(server, max_concurrent=1)

    async def leave():
        stream = generator.stream(QUESTION)
        await anext(stream)
        await stream.aclose()
        with anyio.fail_after(5):
            await one(generator)
        await generator.aclose()

    anyio.run(leave)


def test_requests_begin_no_faster_than_allowed_whichever_name_they_are_of(server):
    small = openai(server, requests_per_minute=1_200)
    large = openai(server, model="large", requests_per_minute=1_200)

    began = time.monotonic()
    anyio.run(each, 3, small, large)
    assert time.monotonic() - began >= 5 * 60 / 1_200


def test_tries_count_as_requests(server):
    server.reset(status(503), status(503))
    began = time.monotonic()
    assert text(deltas(openai(server, requests_per_minute=600))) == "fine"
    assert time.monotonic() - began >= 2 * 60 / 600


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_the_total_time_spans_the_waiting_and_the_error_says_for_what(backend, server):
    timeout = TimeoutSettings(connect=5, first_token=5, between_tokens=5, total=0.3)
    generator = BACKENDS[backend](server, timeout, max_concurrent=1)
    patient = BACKENDS[backend](server, max_concurrent=1)
    server.reset([head(), STALL])
    late = []

    async def both():
        with anyio.fail_after(LONGEST):
            async with anyio.create_task_group() as group:
                group.start_soon(patient.stream(QUESTION).__anext__)
                while not server.requests:
                    await anyio.sleep(0.001)
                began = anyio.current_time()
                try:
                    await one(generator)
                except BackendError as error:
                    late.append((error, anyio.current_time() - began))
                group.cancel_scope.cancel()
        await patient.aclose()

    anyio.run(both)
    (error, seconds) = late[0]
    assert 0.25 <= seconds < 3
    assert (error.kind, error.retryable) == ("timeout", True)
    for said in (generator.name, "turn", "max_concurrent = 1", "raise max_concurrent"):
        assert said in str(error)
    assert len(server.requests) == 1


def test_a_turn_beyond_the_total_time_is_told_at_once(server):
    timeout = TimeoutSettings(connect=5, first_token=5, between_tokens=5, total=5)
    generator = openai(server, timeout, requests_per_minute=6)
    deltas(generator)
    began = time.monotonic()
    error = failure(generator)
    assert time.monotonic() - began < 3
    assert (error.kind, error.retryable) == ("timeout", True)
    for said in ("turn comes in", "requests_per_minute = 6", "timeout.total"):
        assert said in str(error)
    assert len(server.requests) == 1


def test_what_is_left_of_the_total_time_after_waiting_is_the_replys(server):
    timeout = TimeoutSettings(connect=5, first_token=5, between_tokens=5, total=2)
    server.reset(chat("fine"), [head(), STALL])
    generator = openai(server, timeout, requests_per_minute=40)  # 1.5 s apart
    deltas(generator)
    began = time.monotonic()
    assert "no whole reply within 2 s" in str(failure(generator))
    assert time.monotonic() - began < 3


def test_a_wait_is_in_the_trace(server):
    generator = openai(server, requests_per_minute=100)
    deltas(generator)
    _, (stage,) = tries(partial(deltas, generator))
    assert 0 < stage["wait"] < LONGEST


def test_a_backend_without_a_server_waits_for_its_turn_too():
    """As the local ones do."""
    table = ModelSettings(backend="transformers", model="m", max_concurrent=1, timeout=0.1)
    own = Pace()

    async def two():
        async with turn(own, "small", table):
            with pytest.raises(BackendError, match=r"^small: it waited .*= 1") as late:
                async with turn(own, "small", table):
                    raise AssertionError("it is not its turn")
            assert late.value.kind == "timeout"
        async with turn(own, "small", table):
            return True

    assert anyio.run(two)


def test_a_pace_goes_with_the_last_who_asks_that_server():
    first = pace_of("http://host", "KEY")
    assert pace_of("http://host", "KEY") is first
    assert pace_of("http://host", "OTHER") is not first
    first._last = 1.0
    del first
    gc.collect()
    assert pace_of("http://host", "KEY")._last < 0


def test_a_missed_turn_is_an_error_of_this_room():
    async def late():
        own = Pace()
        await own.enter(1, anyio.current_time() + 1)
        with pytest.raises(NoTurnError):
            await own.enter(1, anyio.current_time() - 1)

    anyio.run(late)
