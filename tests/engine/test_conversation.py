"""Conversations: what a turn's prompt is made of, what is kept of it, and what outlives what."""

import json
import re
import signal
import subprocess
import sys
import threading
from itertools import pairwise

import anyio
import pytest

from ctxeng import Answer, Document, Engine, Scope, Settings
from ctxeng.engine.session import Session
from ctxeng.errors import BackendError, BudgetError, ConfigError, WorkspaceError
from ctxeng.settings import (
    ContextSettings,
    EmbeddingSettings,
    GenerationSettings,
    ModelSettings,
    StepSettings,
)
from ctxeng.types import Message
from tests.generation.server import CLOSE, STALL, chat, delta, status, stream, usage

LEAVE = "Parental leave is 20 weeks, fully paid. The personnel office approves parental leave."
DOCUMENTS = [
    Document(id="leave", text=LEAVE),
    Document(id="sabbatical", text="A sabbatical of three months is possible after five years."),
    Document(id="hotel", text="A hotel in Berlin may cost 140 EUR a night."),
]
QUESTION = "How long is parental leave?"


def settings(server=None, **context):
    far = {} if server is None else {"base_url": server.url}
    return Settings(
        embedding=EmbeddingSettings(model="none"),
        context=ContextSettings(**context),
        generation=GenerationSettings(max_tokens=100),
        models={"far": ModelSettings(backend="openai", model="some-model", timeout=5.0, **far)},
    )


@pytest.fixture
def engine(server):
    with Engine.open(":memory:", settings=settings(server)) as engine:
        engine.index(DOCUMENTS)
        yield engine


def roles(body):
    return [message["role"] for message in body["messages"]]


def texts(body):
    return [str(message["content"]) for message in body["messages"]]


# -- a turn


def test_a_turn_is_answered_as_ask_does_and_kept(engine):
    conversation = engine.chat("a")
    answer = conversation.say(QUESTION)
    assert answer.text == engine.ask(QUESTION).text == "Parental leave is 20 weeks, fully paid [1]."
    (turn,) = conversation.turns
    assert (turn.question, turn.answer, turn.model) == (QUESTION, answer.text, "extractive")
    assert turn.trace_id == answer.trace_id != ""
    assert [source.document_id for source in turn.sources] == ["leave"]


def test_the_stream_joined_is_the_answer_and_who_leaves_it_keeps_nothing(engine):
    conversation = engine.chat("a")
    events = conversation.stream(QUESTION)
    next(events)
    events.close()
    assert conversation.turns == ()
    *deltas, answer = conversation.stream(QUESTION)
    assert isinstance(answer, Answer)
    assert "".join(event.text for event in deltas) == answer.text
    assert len(conversation.turns) == 1


def test_every_verb_has_its_async_form(engine):
    async def talk():
        conversation = engine.chat("a")
        answer = await conversation.asay(QUESTION)
        pin = await conversation.apin("I work in Berlin.")
        await conversation.aunpin(pin.number)
        events = [event async for event in conversation.astream("What may a hotel cost?")]
        assert await engine.asessions() == ["a"]
        await conversation.aclear()
        return answer, events[-1]

    first, second = anyio.run(talk)
    assert "20 weeks" in first.text
    assert "140 EUR" in second.text


def test_a_question_that_leans_on_the_one_before_is_searched_for_with_it(engine):
    conversation = engine.chat("a")
    conversation.say(QUESTION)
    answer = conversation.say("Who approves it?")
    assert "The personnel office approves parental leave" in answer.text
    (asked,) = (s for s in answer.context.segments if s.section == "question" and s.trust == "user")
    assert (asked.text, asked.transformation) == (f"{QUESTION} Who approves it?", "resolved")
    assert answer.context.query == "Who approves it?"
    assert conversation.turns[-1].question == "Who approves it?"


def test_a_filter_holds_for_its_turn(engine):
    conversation = engine.chat("a")
    assert not conversation.say(QUESTION, filter={"document_id": "hotel"}).found
    assert conversation.say(QUESTION).found


def test_the_sources_are_those_that_answers_cited_the_last_first(engine):
    conversation = engine.chat("a")
    assert conversation.sources == ()
    conversation.say(QUESTION)
    conversation.say("What may a hotel in Berlin cost?")
    conversation.say("Who won the world cup of 1998?")
    conversation.say("What may a hotel in Berlin cost a night?")
    assert [source.document_id for source in conversation.sources] == ["hotel", "leave"]


