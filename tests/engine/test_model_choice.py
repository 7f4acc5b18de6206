"""What ``model=`` takes: a name, a table, a generator, what ``open_model`` returned; and a model
whose broken streams start again.
"""

import subprocess
import sys

import anyio
import pytest

from ctxeng import Answer, Document, Engine, Settings
from ctxeng.engine.model import open_model
from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.limits import user_ledger
from ctxeng.protocols import Restart
from ctxeng.settings import EmbeddingSettings, GenerationSettings, ModelSettings
from ctxeng.types import Usage
from tests.generation.scripted import Scripted
from tests.generation.server import CLOSE, chat, delta, stream

QUESTION = "How long is parental leave?"
LEAVE = "Parental leave is 20 weeks, fully paid."
SAID = "It is 20 weeks [1]."


def settings(server, **generation):
    return Settings(
        embedding=EmbeddingSettings(model="none"),
        models={"far": ModelSettings(**table(server))},
        generation=GenerationSettings(**generation),
    )


def table(server, **more):
    return {"backend": "openai", "model": "some-model", "base_url": server.url, **more}


@pytest.fixture
def engine(server):
    with Engine.open(":memory:", settings=settings(server, cache=False)) as engine:
        engine.index([Document(id="leave", text=LEAVE)])
        yield engine


async def aask(engine, model):
    return (await engine.aask(QUESTION, model=model)).text


async def astream(engine, model):
    return [one async for one in engine.astream(QUESTION, model=model)][-1].text


async def asay(engine, model):
    return (await engine.chat(model=model).asay(QUESTION)).text


