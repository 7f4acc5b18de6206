"""Models for steps: who situates chunks, who judges an answer, and its one repair."""

import json
import re
import tomllib
from pathlib import Path

import anyio
import pytest

from ctxeng import Answer, Document, Engine, Settings
from ctxeng.errors import ConfigError, WorkspaceError
from ctxeng.grounding import SUPPORTED
from ctxeng.settings import EmbeddingSettings, GenerationSettings, ModelSettings, StepSettings
from tests.engine.speaking import Speaking
from tests.generation.server import RESET, STALL, delta, stream

QUESTION = "How long is parental leave?"
LEAVE = "Parental leave is 20 weeks, fully paid."
RULES = "\n\n".join(
    " ".join(
        f"Rule {day} of part {part} says that form {part} is due at noon." for day in range(12)
    )
    for part in range(6)
)


def settings(server, *, repair=False, model="far", **steps):
    return Settings(
        embedding=EmbeddingSettings(model="none"),
        models={
            name: ModelSettings(
                backend="openai", model=name, base_url=server.url, timeout=5, max_concurrent=4
            )
            for name in ("far", "small")
        },
        generation=GenerationSettings(model=model, repair=repair, steps=StepSettings(**steps)),
    )


def opened(server, where=":memory:", **values):
    return Engine.open(where, settings=settings(server, **values))


def asked(server, **values):
    """The events of one question."""
    with opened(server, **values) as engine:
        engine.index([Document(id="leave", text=LEAVE)])
        return list(engine.stream(QUESTION))


def against_martians(body):
    said = body["messages"][-1]["content"].partition(" sentence>\n")[2]
    return json.dumps({"supported": "Martians" not in said, "confidence": 1})


# -- the judge


def test_a_judge_that_is_set_says_whether_sentences_have_support(server):
    speaking = Speaking(server, judge=against_martians)
    *_, answer = asked(server, judge="small")
    assert speaking.steps == ["answer", "judge", "judge"]
    assert [body["model"] for body in server.bodies] == ["far", "small", "small"]
    assert [claim.support for claim in answer.claims] == [1.0, 0.0]
    assert answer.usage.prompt_tokens == 3 * 11
    assert answer.usage.completion_tokens == 3 * 7
    assert answer.notes == ()


@pytest.mark.parametrize("said", [401, "Yes.", '{"supported": 1}'])
def test_an_answer_outlives_a_judge_that_fails_and_says_so(server, said):
    Speaking(server, judge=said)
    *_, answer = asked(server, judge="small")
    told, invented = answer.claims
    assert told.support >= SUPPORTED > invented.support
    (note,) = answer.notes
    assert "judge failed" in note
    assert "small@" in note
    assert not answer.error


def test_quotes_and_what_is_not_found_are_not_judged(server):
    speaking = Speaking(server)
    with opened(server, judge="small") as engine:
        engine.index([Document(id="leave", text=LEAVE)])
        assert engine.ask(QUESTION, model="extractive").found
        assert not engine.ask("Who won the world cup of 1998?").found
    assert speaking.steps == []


# -- the repair


def test_a_better_second_version_is_the_answer_and_the_only_text_that_is_streamed(server):
    speaking = Speaking(server)
    *deltas, answer = asked(server, repair=True)
    assert speaking.steps == ["answer", "repair"]
    assert answer.repaired
    assert answer.text == "Parental leave is 20 weeks [1]."
    assert "".join(delta.text for delta in deltas) == answer.text
    assert all(claim.support >= SUPPORTED for claim in answer.claims)
    assert answer.usage.prompt_tokens == 2 * 11
    assert deltas[-1].stop == "stop"
    named = server.bodies[-1]["messages"][-1]["content"]
    assert "Martians invented it in Nebraska" in named
    assert "Parental leave is 20 weeks" not in named