def test_what_a_model_says_without_a_marker_is_traced_to_where_it_stands(server, engine):
    server.reset(chat("Parental leave is 20 weeks, fully paid. Martians pay it in Nebraska."))
    conversation = engine.chat("a", model="far")
    conversation.say(QUESTION)
    (source,) = conversation.sources
    assert (source.document_id, source.span.start) == ("leave", 0)


# -- the prompt


def test_what_lasts_stands_first_and_the_question_last(server, engine):
    server.reset(chat("20 weeks [1]."), chat("The personnel office [1]."))
    conversation = engine.chat("a", model="far")
    conversation.pin("I work in\nBerlin.")
    conversation.say(QUESTION)
    answer = conversation.say("Who approves it?")
    first, second = server.bodies
    assert roles(first) == ["system", "user"]
    assert roles(second) == ["system", "user", "assistant", "user"]
    system, question, said, last = texts(second)
    assert system == texts(first)[0]
    assert "- I work in Berlin.\n" in system
    assert (question, said) == (QUESTION, "20 weeks.")  # its marker would point to other sources
    assert LEAVE in last
    assert last.endswith("Question: Who approves it?")  # the model reads what it leans on above
    sections = [segment.section for segment in answer.context.segments]
    assert list(dict.fromkeys(sections)) == [
        "instructions", "pins", "history", "sources", "question",
    ]  # fmt: skip
    lasting = answer.context.segments[: answer.context.stable]
    assert {segment.section for segment in lasting} == {"instructions", "pins", "history"}
    assert [(use.name, use.used > 0) for use in answer.context.sections] == [
        *((name, True) for name in dict.fromkeys(sections)),
        ("reminder", False),  # this model needs none
    ]


def test_each_prompt_goes_on_where_the_lasting_part_of_the_one_before_ended(server, engine):
    server.reset(*(chat(f"Answer number {n}.") for n in range(5)))
    conversation = engine.chat("a", model="far")
    built = [conversation.say(f"{QUESTION} Case {n}.").context for n in range(5)]
    for before, after in pairwise(built):
        kept = "".join(segment.text for segment in before.segments[: before.stable])
        assert after.text.startswith(kept)
        assert after.stable == before.stable + 2
        assert after.unchanged_tokens(before, len) >= len(kept)


def test_the_prompt_and_the_reply_stay_within_the_window(server, engine):
    server.reset(*(said("word " * 60) for _ in range(12)))
    conversation = engine.chat("a", model="far", window=900)
    conversation.pin("I work in Berlin.")
    for n in range(12):
        context = conversation.say(f"{QUESTION} Case {n}.").context
        assert context.budget == 900
        assert context.tokens + sum(context.reserved.values()) <= 900
        assert context.sources
        assert "I work in Berlin." in context.text


def test_a_window_that_cannot_hold_a_turn_says_who_wants_what(engine):
    conversation = engine.chat("a", window=400)
    conversation.pin("word " * 300)
    with pytest.raises(BudgetError, match=r"400.*pins 3\d\d .*reply 100.*unpin"):
        conversation.say(QUESTION)
    assert conversation.turns == ()


def test_the_window_is_never_larger_than_the_models(server):
    configured = settings(server, window=5_000)
    far = configured.models["far"].model_copy(update={"context_window": 700})
    configured = configured.model_copy(update={"models": {"far": far}})
    server.reset(chat("20 weeks [1]."))
    with Engine.open(":memory:", settings=configured) as engine:
        engine.index(DOCUMENTS)
        assert engine.chat("a", model="far").say(QUESTION).context.budget == 700
        assert engine.chat("b").say(QUESTION).context.budget == 5_000


def test_a_prompt_that_is_too_long_for_the_model_is_built_smaller_once(server, engine):
    too_long = status(400, {"error": {"message": "maximum context length exceeded"}})
    server.reset(too_long, chat("20 weeks [1]."))
    answer = engine.chat("a", model="far", window=2_000).say(QUESTION)
    assert (answer.text, answer.context.budget) == ("20 weeks [1].", 1_000)


# -- a history that outgrows its window


def said(text):
    """With a count that teaches nobody how the server counts."""
    return chat(text, counts=usage(1, 7))


def long_talk(conversation, server, turns):
    """Each turn states a number of its own; what the reports said."""
    server.reset(*(said(f"Case {n} is worth {5_000 + n} EUR. " + "So it is. " * 9) for n in turns))
    reports = []
    for n in turns:
        conversation.say(f"{QUESTION} Case {n}.")
        reports += [conversation.compaction] if conversation.compaction else []
    return reports


