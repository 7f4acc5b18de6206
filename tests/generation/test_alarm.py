"""Waits that end at their time."""

import anyio
import pytest

from ctxeng.generation.alarm import Alarm

SHORT, LONG = 0.03, 30.0


@pytest.fixture
def run():
    """Runs a test on an event loop, with an alarm and the times at which it cut."""

    def on_loop(test):
        async def main():
            cut = anyio.Event()

            async def cutting():
                cut.set()

            with anyio.fail_after(10):
                await test(Alarm(cutting), cut, anyio.current_time())

        anyio.run(main)

    return on_loop


def test_a_wait_that_lasts_too_long_is_cut_and_not_before(run):
    async def law(alarm, cut, now):
        alarm.begin(now + SHORT)
        await cut.wait()
        assert alarm.rang
        assert SHORT <= anyio.current_time() - now < 5

    run(law)


def test_a_wait_that_has_ended_is_not_cut(run):
    async def law(alarm, cut, now):
        alarm.begin(now + SHORT)
        alarm.until = None
        with anyio.move_on_after(4 * SHORT):
            await cut.wait()
        assert not alarm.rang

    run(law)


def test_the_last_wait_is_the_one_that_counts(run):
    async def law(alarm, cut, now):
        for seconds in (SHORT, LONG):  # later: the timer goes off too early, and is moved
            alarm.begin(now + seconds)
        with anyio.move_on_after(4 * SHORT):
            await cut.wait()
        assert not alarm.rang
        alarm.until = None
        alarm.begin(anyio.current_time() + SHORT)  # earlier
        await cut.wait()
        assert alarm.rang

    run(law)


def test_one_that_is_stopped_stays_silent(run):
    async def law(alarm, cut, now):
        alarm.begin(now + SHORT)
        alarm.stop()
        with anyio.move_on_after(4 * SHORT):
            await cut.wait()
        assert not alarm.rang

    run(law)
