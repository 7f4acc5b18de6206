"""Prices and spend limits."""

import math

import anyio
import pytest

from ctxeng.errors import BackendError
from ctxeng.generation.counting import ApproximateCounter
from ctxeng.generation.limits import IMAGE, Priced, ProcessLedger, cost_of, most_tokens
from ctxeng.generation.reply import collect
from ctxeng.settings import GenerationSettings, PriceSettings
from ctxeng.store import open_store
from ctxeng.types import (
    Attachment,
    GenerationOptions,
    Image,
    Message,
    Tool,
    Usage,
)
from tests.generation.scripted import Scripted

HELLO = [Message(role="user", content="hello")]
PRICES = PriceSettings(prompt=1_000_000, completion=2_000_000)  # 1 and 2 for each token
SHORT = GenerationOptions(max_tokens=30)


async def reply(generator, options=SHORT, messages=HELLO):
    return await collect(generator.stream(messages, options), options, model="scripted")


def test_a_cost_is_prompt_cached_and_completion_at_their_prices():
    usage = Usage(prompt_tokens=1_000, cached_tokens=400, completion_tokens=100)
    assert cost_of(usage, PriceSettings(prompt=2, cached=0.5, completion=10)) == pytest.approx(
        (600 * 2 + 400 * 0.5 + 100 * 10) / 1_000_000
    )
    assert cost_of(usage, PriceSettings(prompt=2, completion=10)) == pytest.approx(0.003)


def test_a_prompt_token_written_to_the_cache_has_its_own_price():
    usage = Usage(prompt_tokens=1_000, cached_tokens=400, cache_write_tokens=500)
    prices = PriceSettings(prompt=2, cached=0.5, cache_write=2.5)
    assert cost_of(usage, prices) == pytest.approx((100 * 2 + 400 * 0.5 + 500 * 2.5) / 1_000_000)
    without = PriceSettings(prompt=2, cached=0.5)
    assert cost_of(usage, without) == pytest.approx((600 * 2 + 400 * 0.5) / 1_000_000)


def test_what_is_put_aside_holds_for_a_prompt_that_is_all_written_to_the_cache():
    inner = Scripted(["a"])
    prices = PriceSettings(prompt=1_000_000, cache_write=10_000_000)
    model = Priced(
        inner, prices, limits=GenerationSettings(spend_per_call=9), ledger=ProcessLedger()
    )
    with pytest.raises(BackendError, match="could cost"):
        anyio.run(reply, model)
    assert not inner.calls


def test_models_of_one_session_share_its_limit():
    session, ledger = ProcessLedger(), ProcessLedger()
    limits = GenerationSettings(spend_per_session=70)
    one, other = (
        Priced(Scripted(["a"]), PRICES, limits=limits, ledger=ledger, session=session)
        for _ in range(2)
    )
    assert anyio.run(reply, one).usage.cost == 50
    with pytest.raises(BackendError, match="session"):
        anyio.run(reply, other)


def priced(inner, ledger=None, **limits):
    return Priced(
        inner, PRICES, limits=GenerationSettings(**limits), ledger=ledger or ProcessLedger()
    )


def test_a_reply_says_what_it_cost():
    assert anyio.run(reply, priced(Scripted(["a"]))).usage.cost == 10 + 2 * 20


@pytest.mark.parametrize("limit", ["spend_per_call", "spend_per_session", "spend_per_day"])
def test_a_call_that_could_go_over_a_limit_is_not_made(limit):
    inner = Scripted(["a"])
    model = priced(inner, **{limit: 59})  # the prompt has a token or more, 30 of reply cost 60
    with pytest.raises(BackendError, match=limit) as caught:
        anyio.run(reply, model)
    assert caught.value.kind == "budget"
    assert not inner.calls


TOOL = Tool(name="look", description="Looks something up. " * 50)
SCHEMA = {"type": "object", "description": "What is asked for. " * 50}
PIXEL = Image(media_type="image/png", data="AAAA")
PDF = Attachment(name="a.pdf", media_type="application/pdf", data="A" * 4_000)