def test_what_was_said_is_compacted_and_nothing_is_lost(server, engine):
    conversation = engine.chat("a", model="far", window=1_500)
    conversation.pin("My number is 777-1234.")
    reports = long_talk(conversation, server, range(40))
    assert len(reports) > 2
    assert all(report.changed and report.lost == 0 for report in reports)
    assert conversation.say(QUESTION).context.reserved["reply"] == 100
    context = conversation.say(f"{QUESTION} Case 99.").context
    history = [segment for segment in context.segments if segment.section == "history"]
    assert sum(segment.tokens for segment in history) < 700
    assert "777-1234" in context.segments[2].text
    assert len(conversation.turns) == 42  # in full, whatever the prompt shows


def test_the_full_text_is_fetched_by_the_ids_in_the_notes(server, engine):
    conversation = engine.chat("a", model="far", window=1_500)
    assert long_talk(conversation, server, range(40))
    context = conversation.say(QUESTION).context
    (notes,) = (s for s in context.segments if s.transformation == "summarised")
    assert (notes.section, notes.made_by, notes.trust) == ("history", "compaction", "document")
    index = re.search(r"#([a-z]+) lists all", notes.text)[1]
    listed = conversation.fetch(index)
    seen = set(re.findall(r"#([a-z]+) (?:user|assistant)", listed))
    while earlier := re.search(r"#([a-z]+) lists those of before", listed):
        listed = conversation.fetch(f"#{earlier[1]}")
        seen.update(re.findall(r"#([a-z]+) (?:user|assistant)", listed))
    texts = "".join(conversation.fetch(name) for name in seen)
    shown = "".join(segment.text for segment in context.segments if segment.section == "history")
    assert all(str(5_000 + n) in texts + shown for n in range(40))
    with pytest.raises(ConfigError, match="nothing of this conversation has this id"):
        engine.chat("b").fetch(index)
    conversation.clear()
    with pytest.raises(ConfigError, match="nothing of this conversation has this id"):
        conversation.fetch(index)


def test_between_two_compactions_prompts_go_on_where_the_last_ended(server, engine):
    conversation = engine.chat("a", model="far", window=1_500)
    server.reset(*(said(f"Case {n}. " + "So it is. " * 9) for n in range(30)))
    built, compacted = [], []
    for n in range(30):
        built.append(conversation.say(f"{QUESTION} Case {n}.").context)
        compacted.append(conversation.compaction is not None)
    assert 1 < sum(compacted) < 8
    for before, after, anew in zip(built, built[1:], compacted[1:], strict=False):
        kept = "".join(segment.text for segment in before.segments[: before.stable])
        assert anew or after.text.startswith(kept)


def test_a_compacted_history_outlives_its_engine(tmp_path, server):
    configured = settings(server)
    with Engine.open(tmp_path / "w", settings=configured) as engine:
        engine.index(DOCUMENTS)
        conversation = engine.chat("a", model="far", window=1_500)
        assert long_talk(conversation, server, range(20))
        before = conversation.say(f"{QUESTION} Case 98.").context
    with Engine.open(tmp_path / "w", settings=configured) as engine:
        conversation = engine.chat("a", model="far", window=1_500)
        after = conversation.say(f"{QUESTION} Case 99.").context
        assert conversation.compaction is None
        kept = "".join(segment.text for segment in before.segments[: before.stable])
        assert after.text.startswith(kept)
        notes = next(s for s in after.segments if s.transformation == "summarised")
        assert conversation.fetch(re.search(r"#([a-z]{5,})", notes.text)[1])


def test_whoever_compacts_while_another_clears_brings_nothing_back(engine):
    session = Session(engine._parts, "a")
    engine.chat("a").say(QUESTION)
    basis = session.state()
    session.fold(basis, [Message(role="user", content="notes")], 2, {"x": "{}"})
    session.fold(basis, [Message(role="user", content="others")], 2, {"y": "{}"})
    assert session.state().history[0].text == "notes"
    assert (session.archived("x"), session.archived("y")) == ("{}", None)
    basis = session.state()
    session.clear()
    session.fold(basis, [Message(role="user", content="again")], 4, {"z": "{}"})
    assert (session.state().history, session.state().folded) == ((), 0)
    assert session.archived("x") is session.archived("z") is None