def test_citations_are_those_of_the_second_version(server):
    Speaking(server, answer="Martians invented it in Nebraska.", repair=f"{LEAVE[:-1]} [1].")
    *_, answer = asked(server, repair=True)
    (citation,) = answer.citations
    assert citation.quote == LEAVE
    assert answer.found


def test_a_second_version_that_is_no_better_changes_nothing_but_the_price(server):
    Speaking(server, repair="Martians invented it in Nebraska [1].")
    *deltas, answer = asked(server, repair=True)
    assert not answer.repaired
    assert answer.text == Speaking(server).said["answer"]
    assert "".join(delta.text for delta in deltas) == answer.text
    assert answer.usage.prompt_tokens == 2 * 11


def test_what_is_supported_or_not_to_be_repaired_is_asked_once(server):
    speaking = Speaking(server, answer="Parental leave is 20 weeks [1].")
    assert asked(server, repair=True)[-1].text == speaking.said["answer"]
    assert speaking.steps == ["answer"]
    speaking = Speaking(server)
    *deltas, answer = asked(server)
    assert speaking.steps == ["answer"]
    assert len(deltas) > 1
    assert not answer.repaired


def test_a_repair_is_judged_by_who_judged_the_first_version(server):
    speaking = Speaking(server, judge=against_martians)
    *_, answer = asked(server, repair=True, judge="small")
    assert speaking.steps == ["answer", "judge", "judge", "repair"]
    assert answer.repaired
    assert answer.usage.prompt_tokens == 5 * 11
    assert answer.usage.cached_tokens == 11  # what was judged before is not asked again


def test_a_repair_that_fails_leaves_the_first_version(server):
    Speaking(server, repair=401)
    *_, answer = asked(server, repair=True)
    assert not answer.repaired
    assert answer.text == Speaking(server).said["answer"]


def test_the_trace_has_the_repair(server):
    Speaking(server)
    with opened(server, repair=True) as engine:
        engine.index([Document(id="leave", text=LEAVE)])
        answer = engine.ask(QUESTION)
        trace = engine.trace(answer.trace_id)
    (repair,) = [one for one in trace.stages if one["stage"] == "ground.repair"]
    assert (repair["unsupported"], repair["kept"]) == (1, "second")


# -- chunks that a model situates


def rules():
    return [Document(id="rules", text=RULES, title="Rules")]


def test_what_a_model_says_of_a_chunk_is_found_and_not_quoted(server, tmp_path):
    speaking = Speaking(server)
    with opened(server, tmp_path / "w", contextualise="small") as engine:
        report = engine.index(rules())
        assert report.failed == ()
        assert report.chunks == len(speaking.steps) > 2
        assert report.usage.prompt_tokens == 11 * report.chunks
        hits = engine.search("zweihornig")
        assert len(hits) == report.chunks
        assert all("zweihornig" in hit.prefix and "zweihornig" not in hit.text for hit in hits)
        assert (
            "zweihornig" not in engine.context("zweihornig rule").render().partition("\n<")[2][:-30]
        )


def test_chunks_are_asked_about_once_for_as_long_as_their_document_stays(server, tmp_path):
    speaking = Speaking(server)
    with opened(server, tmp_path / "w", contextualise="small") as engine:
        first = engine.index(rules())
        assert engine.index(rules()).unchanged == 1
        again = engine.reindex()
        assert again.chunks == first.chunks == len(speaking.steps)
        assert again.usage.cached_tokens == again.usage.prompt_tokens
        engine.index([*rules(), Document(id="more", text=RULES, title="More")])
        assert len(speaking.steps) == 2 * first.chunks