@pytest.mark.parametrize(
    ("content", "options", "least"),
    [
        ("Hi", {"tools": (TOOL,)}, 200),
        ("Hi", {"json_schema": SCHEMA}, 400),
        (("Hi", PIXEL), {}, IMAGE),
        (("Hi", PDF), {}, 1_000),
    ],
    ids=["tools", "schema", "image", "file"],
)
def test_what_is_put_aside_holds_for_all_that_is_sent(content, options, least):
    inner = Scripted(["a"])
    limits = GenerationSettings(spend_per_call=least)
    model = Priced(inner, PriceSettings(prompt=1_000_000), limits=limits, ledger=ProcessLedger())
    asked = [Message(role="user", content=content)]
    options = GenerationOptions(max_tokens=1, **options)
    with pytest.raises(BackendError, match="spend_per_call"):
        anyio.run(reply, model, options, asked)
    assert not inner.calls


def test_a_count_that_is_approximate_is_put_aside_with_its_margin():
    counter, asked = ApproximateCounter(), [Message(role="user", content="word " * 1_000)]
    exact = counter.count(asked[0].text)
    assert most_tokens(counter, asked, SHORT) == math.ceil(exact * (1 + counter.margin)) > exact


def test_a_refusal_says_what_is_spent_already():
    model = priced(Scripted(["a"], ["b"]), spend_per_day=100)
    anyio.run(reply, model)  # costs 50
    with pytest.raises(BackendError, match=r"could cost 6\d\.0+, 50\.0+ is spent .* day is 100"):
        anyio.run(reply, model)


def test_what_was_put_aside_and_not_spent_is_free_again():
    inner = Scripted(["a"], usage=Usage(prompt_tokens=1, completion_tokens=1))  # costs 3
    model = priced(inner, spend_per_session=70, spend_per_day=70)
    for _ in range(2):
        anyio.run(reply, model)
    with pytest.raises(BackendError):  # 6 spent, 61 or more could follow, so 70 holds; 76 would not
        anyio.run(reply, priced(inner, model._ledger, spend_per_day=66))


def test_a_call_that_fails_before_anything_has_come_costs_nothing():
    ledger = ProcessLedger()
    model = priced(Scripted(BackendError("no such key", kind="auth"), ["a"]), ledger)
    with pytest.raises(BackendError, match="no such key"):
        anyio.run(reply, model)
    assert sum(ledger._spent.values()) == 0


def test_a_reply_that_cannot_be_used_costs_what_it_took():
    took = Usage(prompt_tokens=3, completion_tokens=4)
    ledger = ProcessLedger()
    model = priced(Scripted(BackendError("no JSON", kind="bad_reply", usage=took)), ledger)
    with pytest.raises(BackendError, match="no JSON") as caught:
        anyio.run(reply, model)
    assert caught.value.usage.cost == sum(ledger._spent.values()) == 3 + 4 * 2


def test_a_reply_that_is_cut_off_counts_as_much_as_it_could_have_cost():
    ledger = ProcessLedger()
    model = priced(Scripted(["a", "b"]), ledger)

    async def leave():
        stream = model.stream(HELLO, SHORT)
        await anext(stream)
        await stream.aclose()

    anyio.run(leave)
    assert sum(ledger._spent.values()) >= 60


def test_concurrent_calls_do_not_go_over_a_limit_together():
    inner = Scripted(["a"], pause=0.005)
    model = priced(inner, spend_per_session=150)
    refused = []

    async def one():
        try:
            await reply(model)
        except BackendError:
            refused.append(1)

    async def many():
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(one)

    anyio.run(many)
    assert inner.most == 2
    assert refused


def test_a_day_is_counted_in_the_workspace_for_all_processes(tmp_path):
    first, second = open_store(tmp_path), open_store(tmp_path)
    try:
        assert first.replies.reserve_spend("2026-01-31", 6.0, 10.0)
        assert not second.replies.reserve_spend("2026-01-31", 6.0, 10.0)
        first.replies.settle_spend("2026-01-31", -4.0)
        assert second.replies.spent("2026-01-31") == 2.0
        assert second.replies.reserve_spend("2026-01-31", 6.0, 10.0)
        assert second.replies.reserve_spend("2026-02-01", 6.0, 10.0)
        assert first.replies.spent("2026-01-30") == 0.0
    finally:
        first.close()
        second.close()