def test_the_model_that_is_set_for_it_writes_notes_that_are_checked(server):
    configured = settings(server)
    generation = configured.generation.model_copy(
        update={"steps": StepSettings(distil="far"), "cache": False}
    )
    configured = configured.model_copy(update={"generation": generation})
    with Engine.open(":memory:", settings=configured) as engine:
        engine.index(DOCUMENTS)
        conversation = engine.chat("a", model="far", window=1_500)
        long_talk(conversation, server, range(30))
    asked = [body for body in server.bodies if "You take notes" in texts(body)[0]]
    assert asked


# -- what is kept


def test_a_turn_whose_model_fails_is_not_kept(server, engine):
    conversation = engine.chat("a", model="far")
    server.reset(status(401), chat("20 weeks [1]."))
    with pytest.raises(BackendError):
        conversation.say(QUESTION)
    assert conversation.turns == ()
    assert conversation.say(QUESTION).found
    assert len(conversation.turns) == 1


def test_what_broke_off_is_kept_as_far_as_it_came(server, engine):
    server.reset(stream(delta(content="It is 20 we"), CLOSE, end=False))
    conversation = engine.chat("a", model="far")
    assert conversation.say(QUESTION).error
    assert conversation.turns[0].answer == "It is 20 we"


def test_two_sessions_do_not_mix_and_another_scope_sees_nothing(tmp_path):
    with Engine.open(tmp_path / "w", settings=settings()) as mine:
        mine.index(DOCUMENTS)
        one, two = mine.chat("one"), mine.chat("two")
        one.say(QUESTION)
        one.pin("I work in Berlin.")
        two.say("What may a hotel in Berlin cost?")
        assert [turn.question for turn in one.turns] == [QUESTION]
        assert two.pins == ()
        assert "parental" not in two.say("And how long is a sabbatical?").context.text.split("<")[0]
        assert mine.sessions() == ["one", "two"]
    other = Scope(user="somebody else")
    with Engine.open(tmp_path / "w", settings=settings(), scope=other) as theirs:
        assert theirs.sessions() == []
        conversation = theirs.chat("one")
        assert (conversation.turns, conversation.pins, conversation.sources) == ((), (), ())
        assert not conversation.say(QUESTION).found
        conversation.clear()
    with Engine.open(tmp_path / "w", settings=settings()) as mine:
        assert len(mine.chat("one").turns) == 1


def test_a_conversation_outlives_its_engine(tmp_path, server):
    server.reset(chat("20 weeks [1]."), chat("The personnel office [1]."))
    configured = settings(server)
    with Engine.open(tmp_path / "w", settings=configured) as engine:
        engine.index(DOCUMENTS)
        conversation = engine.chat("a", model="far")
        conversation.pin("I work in Berlin.")
        conversation.say(QUESTION)
        kept = (conversation.turns, conversation.pins, conversation.sources)
    with Engine.open(tmp_path / "w", settings=configured) as engine:
        conversation = engine.chat("a", model="far")
        assert (conversation.turns, conversation.pins, conversation.sources) == kept
        conversation.say("Who approves it?")
    assert texts(server.bodies[1])[1:3] == [QUESTION, "20 weeks."]
    assert "I work in Berlin." in texts(server.bodies[1])[0]


TALK = """
import os, signal, sys
from ctxeng import Engine, Settings
engine = Engine.open(sys.argv[1], settings=Settings.model_validate_json(sys.argv[2]))
conversation = engine.chat("a", model="far")
conversation.say("How long is parental leave?")
conversation.pin("I work in Berlin.")
print("kept", flush=True)
conversation.say("Who approves it?")
"""


def test_a_kill_between_two_turns_or_during_one_loses_no_turn_that_was_told(tmp_path, server):
    server.reset(chat("20 weeks [1]."), stream(delta(content="The personnel"), STALL, end=False))
    configured = settings(server)
    with Engine.open(tmp_path / "w", settings=configured) as engine:
        engine.index(DOCUMENTS)
    child = subprocess.Popen(
        [sys.executable, "-c", TALK, str(tmp_path / "w"), configured.model_dump_json()],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "kept\n"
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=30)
    with Engine.open(tmp_path / "w", settings=configured) as engine:
        conversation = engine.chat("a", model="far")
        assert [turn.answer for turn in conversation.turns] == ["20 weeks [1]."]
        assert [pin.text for pin in conversation.pins] == ["I work in Berlin."]
        server.reset(chat("The personnel office [1]."))
        assert conversation.say("Who approves it?").found
        assert len(conversation.turns) == 2


