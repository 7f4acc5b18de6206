"""What does not fit whole comes in a shorter form, and the budget is kept all the same."""

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctxeng import (
    BackendError,
    BudgetError,
    Candidate,
    ConfigError,
    ContextPlan,
    Section,
    SummaryCompressor,
)
from ctxeng.context import plan as plans
from ctxeng.text.tokens import PackagedTokenCounter
from tests.generation.scripted import Scripted

COUNTER = PackagedTokenCounter()
IDLE = "The hall was painted in May and everybody liked the colour. " * 40
TELLING = "The pager rings when the pump fails at 90 degrees."
LONG = IDLE + TELLING + " " + IDLE
QUESTION = "When does the pager ring?"


def short(budget, **changes):
    return plans.rag(budget).with_section("sources", shorten=True, **changes)


def given_with(sources):
    return {"instructions": "Be brief.\n", "sources": sources, "question": QUESTION}


def texts(context):
    return [
        s for s in context.segments if s.section == "sources" and s.transformation != "template"
    ]


def test_a_text_that_is_larger_than_the_budget_comes_as_its_telling_sentences():
    sources = [Candidate(text=IDLE, score=1.0), Candidate(text=LONG, score=0.9)]
    assert texts(plans.rag(300).build(given_with(sources))) == []
    context = short(300).build(given_with(sources))
    kept = texts(context)
    assert TELLING in " ".join(segment.text for segment in kept)
    assert all(segment.transformation == "selected" for segment in kept)
    assert all(segment.made_by == "sentences" for segment in kept)
    rows = [row for row in context.manifest() if row["reason"] == "cut out by sentences"]
    assert rows
    assert all(not row["kept"] and row["tokens"] > 0 for row in rows)


def test_what_fits_whole_stays_as_it_is_without_shortening():
    sources = [Candidate(text=f"Pump {n} weighs {n} kilograms.", score=1.0) for n in range(3)]
    assert short(400).build(given_with(sources)).render() == (
        plans.rag(400).build(given_with(sources)).render()
    )


def test_what_is_shortened_does_not_push_out_what_is_whole():
    sources = [
        Candidate(text=TELLING, score=1.0),
        Candidate(text=LONG, score=0.9),
        Candidate(text=IDLE[:200], score=0.8),
    ]
    whole = {s.text for s in texts(plans.rag(350).build(given_with(sources)))}
    assert whole <= {s.text for s in texts(short(350).build(given_with(sources)))}


def test_a_minimum_is_there_for_candidates_that_are_too_long_for_it():
    """Other sections do not take it."""
    plan = ContextPlan(
        budget=600,
        sections=(
            Section(name="notes", trust="user", priority=9.0),
            Section(name="sources", trust="document", minimum=250, shorten=True),
            Section(name="question", trust="user", required=True),
        ),
    )
    notes = [f"Note {n} is about the garden. " * 3 for n in range(90)]
    long = " ".join(f"The pager of hall {n} rings when its pump fails." for n in range(90))
    context = plan.build({"notes": notes, "sources": long, "question": QUESTION})
    (use,) = [use for use in context.sections if use.name == "sources"]
    assert 150 < use.used <= 400
    assert use.kept == 1


SAID = (
    "The pager rings at nine. ", "Pumps fail.\n", "| a | b |\n", "日本語の文。", "<|im_end|> x. ",
)  # fmt: skip
sentences = st.lists(st.sampled_from(SAID), max_size=60).map("".join)


@given(
    sources=st.lists(st.tuples(sentences, st.floats(0, 1)), max_size=6),
    budget=st.integers(60, 500),
    maximum=st.sampled_from([None, 90, 0.5]),
    numbered=st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_never_over_budget_and_what_is_kept_stands_in_its_source(
    sources, budget, maximum, numbered
):
    plan = short(budget, maximum=maximum, numbered=numbered)
    offered = [Candidate(text=text, score=score) for text, score in sources]
    try:
        context = plan.build(given_with(offered))
    except BudgetError:
        return
    assert COUNTER.count(context.render()) + sum(context.reserved.values()) <= budget
    (use,) = [use for use in context.sections if use.name == "sources"]
    assert use.maximum is None or use.used <= use.maximum
    for segment in texts(context):
        assert any(segment.text in text for text, _ in sources)
    assert plan.build(given_with(offered)) == context


def test_it_is_said_in_toml():
    plan = ContextPlan.from_toml(
        "[context.plans.notes]\nbudget = 300\n"
        '[[context.plans.notes.sections]]\nname = "sources"\nshorten = true\n',
        name="notes",
    )
    assert plan.sections[0].shorten
    assert texts(plan.build({"sources": LONG}, query=QUESTION))


def test_a_chat_is_not_shortened_so():
    with pytest.raises(ConfigError, match=r"use ctxeng\.compact"):
        plans.chat(4_000).with_section("history", shorten=True)


SUMMARY = "The pager rings at 90 degrees."


def summed(generator):
    return short(300).build(given_with(LONG), compressor=SummaryCompressor(generator))


def test_a_model_may_put_it_in_its_own_words_and_the_manifest_says_so():
    def check(context):
        (kept,) = texts(context)
        assert (kept.text.strip(), kept.transformation) == (SUMMARY, "summarised")
        assert kept.made_by.startswith("scripted")
        assert any(row["reason"].startswith("summarised by scripted") for row in context.manifest())

    generator = Scripted([SUMMARY])
    check(summed(generator))
    assert len(generator.calls) == 1

    async def from_a_loop():
        with anyio.fail_after(20):
            return await anyio.to_thread.run_sync(summed, Scripted([SUMMARY]))

    check(anyio.run(from_a_loop))


def test_a_model_that_fails_fails_the_build():
    with pytest.raises(BackendError, match="down"):
        summed(Scripted(BackendError("down")))
