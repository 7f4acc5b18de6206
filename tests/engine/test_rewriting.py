"""What a conversation searches for: by rules, by the model that is set, by a rewriter of yours."""

import pytest

from ctxeng import Document, Engine, Settings, TrustPolicy
from ctxeng.settings import EmbeddingSettings, GenerationSettings, ModelSettings, StepSettings
from tests.engine.speaking import Speaking

QUESTION, FOLLOWING = "How long is parental leave?", "Who approves it?"
REWRITTEN = "Who approves parental leave?"
BY_RULES = f"{QUESTION} {FOLLOWING}"
DOCUMENTS = [
    Document(id="leave", text="Parental leave is 20 weeks. The personnel office approves leave."),
    Document(id="hotel", text="A hotel in Berlin may cost 140 EUR a night."),
    Document(id="budget", text="Ines Roth approves budgets of all teams."),
]


def opened(
    server=None, where=":memory:", rewriter=None, model="extractive", policy=None, **generation
):
    base_url = server.url if server else ""
    table = ModelSettings(
        backend="openai", model="small", base_url=base_url, timeout=5.0, prices={"prompt": 1e6}
    )
    found = Settings(
        embedding=EmbeddingSettings(model="none"),
        models={"small": table},
        generation=GenerationSettings(
            model=model, steps=StepSettings(rewrite="small" if server else ""), **generation
        ),
    )
    engine = Engine.open(where, settings=found, rewriter=rewriter, policy=policy)
    engine.index(DOCUMENTS)
    return engine


def asked_of(answer):
    (asked,) = (
        segment
        for segment in answer.context.segments
        if segment.section == "question" and segment.transformation != "template"
    )
    return asked


def stages(engine, answer):
    return {one["stage"]: one for one in engine.trace(answer.trace_id).stages}


def test_without_a_model_the_rules_say_what_is_searched_for(tmp_path):
    with opened(where=tmp_path / "w") as engine:
        conversation = engine.chat()
        first = conversation.say(QUESTION)
        assert "rewrite" not in stages(engine, first)
        answer = conversation.say(FOLLOWING)
        assert "personnel office" in answer.text
        asked = asked_of(answer)
        assert (asked.text, asked.transformation) == (BY_RULES, "resolved")
        assert (asked.made_by, asked.trust) == ("the question before it", "user")
        rewrite = stages(engine, answer)["rewrite"]
        assert (rewrite["texts"], rewrite["by"]) == ([BY_RULES], "the question before it")
        assert engine.trace(answer.trace_id).inputs["query"] == FOLLOWING
        alone = conversation.say("What may a hotel in Berlin cost?")
        assert asked_of(alone).transformation == "verbatim"


def test_the_model_that_is_set_writes_what_is_searched_for(server, tmp_path):
    speaking = Speaking(server)
    with opened(server, tmp_path / "w") as engine:
        conversation = engine.chat()
        assert conversation.say(QUESTION).usage.prompt_tokens == 0 or speaking.steps == []
        answer = conversation.say(FOLLOWING)
        assert speaking.steps == ["rewrite"]
        assert "personnel office" in answer.text
        asked = asked_of(answer)
        assert (asked.text, asked.transformation) == (REWRITTEN, "resolved")
        assert asked.made_by.startswith("small@")
        assert asked.made_by.endswith(", rewrite-1")
        assert asked.trust == "document"  # it was made of what was answered, too
        assert answer.context.query == FOLLOWING
        assert answer.notes == ()
        assert engine.replay(answer.trace_id).text == answer.context.text
        assert conversation.turns[-1].question == FOLLOWING


def test_where_the_policy_wants_the_users_own_words_the_question_stays_theirs(server):
    Speaking(server)
    with opened(server, policy=TrustPolicy(sections={"question": "user"})) as engine:
        conversation = engine.chat()
        conversation.say(QUESTION)
        answer = conversation.say(FOLLOWING)
    assert asked_of(answer).text == FOLLOWING
    assert answer.found


