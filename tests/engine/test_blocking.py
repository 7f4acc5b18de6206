"""Plain forms of async streams: what ends them, and what Ctrl-C does to a step under way."""

import signal
import threading

import anyio
import pytest

from ctxeng import Document, Engine
from ctxeng.engine.blocking import plain_stream


@pytest.fixture
def searched_in():
    """An engine, and the threads in which its lexical index is asked."""
    with Engine.open(":memory:") as engine:
        engine.index(Document(id="d", text="The pump has a seal."), fast=True)
        lexical, threads = engine._parts.lexical, []
        search = lexical.search
        lexical.search = lambda *asked: threads.append(threading.current_thread()) or search(*asked)
        yield engine, threads


def test_who_waits_for_a_search_by_terms_does_it(searched_in):
    engine, threads = searched_in
    me = threading.current_thread()

    async def both():  # a loop runs in this thread, as in a notebook
        return engine.search("seal", mode="lexical"), await engine.asearch("seal", mode="lexical")

    plain, awaited = anyio.run(both)
    assert [thread is me for thread in threads] == [True, False]
    assert plain == awaited == engine.search("seal", mode="lexical")
    assert len(plain) == 1
    assert engine.search("seal") and threads[-1] is not me
    with pytest.raises(TypeError, match="asearch"):
        engine.search("seal", mode="lexical", depth=3)


def test_what_a_search_in_the_callers_thread_raises_reaches_it(searched_in):
    engine, _ = searched_in
    engine._parts.lexical.search = None
    for _ in range(2):
        with pytest.raises(TypeError, match="not callable"):
            engine.search("seal", mode="lexical")
    assert engine.search("pump", mode="dense")


def counting(*, until=3, stalls=False):
    """A stream of numbers as plain, and an event that is set when it was closed."""
    closed, waiting = threading.Event(), threading.Event()

    async def acount():
        try:
            for number in range(until):
                yield number
            if stalls:
                waiting.set()
                await anyio.sleep_forever()
        finally:
            closed.set()

    return plain_stream(acount)(), closed, waiting


def test_it_yields_all_and_ends():
    numbers, closed, _ = counting()
    assert list(numbers) == [0, 1, 2]
    assert closed.is_set()


def test_leaving_it_early_closes_it():
    numbers, closed, _ = counting(until=1_000_000)
    assert next(numbers) == 0
    numbers.close()
    assert closed.is_set()


def test_ctrl_c_gives_up_the_step_under_way_and_closes_it():
    numbers, closed, waiting = counting(stalls=True)

    def press_ctrl_c():
        assert waiting.wait(30)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    presser = threading.Thread(target=press_ctrl_c)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        list(numbers)
    presser.join(30)
    assert closed.is_set()
    assert list(counting()[0]) == [0, 1, 2]


def test_an_error_inside_reaches_who_asked():
    async def afail():
        yield 1
        raise ValueError("inside")

    numbers = plain_stream(afail)()
    assert next(numbers) == 1
    with pytest.raises(ValueError, match="inside"):
        next(numbers)
