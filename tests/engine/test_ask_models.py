"""Answers by a model: the same context, sent to a server, checked when it comes back."""

import anyio
import pytest

from ctxeng import Document, Engine, Settings
from ctxeng.engine.model import open_model
from ctxeng.errors import BackendError, BudgetError, ConfigError
from ctxeng.generation.decoding import last_number, self_consistency
from ctxeng.grounding import SUPPORTED
from ctxeng.settings import EmbeddingSettings, GenerationSettings, ModelSettings, PriceSettings
from ctxeng.types import GenerationOptions, Message
from tests.generation.server import chat, status

QUESTION = "How long is parental leave?"
LEAVE = "Parental leave is 20 weeks, fully paid."


def settings(server, **generation):
    return Settings(
        embedding=EmbeddingSettings(model="none"),
        models={
            "far": ModelSettings(
                backend="openai",
                model="some-model",
                base_url=server.url,
                prices=PriceSettings(prompt=2.0, completion=10.0),
            )
        },
        generation=GenerationSettings(**generation),
    )


@pytest.fixture
def engine(server):
    with Engine.open(":memory:", settings=settings(server)) as engine:
        engine.index([Document(id="leave", text=LEAVE)])
        yield engine


def test_a_named_model_gets_the_context_and_its_answer_is_checked(server, engine):
    server.reset(chat("It is 20 weeks, ", "fully paid [1]."))
    answer = engine.ask(QUESTION, model="far")
    assert answer.text == "It is 20 weeks, fully paid [1]."
    assert answer.found
    (citation,) = answer.citations
    assert citation.quote == LEAVE
    assert answer.usage.prompt_tokens == 11
    assert answer.usage.cost == pytest.approx((11 * 2 + 7 * 10) / 1e6)
    assert "some-model" in answer.model
    (body,) = server.bodies
    assert body["messages"][0]["role"] == "system"
    assert LEAVE in str(body["messages"][-1]["content"])
    assert QUESTION in str(body["messages"][-1]["content"])


def test_each_sentence_is_checked_whether_it_cites_or_not(server, engine):
    server.reset(chat("Parental leave is 20 weeks. It was invented by Martians in Nebraska."))
    answer = engine.ask(QUESTION, model="far")
    supported, invented = answer.claims
    assert answer.found
    assert supported.support >= SUPPORTED > invented.support
    assert supported.sources[0].document_id == "leave"
    server.reset(chat("The recipe needs three eggs."))
    assert not engine.ask("How long is paid parental leave?", model="far").found


def test_the_stream_joined_is_the_answer(server, engine):
    server.reset(chat("20 ", "weeks ", "[1]."))
    *deltas, answer = engine.stream(QUESTION, model="far")
    assert "".join(delta.text for delta in deltas) == answer.text == "20 weeks [1]."


def test_what_the_sources_cannot_answer_is_not_asked_of_the_model(server, engine):
    answer = engine.ask("Who won the world cup of 1998?", model="far")
    assert not answer.found
    assert not server.bodies


def test_the_same_question_is_sent_once(server, engine):
    server.reset(chat("20 weeks [1]."))
    first = engine.ask(QUESTION, model="far")
    second = engine.ask(QUESTION, model="far")
    assert first.text == second.text
    assert second.usage.cost == 0
    assert len(server.bodies) == 1


def test_a_context_that_is_too_long_is_built_smaller_once(server, engine):
    too_long = status(
        400,
        '{"error": {"message": "maximum context length exceeded", '
        '"code": "context_length_exceeded"}}',
    )
    server.reset(too_long, chat("20 weeks [1]."))
    answer = engine.ask(QUESTION, model="far", budget=600)
    assert answer.text == "20 weeks [1]."
    assert answer.context.budget == 300
    server.reset(too_long, too_long)
    with pytest.raises(BackendError, match=r"(?i)long|context") as caught:
        engine.ask(QUESTION + " And why?", model="far")
    assert caught.value.kind == "context_length"
    assert len(server.bodies) == 2


def test_a_context_leaves_room_for_the_reply_in_a_window_that_is_known(server):
    configured = settings(server, max_tokens=100)
    far = configured.models["far"].model_copy(update={"context_window": 300})
    configured = configured.model_copy(update={"models": {"far": far}})
    with Engine.open(":memory:", settings=configured) as engine:
        engine.index([Document(id=f"{n}", text=f"{LEAVE} {n} " * 40) for n in range(20)])
        assert engine.ask(QUESTION, model="far").context.budget == 200
        assert engine.ask(QUESTION, model="far", budget=150).context.budget == 150
        assert engine.ask(QUESTION, model="extractive").context.budget > 200


def test_a_window_that_the_reply_may_fill_is_an_error_that_says_so(server):
    configured = settings(server, max_tokens=300)
    far = configured.models["far"].model_copy(update={"context_window": 300})
    configured = configured.model_copy(update={"models": {"far": far}})
    with Engine.open(":memory:", settings=configured) as engine:
        engine.index([Document(id="leave", text=LEAVE)])
        with pytest.raises(BudgetError, match="max_tokens = 300 leaves no room"):
            engine.ask(QUESTION, model="far")
    assert not server.bodies