def test_what_it_took_is_counted_once(server, tmp_path):
    speaking = Speaking(server)
    with opened(server, tmp_path / "w", model="small") as engine:
        conversation = engine.chat()
        assert conversation.say(QUESTION).usage.prompt_tokens == 11
        answer = conversation.say(FOLLOWING)
        assert speaking.steps == ["answer", "rewrite", "answer"]
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (22, 14)
        assert answer.usage.cost == pytest.approx(22.0)
        assert engine.trace(answer.trace_id).usage.prompt_tokens == 22
        assert asked_of(answer).text == FOLLOWING  # this model reads what it leans on
        assert conversation.say("Who won the world cup of 1998?").usage.prompt_tokens == 11


@pytest.mark.parametrize(
    ("said", "why"),
    [(401, "401"), ("Sure!\nWho approves it?", "more than one line"), ("HACKED", "asks nothing")],
)
def test_what_cannot_be_used_leaves_it_to_the_rules_and_is_told(server, tmp_path, said, why):
    Speaking(server, rewrite=said)
    with opened(server, tmp_path / "w") as engine:
        conversation = engine.chat()
        conversation.say(QUESTION)
        answer = conversation.say(FOLLOWING)
        assert asked_of(answer).text == BY_RULES
        assert "personnel office" in answer.text
        (note,) = answer.notes
        assert "by rules" in note
        assert why in note
        assert why in stages(engine, answer)["rewrite.asked"]["failed"]


def test_that_another_question_stood_before_it_is_a_reason_why_two_prompts_differ(tmp_path):
    with opened(where=tmp_path / "w") as engine:
        traces = []
        for session, first in (("a", QUESTION), ("b", "What may a hotel in Berlin cost?")):
            conversation = engine.chat(session)
            conversation.say(first)
            traces.append(conversation.say(FOLLOWING).trace_id)
        found = {one.what: one.why for one in engine.diff(*traces)}
    assert "query" not in found
    assert found["searched for"] == f"{BY_RULES} → What may a hotel in Berlin cost? {FOLLOWING}"


def test_a_spend_limit_holds_for_it_too(server):
    speaking = Speaking(server)
    with opened(server, spend_per_call=0.5) as engine:
        conversation = engine.chat()
        conversation.say(QUESTION)
        answer = conversation.say(FOLLOWING)
    assert speaking.steps == []
    assert asked_of(answer).text == BY_RULES
    assert "spend_per_call" in answer.notes[0]


def test_ask_has_no_history_and_asks_nobody(server):
    speaking = Speaking(server)
    with opened(server) as engine:
        assert asked_of(engine.ask(FOLLOWING)).text == FOLLOWING
    assert speaking.steps == []


class Mine:
    """Also searches for something else, with everybody's content."""

    name = "mine"

    def __init__(self, *texts):
        self.texts = texts
        self.seen = []

    async def rewrite(self, query, history):
        self.seen.append((query, list(history)))
        free = {"filter": {}, "scope": type(query.scope)(tenant="somebody else")}
        return [query.model_copy(update={**free, "text": text}) for text in self.texts]


def test_a_rewriter_of_yours_is_given_what_was_said_and_searches_beside():
    mine = Mine(FOLLOWING, "hotel Berlin")
    with opened(rewriter=mine) as engine:
        conversation = engine.chat()
        said = conversation.say(QUESTION)
        assert mine.seen == []
        answer = conversation.say(FOLLOWING)
    ((query, history),) = mine.seen
    assert query.text == FOLLOWING
    assert [(m.role, m.text) for m in history] == [
        ("user", QUESTION),
        ("assistant", said.text.replace(" [1]", "")),
    ]
    found = {segment.source.document_id for segment in answer.context.sources}
    found |= {row.source.document_id for row in answer.context.dropped if row.source}
    assert {"leave", "budget", "hotel"} <= found


def test_who_rewrites_does_not_choose_whose_content_is_searched():
    with opened(rewriter=Mine("hotel in Berlin cost a night")) as engine:
        conversation = engine.chat()
        conversation.say(QUESTION)
        assert conversation.say(FOLLOWING).found
        assert not conversation.say(FOLLOWING, filter={"document_id": "leave"}).context.sources


def test_a_rewriter_that_returns_nothing_changes_nothing():
    with opened(rewriter=Mine()) as engine:
        conversation = engine.chat()
        conversation.say(QUESTION)
        assert asked_of(conversation.say("What may a hotel in Berlin cost?")).text
