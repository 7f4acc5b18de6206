"""Prompts for small models: no larger than suits them, and their reminder stands last."""

from dataclasses import replace

import pytest

from ctxeng import Document, Engine, Settings
from ctxeng.context.plan import REMINDER
from ctxeng.generation.named import habits_of
from ctxeng.generation.packaged import SMOLLM2, Habits
from ctxeng.settings import ContextSettings, EmbeddingSettings, GenerationSettings, ModelSettings
from tests.generation.scripted import Scripted

QUESTION = "How long is parental leave?"
BRIEFLY = "Be brief."
LEAVE = "Parental leave is 20 weeks long, fully paid. "
OWN = SMOLLM2.habits


def settings(context=None, most=200, **table):
    tables = {"little": ModelSettings(backend="llama", **{"model": "m.gguf", **table})}
    return Settings(
        models=tables,
        context=ContextSettings(**context or {}),
        embedding=EmbeddingSettings(model="none"),
        generation=GenerationSettings(max_tokens=most),
    )


@pytest.mark.parametrize(
    ("name", "table", "context", "expected"),
    [
        ("local", {}, {}, OWN),
        ("smollm2", {}, {}, OWN),
        ("extractive", {}, {}, Habits()),
        ("little", {}, {}, Habits()),
        ("little", {"model": "smollm2"}, {}, OWN),
        ("little", {"model": "smollm2", "reminder": ""}, {}, replace(OWN, reminder="")),
        ("little", {"model": "smollm2", "budget": 90}, {}, replace(OWN, budget=90)),
        ("little", {"model": "smollm2", "budget": 9_000}, {}, replace(OWN, budget=9_000)),
        ("little", {"model": "smollm2", "max_tokens": 700}, {}, replace(OWN, max_tokens=700)),
        ("little", {"max_tokens": 20}, {}, Habits(max_tokens=20)),
        ("little", {"budget": 300, "reminder": BRIEFLY}, {}, Habits(300, BRIEFLY)),
        ("local", {}, {"budget": 200}, replace(OWN, budget=200)),  # no more than is allowed
        ("local", {}, {"budget": 50_000}, OWN),
        ("little", {"budget": 300}, {"budget": 200}, Habits(300)),
    ],
)
def test_a_table_says_more_than_the_packaged_model_and_that_more_than_the_default(
    name, table, context, expected
):
    assert habits_of(name, settings(context, **table)) == expected


def test_a_packaged_models_answers_are_no_longer_than_any_may_be():
    assert habits_of("local", settings(most=30)).max_tokens == 30
    assert habits_of("local", settings(most=9_000)) == OWN


@pytest.fixture
def little():
    return Scripted(["Parental leave is 20 weeks [1]."])


@pytest.fixture
def engine(little):
    chosen = settings(budget=300, reminder=BRIEFLY, max_tokens=30)
    with Engine.open(":memory:", settings=chosen) as engine:
        engine.index([Document(id=f"d{n}", text=LEAVE * 5 + f"Note {n}.") for n in range(40)])
        engine._parts.generators["little"] = little
        yield engine


def last_words(little):
    return little.calls[-1][0][-1].text


def test_what_is_asked_of_a_small_model_is_short_and_ends_with_the_reminder(engine, little):
    answer = engine.ask(QUESTION, model="little")
    assert answer.context.budget == 300
    assert 150 < answer.context.tokens <= 300
    assert last_words(little).endswith(f"\n\nQuestion: {QUESTION}\n{BRIEFLY}")
    last = answer.context.segments[-1]
    assert (last.section, last.trust, last.transformation) == (REMINDER.name, "system", "template")
    assert answer.context.query == QUESTION
    assert little.calls[-1][1].max_tokens == 30


def test_a_budget_that_is_named_says_more_than_the_models(engine, little):
    assert engine.ask(QUESTION, model="little", budget=500).context.budget == 500
    assert last_words(little).endswith(BRIEFLY)


def test_a_conversation_has_no_more_sources_than_suits_and_the_reminder_too(engine, little):
    talk = engine.chat(model="little")
    talk.say(QUESTION)
    answer = talk.say("How long is fully paid parental leave?")
    assert last_words(little).endswith(f"parental leave?\n{BRIEFLY}")
    sources = [one for one in answer.context.segments if one.section == "sources"]
    assert 0 < sum(one.tokens for one in sources) <= 300
    stable = answer.context.segments[: answer.context.stable]
    assert {one.section for one in stable} == {"instructions", "history"}


def test_other_models_get_what_they_always_got(engine, little):
    engine._parts.generators["extractive"] = little
    answer = engine.ask(QUESTION)
    assert answer.context.budget == engine.settings.context.budget
    assert last_words(little).endswith(f"\nQuestion: {QUESTION}")
    assert engine.context(QUESTION).budget == engine.settings.context.budget


def test_the_prompt_that_is_shown_is_that_of_the_model_that_answers(little):
    chosen = settings(budget=300, reminder=BRIEFLY)
    generation = GenerationSettings(model="little")
    chosen = Settings(**{**dict(chosen), "generation": generation})
    with Engine.open(":memory:", settings=chosen) as engine:
        engine.index([Document(id="d", text=LEAVE * 40)])
        shown = engine.context(QUESTION)
    assert shown.budget == 300
    assert shown.messages[-1].text.endswith(BRIEFLY)
