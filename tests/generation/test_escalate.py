"""Cascades, chains and spending of models that settings name, over real HTTP."""

import anyio
import pytest
from server import chat, status, usage

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.choice import Cascade, Fallback, likeness
from ctxeng.generation.named import check_name, open_generator
from ctxeng.generation.reply import collect
from ctxeng.settings import GenerationSettings, ModelSettings, PriceSettings, Settings
from ctxeng.store import open_store
from ctxeng.types import DEFAULT_OPTIONS, Message, Usage
from tests.generation.scripted import Scripted

ASKED = [Message(role="user", content="?")]
DOWN = BackendError("down", kind="unavailable", retryable=True)


def reply(generator):
    async def call():
        stream = generator.stream(ASKED, DEFAULT_OPTIONS)
        return await collect(stream, DEFAULT_OPTIONS, model=generator.name)

    return anyio.run(call)


def configured(server, generation=None, **tables):
    own = {"backend": "openai", "base_url": server.url, "timeout": 5}
    models = {
        name: ModelSettings(**{**own, "model": name, **table}) for name, table in tables.items()
    }
    return Settings(models=models, generation=generation or GenerationSettings())


def opened(settings, name, replies=None):
    return open_generator(name, settings, idf=lambda term: 1.0, replies=replies)


def models_asked(server):
    return [body["model"] for body in server.bodies]


def test_a_model_that_agrees_with_itself_replies_and_all_that_it_took_is_counted(server):
    server.reset(*[chat("It is 20 weeks.")] * 5)
    found = reply(opened(configured(server, small={"escalate": "large"}, large={}), "small"))
    assert found.text == "It is 20 weeks."
    assert models_asked(server) == ["small"] * 5
    assert found.usage.prompt_tokens == 5 * 11
    assert found.usage.completion_tokens == 5 * 7


def test_a_model_that_says_something_else_each_time_is_not_sure_enough(server):
    texts = ["Ada did.", "Two weeks", "Nobody knows that", "Ask the porter", "On Fridays"]
    server.reset(*[chat(text) for text in texts], chat("Twenty weeks."))
    tables = {"small": {"escalate": "large", "escalate_below": 0.5}, "large": {}}
    found = reply(opened(configured(server, **tables), "small"))
    assert found.text == "Twenty weeks."
    assert models_asked(server) == ["small"] * 5 + ["large"]
    assert found.usage.prompt_tokens == 6 * 11


def test_below_no_threshold_the_small_model_always_replies(server):
    server.reset(*[chat(str(number)) for number in range(5)])
    tables = {"small": {"escalate": "large", "escalate_below": 0}, "large": {}}
    assert reply(opened(configured(server, **tables), "small")).text == "0"


def test_a_small_model_that_fails_leaves_the_reply_to_the_large_one(server):
    server.reset(status(401), chat("from the large one"))
    settings = configured(server, small={"escalate": "large"}, large={})
    assert reply(opened(settings, "small")).text == "from the large one"


def test_where_it_cannot_be_told_how_sure_it_is_the_large_one_replies():
    async def confidence(*_):
        raise DOWN

    cascade = Cascade(
        Scripted(["small"]), Scripted(["large"]), confidence=confidence, threshold=0.5
    )
    found = reply(cascade)
    assert found.text == "large"
    assert found.usage == Usage(prompt_tokens=20, completion_tokens=40)


def test_a_spend_limit_is_no_doubt():
    small = Scripted(BackendError("too dear", kind="budget"))
    large = Scripted(["large"])
    with pytest.raises(BackendError, match="too dear"):
        reply(Cascade(small, large, confidence=likeness(), threshold=0.5))
    assert not large.calls