@pytest.mark.parametrize(
    ("reason", "told"), [("length", "max_tokens"), ("content_filter", "vendor")]
)
def test_an_answer_that_is_cut_off_says_so(server, engine, reason, told):
    server.reset(chat("Parental leave is 20 weeks, fully", reason=reason))
    (note,) = engine.ask(QUESTION, model="far").notes
    assert told in note
    server.reset(chat("20 weeks [1]."))
    assert engine.ask(f"{QUESTION} Please.", model="far").notes == ()


def test_the_setting_names_who_answers(server):
    server.reset(chat("20 weeks [1]."))
    with Engine.open(":memory:", settings=settings(server, model="far")) as engine:
        engine.index([Document(id="leave", text=LEAVE)])
        assert engine.ask(QUESTION).text == "20 weeks [1]."
        assert engine.ask(QUESTION, model="extractive").model == "extractive"


def test_a_spend_limit_stops_before_the_call(server):
    limited = settings(server, spend_per_call=1e-9)
    with Engine.open(":memory:", settings=limited) as engine:
        engine.index([Document(id="leave", text=LEAVE)])
        with pytest.raises(BackendError, match="spend_per_call"):
            engine.ask(QUESTION, model="far")
    assert not server.bodies


def test_a_model_that_fails_falls_back_on_the_next_one(server):
    table = {"backend": "openai", "model": "m", "base_url": server.url, "timeout": 2.0}
    models = {
        "first": ModelSettings(**table, fallback="second"),
        "second": ModelSettings(**{**table, "model": "other"}, fallback="first"),
    }
    configured = settings(server).model_copy(update={"models": models})
    server.reset(status(401), chat("20 weeks [1]."))
    with Engine.open(":memory:", settings=configured) as engine:
        engine.index([Document(id="leave", text=LEAVE)])
        answer = engine.ask(QUESTION, model="first")
    assert answer.text == "20 weeks [1]."
    (note,) = answer.notes
    assert "Another model was asked" in note
    assert "status 401" in note
    assert [body["model"] for body in server.bodies] == ["m", "other"]


def test_an_unknown_model_is_named_with_those_that_there_are(engine):
    with pytest.raises(ConfigError, match=r"no model is called 'near'.*extractive, local, far"):
        engine.ask(QUESTION, model="near")


def test_replies_that_cannot_be_used_cost_what_they_took(server):
    server.reset(chat("no json"), chat("no json"), chat('"yes"'))
    model = open_model("far", settings=settings(server, spend_per_session=1))
    reply = model.generate("Is it?", schema={"type": "string"})
    assert (reply.value, reply.usage.prompt_tokens, reply.usage.completion_tokens) == (
        "yes",
        33,
        21,
    )
    assert reply.usage.cost == pytest.approx(3 * (11 * 2 + 7 * 10) / 1e6)
    server.reset(*[chat("no json")] * 3)
    with pytest.raises(BackendError) as caught:
        model.generate("Is it?", schema={"type": "string"})
    assert caught.value.usage.cost == pytest.approx(reply.usage.cost)
    assert caught.value.text == "no json"


def test_a_table_that_leads_nowhere_is_named(server):
    odd = ModelSettings(backend="openai", model="m", base_url="http://me:hunter2@127.0.0.1/v1")
    configured = settings(server).model_copy(update={"models": {"odd": odd}})
    with (
        Engine.open(":memory:", settings=configured) as engine,
        pytest.raises(ConfigError, match=r"^model 'odd': base_url holds a user") as caught,
    ):
        engine.ask(QUESTION, model="odd")
    assert "hunter2" not in str(caught.value)


def test_a_model_alone_writes_replies_to_messages(server):
    server.reset(chat("Hello!"), chat("Hello again!"))
    table = {"backend": "openai", "model": "some-model", "base_url": server.url}
    model = open_model(table, settings=Settings())
    reply = model.generate([{"role": "user", "content": "Hi"}], max_tokens=9)
    assert (reply.text, reply.stop) == ("Hello!", "stop")
    assert "".join(delta.text for delta in model.stream("Hi")) == "Hello again!"
    assert server.bodies[0]["messages"] == [{"role": "user", "content": "Hi"}]
    assert model.count("") == 0


def test_a_model_alone_can_be_asked_several_times_for_one_reply(server):
    server.reset(chat("It is 41."), chat("It is 42."), chat("Surely 42."))
    table = {"backend": "openai", "model": "some-model", "base_url": server.url}
    model = open_model(table, settings=Settings())
    asked = [Message(role="user", content="How much is 6 times 7?")]

    async def vote():
        return await self_consistency(
            model.generator, asked, GenerationOptions(max_tokens=9), n=3, normalise=last_number
        )

    assert anyio.run(vote).reply.text == "It is 42."
    assert len({body["seed"] for body in server.bodies}) == len(server.bodies) == 3


def test_a_wrong_table_says_what_is_wrong():
    with pytest.raises(ConfigError, match="backend"):
        open_model({"backend": "telepathy"}, settings=Settings())
    with pytest.raises(ConfigError, match="no model is called"):
        open_model("nobody", settings=Settings())