def test_cleared_is_gone_for_good_and_pinned_notes_stay(tmp_path):
    with Engine.open(tmp_path / "w", settings=settings()) as engine:
        engine.index(DOCUMENTS)
        conversation = engine.chat("a")
        conversation.say("How long is a sabbatical?")
        conversation.say(QUESTION)
        pin = conversation.pin("I work in Berlin.")
        conversation.clear()
        assert (conversation.turns, conversation.sources, conversation.pins) == ((), (), (pin,))
        assert engine.sessions() == ["a"]
        assert "sabbatical" not in conversation.say(QUESTION).context.text
        assert [turn.question for turn in conversation.turns] == [QUESTION]


def test_of_a_cleared_conversation_without_notes_nothing_is_left(engine):
    conversation = engine.chat("a")
    conversation.clear()
    conversation.say(QUESTION)
    conversation.unpin(conversation.pin("one").number)
    conversation.clear()
    assert engine.sessions() == []


def test_a_state_that_cannot_be_read_is_told_and_other_sessions_go_on(engine):
    parts = engine._parts
    parts.store.put_session_state(parts.scope, "a", '{"pins": 7}')
    with pytest.raises(WorkspaceError, match=r"session 'a': .* cannot be read"):
        engine.chat("a").say(QUESTION)
    assert engine.chat("b").say(QUESTION).found


def test_notes_are_numbered_once_and_taken_out_by_number(engine):
    conversation = engine.chat("a")
    first, second = conversation.pin("one"), conversation.pin("two")
    conversation.unpin(first.number)
    assert conversation.pins == (second,)
    assert conversation.pin("three").number == 3
    with pytest.raises(ConfigError, match=r"no note has the number 1; pinned: 2, 3"):
        conversation.unpin(1)
    with pytest.raises(ConfigError, match="empty"):
        conversation.pin("  ")


def test_notes_that_are_pinned_at_once_are_all_kept(engine):
    threads = [
        threading.Thread(target=lambda n=n: engine.chat("a").pin(f"note {n}")) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    pins = engine.chat("a").pins
    assert {pin.text for pin in pins} == {f"note {n}" for n in range(8)}
    assert [pin.number for pin in pins] == list(range(1, 9))


def test_read_only_nothing_is_asked_that_could_not_be_kept(tmp_path, server):
    with Engine.open(tmp_path / "w", settings=settings(server)) as engine:
        engine.index(DOCUMENTS)
        engine.chat("a").say(QUESTION)
    with Engine.open(tmp_path / "w", settings=settings(server), read_only=True) as engine:
        conversation = engine.chat("a", model="far")
        assert len(conversation.turns) == 1
        for verb in (conversation.say, conversation.pin):
            with pytest.raises(WorkspaceError, match="read-only"):
                verb(QUESTION)
    assert not server.bodies


def test_questions_that_are_asked_at_once_are_all_kept_whole(engine):
    cases = [f"{QUESTION} Case {n}." for n in range(6)]
    threads = [
        threading.Thread(target=lambda case=case: engine.chat("a").say(case)) for case in cases
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    turns = engine.chat("a").turns
    assert sorted(turn.question for turn in turns) == cases
    assert all("20 weeks" in turn.answer for turn in turns)


def test_the_prompt_of_a_turn_is_rebuilt_from_its_trace(engine):
    conversation = engine.chat("a")
    conversation.pin("I work in Berlin.")
    conversation.say(QUESTION)
    answer = conversation.say("Who approves it?")
    assert engine.replay(answer.trace_id).text == answer.context.text
    trace = engine.trace(answer.trace_id)
    assert (trace.verb, trace.inputs["session"]) == ("chat", "a")


@pytest.mark.parametrize("session", ["", "  ", "a\nb", "\x1b[0m", "x" * 201])
def test_a_session_needs_a_name_that_can_be_read(engine, session):
    with pytest.raises(ConfigError, match="printable"):
        engine.chat(session)


def test_an_unknown_model_is_told_before_anything_is_asked(engine):
    with pytest.raises(ConfigError, match="no model is called 'near'"):
        engine.chat("a", model="near")


def test_texts_from_anywhere_are_kept_whole_and_shown_without_what_cannot_be_seen(server, engine):
    server.reset(chat("It is \u202e20\u202c weeks.\x07"), chat("Yes."))
    conversation = engine.chat("a", model="far")
    conversation.pin("hidden \u200b\u2066 marks")
    conversation.say(QUESTION + " \ud800")
    assert conversation.turns[0].answer == "It is \u202e20\u202c weeks.\x07"
    conversation.say(QUESTION)
    assert texts(server.bodies[1])[2] == "It is 20 weeks."
    assert "\u2066" not in json.dumps(texts(server.bodies[1]), ensure_ascii=False)