def test_replies_in_sentences_are_alike_by_their_words():
    first = ["Every parent may take 20 weeks of leave."]
    near = Scripted(first, ["Every parent may take 20 weeks of leave, fully paid."])
    far = Scripted(first, ["The archive is closed on Mondays."])
    sure = {}

    async def measure(name, generator):
        found = await collect(
            generator.stream(ASKED, DEFAULT_OPTIONS), DEFAULT_OPTIONS, model="scripted"
        )
        sure[name] = await likeness()(generator, ASKED, DEFAULT_OPTIONS, found)

    for name, generator in {"near": near, "far": far, "silent": Scripted([" "])}.items():
        anyio.run(measure, name, generator)
    assert 0.8 < sure["near"] < 1
    assert sure["far"] < 0.2
    assert sure["silent"] == 0


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"a": {"escalate": "a"}}, r"\[models\.a\] escalate = 'a' .* a → a"),
        (
            {"a": {"escalate": "b"}, "b": {"escalate": "c"}, "c": {"escalate": "a"}},
            r"\[models\.c\] escalate = 'a' goes round in a circle: a → b → c → a",
        ),
        ({"a": {"escalate": "b"}}, r"\[models\.a\] escalate: no model is called 'b'.*local, a"),
        ({"a": {"fallback": "b"}}, r"\[models\.a\] fallback: no model is called 'b'"),
        (
            {"a": {"escalate": "b"}, "b": {"fallback": "c"}},
            r"\[models\.b\] fallback: no model is called 'c'",
        ),
    ],
)
def test_circles_and_unknown_names_are_errors_that_name_the_table(server, tables, says):
    with pytest.raises(ConfigError, match=says):
        opened(configured(server, **tables), "a")
    assert not server.bodies


def test_a_large_model_may_fall_back_on_the_small_one(server):
    tables = {"small": {"escalate": "large", "escalate_below": 2}, "large": {"fallback": "small"}}
    server.reset(*[chat("small says")] * 5, status(401), chat("small says it again"))
    assert reply(opened(configured(server, **tables), "small")).text == "small says it again"
    assert models_asked(server) == ["small"] * 5 + ["large", "small"]


def test_a_chain_may_hold_cascades(server):
    tables = {"first": {"fallback": "small"}, "small": {"escalate": "large"}, "large": {}}
    generator = opened(configured(server, **tables), "first")
    assert isinstance(generator, Fallback)
    assert generator.name.count(" → ") == 1
    assert ", or large@" in generator.name


@pytest.mark.parametrize("limit", ["spend_per_session", "spend_per_day"])
def test_a_session_and_a_day_are_limited_for_all_models_together(server, limit):
    """A call costs 2 at most: after one of the first model there is no room for the second one."""
    table = {"prices": PriceSettings(completion=2_000_000 / DEFAULT_OPTIONS.max_tokens)}
    tables = {"a": {**table, "fallback": "b"}, "b": table}
    dear = usage(completion=DEFAULT_OPTIONS.max_tokens)
    server.reset(chat("from a", counts=dear), status(401), chat("from b"))
    generator = opened(configured(server, GenerationSettings(**{limit: 3}), **tables), "a")
    assert reply(generator).usage.cost == pytest.approx(2)
    with pytest.raises(BackendError, match=limit) as caught:
        reply(generator)
    assert caught.value.kind == "budget"


def test_a_cascade_asked_twice_costs_once(server, tmp_path):
    store = open_store(tmp_path)
    try:
        texts = ["Ada", "Bob", "Cleo", "Dan", "Eve"]
        server.reset(*[chat(text) for text in texts], chat("large"))
        settings = configured(server, small={"escalate": "large"}, large={})
        generator = opened(settings, "small", store.replies)
        assert reply(generator).text == reply(generator).text == "large"
        assert len(server.bodies) == 6
    finally:
        store.close()


def test_names_that_need_no_table_are_known():
    for name in ("extractive", "local", "smollm2"):
        check_name(name, Settings())
    with pytest.raises(ConfigError, match=r"generation\.steps\.judge: no model is called 'x'"):
        check_name("x", Settings(), named_by="generation.steps.judge")