def test_a_model_that_fails_leaves_the_prefix_and_is_reported_once(server, tmp_path):
    speaking = Speaking(server, situate=401)
    with opened(server, tmp_path / "w", contextualise="small") as engine:
        documents = [Document(id=f"{n}", text=f"Number {n}.\n\n{RULES}") for n in range(3)]
        report = engine.index(documents)
        assert report.added == 3
        (failure,) = report.failed
        assert f"{report.chunks} chunks" in failure.why
        assert "small" in failure.uri
        assert speaking.steps == ["situate"]
        assert engine.search("noon form", limit=3)
        speaking = Speaking(server)
        assert engine.reindex().failed == ()
        assert engine.search("zweihornig")
        assert len(speaking.steps) == report.chunks


def test_a_workspace_knows_who_situated_its_chunks(server, tmp_path):
    Speaking(server)
    with opened(server, tmp_path / "w", contextualise="small") as engine:
        engine.index(rules())
    with pytest.raises(WorkspaceError, match=r"situated-1 by openai:small.*ctxeng reindex"):
        opened(server, tmp_path / "w")
    speaking = Speaking(server)
    with opened(server, tmp_path / "w", contextualise="small", judge="far") as engine:
        assert engine.search("zweihornig")
    assert speaking.steps == []


def test_a_program_that_hands_in_a_contextualizer_has_that_one(server):
    from ctxeng.chunking import DeterministicContextualizer

    speaking = Speaking(server)
    with Engine.open(
        ":memory:",
        settings=settings(server, contextualise="small"),
        contextualizer=DeterministicContextualizer(),
    ) as engine:
        engine.index(rules())
    assert speaking.steps == []


# -- names


@pytest.mark.parametrize("step", ["contextualise", "judge", "distil", "rewrite"])
def test_a_step_without_a_model_that_writes_is_refused_when_the_workspace_is_opened(server, step):
    with pytest.raises(ConfigError, match=rf"generation\.steps\.{step} = 'smal'.*far, small"):
        opened(server, **{step: "smal"})
    with pytest.raises(ConfigError, match=rf"generation\.steps\.{step} = 'extractive'.*quotes"):
        opened(server, **{step: "extractive"})


def test_each_step_has_its_generator_or_none(server):
    with opened(server, distil="small") as engine:
        parts = engine._parts
        assert parts.generator_of_step("distil") is parts.generator_of("small")
        assert parts.generator_of_step("judge") is parts.judge() is None


@pytest.mark.parametrize("repair", [False, True])
def test_leaving_a_stream_ends_the_work_at_once(server, repair):
    begun = stream(delta(content="Parental leave "), STALL, end=False)
    with opened(server, repair=repair) as engine:
        engine.index([Document(id="leave", text=LEAVE)])
        server.reset(begun)

        async def leave():
            events = engine.astream(QUESTION)
            with anyio.move_on_after(0.5):
                await anext(events)
                assert not repair, "nothing is handed on before it is checked"
            await events.aclose()
            return server.gone.wait(5)  # with this loop at a stand: nothing is left for later

        assert anyio.run(leave)


def test_the_settings_of_the_how_to_are_settings():
    page = Path(__file__).parents[2] / "docs" / "how-to" / "choose-models.md"
    first, second = re.findall(r"^```toml\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    told = tomllib.loads(first)
    told["models"]["big"] |= tomllib.loads(second)["models"]["big"]
    found = Settings.model_validate({**told, "embedding": {"model": "none"}})
    with Engine.open(":memory:", settings=found) as engine:
        parts = engine._parts
        assert ", or claude-sonnet-4-5@" in parts.generator_of(None).name
        assert "claude-sonnet-4-5@" in parts.judge().name
        assert "situated-1 by openai:llama3.1:8b" in parts.contextualizer.name


def test_a_broken_connection_in_the_draft_is_told_and_not_repaired(server):
    speaking = Speaking(server)
    speaking.said["answer"] = "Martians"
    server.replies = [[*stream(delta(content="Martians invented it."), end=False), RESET]]
    *deltas, answer = asked(server, repair=True)
    assert answer.text == "".join(one.text for one in deltas) == "Martians invented it."
    assert answer.error
    assert isinstance(answer, Answer)
    assert len(server.bodies) == 1