VERBS = {
    "ask": lambda engine, model: engine.ask(QUESTION, model=model).text,
    "stream": lambda engine, model: [*engine.stream(QUESTION, model=model)][-1].text,
    "chat": lambda engine, model: engine.chat(model=model).say(QUESTION).text,
    "aask": lambda engine, model: anyio.run(aask, engine, model),
    "astream": lambda engine, model: anyio.run(astream, engine, model),
    "asay": lambda engine, model: anyio.run(asay, engine, model),
}
MODELS = {
    "name": lambda _: "far",
    "table": lambda server: table(server, timeout=5),
    "settings": lambda server: ModelSettings(**table(server)),
    "generator": lambda _: Scripted([SAID]),
    "opened": lambda server: open_model(table(server), settings=Settings()),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", MODELS)
def test_every_verb_takes_every_kind_of_model(server, engine, verb, kind):
    server.reset(chat(SAID))
    assert VERBS[verb](engine, MODELS[kind](server)).startswith("It is 20 weeks")
    assert len(server.bodies) == (kind != "generator")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("wrong", [7, [], ("far",), Scripted, object()])
def test_what_is_no_model_is_told_with_what_is_one(engine, verb, wrong):
    with pytest.raises(ConfigError, match=r"is no model.*`ctxeng models`.*table.*open_model"):
        VERBS[verb](engine, wrong)
    with pytest.raises(ConfigError, match="is no model"):
        open_model(wrong, settings=Settings())


def test_a_table_that_is_wrong_says_what(engine, server):
    with pytest.raises(ConfigError, match=r"^model table: model_name: "):
        engine.ask(QUESTION, model={"backend": "openai", "model_name": "m"})
    with pytest.raises(ConfigError, match=r"key_env = ") as caught:
        engine.ask(QUESTION, model=table(server, key="sk-very-secret-0123456789"))
    assert "very-secret" not in str(caught.value)


def test_one_table_is_one_model_and_its_window_is_heeded(server, engine):
    given = table(server, context_window=800)
    server.reset(chat(SAID), chat(SAID))
    assert engine.ask(QUESTION, model=given).context.budget == 800 - 512
    engine.ask(QUESTION, model=dict(given))
    assert len(engine._parts.generators) == 1


def test_a_table_may_fall_back_on_a_name_of_the_settings(server):
    server.reset(chat(SAID))
    nowhere = {**table(server), "base_url": "http://127.0.0.1:9/v1", "timeout": 1}
    model = open_model({**nowhere, "fallback": "far"}, settings=settings(server))
    assert model.generate("How long?").text == SAID


def test_a_generator_of_ones_own_is_opened_as_a_model():
    model = open_model(Scripted(["Hello."]), settings=Settings())
    assert model.generate("Hi").text == "Hello."


# -- streams that start again


def cut(*texts):
    return [*stream(*[delta(content=text) for text in texts], end=False), CLOSE]


def test_a_stream_that_starts_again_says_so_and_its_answer_is_not_doubled(server, engine):
    server.reset(cut("It is 20 we"), chat("It is 20 ", "weeks [1]."))
    events = list(engine.stream(QUESTION, model=table(server, retry_broken_streams=True)))
    *_, answer = events
    (at,) = [at for at, event in enumerate(events) if isinstance(event, Restart)]
    assert "".join(event.text for event in events[:at]) == "It is 20 we"
    after = [event.text for event in events[at:] if not isinstance(event, Answer)]
    assert "".join(after) == answer.text == SAID
    assert [citation.quote for citation in answer.citations] == [LEAVE]
    assert answer.usage.prompt_tokens > 11
    stages = [stage["stage"] for stage in engine.trace("last").stages]
    assert stages.count("generate.restart") == 1


def test_a_conversation_keeps_the_answer_that_stands(server, engine):
    server.reset(cut("It is 20 we"), chat(SAID))
    chatting = engine.chat(model=table(server, retry_broken_streams=True))
    events = list(chatting.stream(QUESTION))
    assert any(isinstance(event, Restart) for event in events)
    assert events[-1].text == SAID
    assert [turn.answer for turn in chatting.turns] == [SAID]


def test_a_repaired_answer_is_handed_on_once_whatever_broke(server):
    configured = settings(server, cache=False, repair=True)
    server.reset(cut("It is 20 we"), chat(SAID))
    with Engine.open(":memory:", settings=configured) as engine:
        engine.index([Document(id="leave", text=LEAVE)])
        events = list(engine.stream(QUESTION, model=table(server, retry_broken_streams=True)))
    assert "".join(event.text for event in events[:-1]) == events[-1].text == SAID


def test_one_call_of_a_model_may_ask_for_it(server):
    model = open_model(table(server), settings=Settings())
    server.reset(cut("ha"), chat("fine"))
    assert model.generate("Hi", retry_broken_streams=True).text == "fine"
    server.reset(cut("ha"), chat("fine"))
    assert sum(isinstance(d, Restart) for d in model.stream("Hi", retry_broken_streams=True)) == 1
    server.reset(cut("ha"))
    assert model.generate("Hi").stop == "interrupted"


# -- a day without a workspace

PRICES = {"prompt": 1_000_000.0, "completion": 1_000_000.0}
ELSEWHERE = """
import sys
from ctxeng import Settings, open_model
from ctxeng.settings import GenerationSettings
settings = Settings(generation=GenerationSettings(spend_per_day=700, max_tokens=100))
table = {"backend": "openai", "model": "m", "base_url": sys.argv[1],
         "prices": {"prompt": 1e6, "completion": 1e6}}
print(open_model(table, settings=settings).generate("Hi").usage.cost)
"""


def limited(limit):
    return Settings(
        embedding=EmbeddingSettings(model="none"),
        generation=GenerationSettings(spend_per_day=limit, max_tokens=100, cache=False),
    )


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def test_a_day_without_a_workspace_is_counted_for_all_processes_of_a_user(server, state):
    ran = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, server.url],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert float(ran.stdout) == 18
    model = open_model(table(server, prices=PRICES), settings=limited(110))
    with pytest.raises(BackendError, match=r"18\.0000 is spent.* limit for a day is 110"):
        model.generate("Hi")
    assert open_model(table(server, prices=PRICES), settings=limited(200)).generate("Hi").text


def test_a_workspace_that_is_only_read_counts_there_too(server, state):
    with Engine.open(state / "ws", settings=limited(9_000)) as engine:
        engine.index([Document(id="leave", text=LEAVE)])
    server.reset(chat(SAID), chat(SAID))
    with Engine.open(state / "ws", settings=limited(9_000), read_only=True) as engine:
        assert engine.ask(QUESTION, model=table(server, prices=PRICES)).usage.cost == 18
    model = open_model(table(server, prices=PRICES), settings=limited(110))
    with pytest.raises(BackendError, match=r"18\.0000 is spent"):
        model.generate("Hi")


def test_where_no_day_is_limited_nothing_is_written(server, state):
    assert open_model(table(server, prices=PRICES), settings=Settings()).generate("Hi").text
    assert not (state / "state").exists()


def test_a_folder_that_cannot_be_written_limits_this_process_and_is_told(
    server, state, monkeypatch, caplog
):
    (state / "file").write_text("in the way")
    monkeypatch.setenv("XDG_STATE_HOME", str(state / "file"))
    assert user_ledger() is None
    model = open_model(table(server, prices=PRICES), settings=limited(110))
    assert "spend_per_day holds for this process only" in caplog.text
    assert isinstance(model.generate("Hi").usage, Usage)
    with pytest.raises(BackendError, match="spend_per_day"):
        model.generate("Hi")
