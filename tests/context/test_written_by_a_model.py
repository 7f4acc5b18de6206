"""Summaries and notes of the packaged model. It is weak, and mostly says nothing of use: what is
handed on of it keeps the laws all the same, and the rest is refused.
"""

import re

import anyio
import pytest

pytest.importorskip("xllamacpp", reason="needs the extra `llama`")

from ctxeng import BackendError
from ctxeng.context.compact import acompact
from ctxeng.context.model_notes import ask_for_notes, holds
from ctxeng.context.summarise import PROMPT_NAME, asking, summarise
from ctxeng.generation.llama import LlamaGenerator
from ctxeng.generation.reply import collect
from ctxeng.memory.audit import atoms
from ctxeng.memory.distill import shown
from ctxeng.settings import ModelSettings
from ctxeng.testing.compressors import SEGMENTS
from ctxeng.types import GenerationOptions, Message
from tests.generation.packaged_model import fetched

pytestmark = pytest.mark.slow

SECONDS = 280
"""On a machine that others use, too; alone each takes a few."""
QUESTION = "Who approves leave, and how long is it?"
TOLD = (
    ("bexade", "user", "Order 4,711 of Ms. Tanaka goes to Lyon on 2026-05-03 with truck B-77."),
    ("cofugi", "user", "The invoice INV-2026-118 over 1,250 EUR is open; Karl Weber calls them."),
)


@pytest.fixture(scope="module")
def model():
    return LlamaGenerator(ModelSettings(backend="llama", model=str(fetched())))


def run(work, *arguments, **named):
    async def call():
        with anyio.fail_after(SECONDS):
            return await work(*arguments, **named)

    return anyio.run(call)


def said(model, messages, **options):
    wanted = GenerationOptions(**{"max_tokens": 60, **options})
    return run(collect, model.stream(messages, wanted), wanted, model=model.name).text


@pytest.mark.parametrize("whole", SEGMENTS[:2], ids=lambda one: one.source.uri)
def test_a_summary_fits_keeps_its_source_and_says_who_wrote_it_or_there_is_none(model, whole):
    mark = asking(QUESTION, whole.text, 8)[1].text[1:9]
    try:
        done = run(summarise, model, QUESTION, [whole], 60)
    except BackendError as error:
        assert error.kind == "bad_reply"
        assert error.text  # what it said instead
        return
    (one,) = done.segments
    assert done.tokens == one.tokens == model.counter.count(one.text) <= 60
    assert one.text.strip()
    assert mark not in one.text
    assert (one.transformation, one.made_by) == ("summarised", f"{model.name}, {PROMPT_NAME}")
    for same in ("source", "trust", "number", "section", "chunk_ids"):
        assert getattr(one, same) == getattr(whole, same)
    (left,) = done.dropped
    assert left.reason == f"summarised by {model.name} in {one.tokens} tokens"
    assert done.usage.completion_tokens > 0


def test_no_note_of_it_states_what_its_text_does_not(model):
    notes, remarks = run(ask_for_notes, model, [*TOLD])
    whole = {id_: text for id_, _, text in TOLD}
    assert notes.keys() <= whole.keys()
    for id_, own in notes.items():
        for note in own:
            assert note.by == model.name
            assert all(atom in whole[id_] for atom in atoms(note.text))
    assert all("were left out" in remark for remark in remarks)


def test_of_what_it_writes_freely_nothing_with_a_figure_of_its_own_would_be_a_note(model):
    _, _, text = TOLD[0]
    asked = [Message(role="user", content=f"{text}\nTell the story of this order, with figures.")]
    lines = [
        line
        for seed in range(2)
        for line in re.split(r"(?<=[.!?])\s+", said(model, asked, temperature=1.0, seed=seed))
        if line.strip()
    ]
    assert lines
    for line in lines:
        invented = set(re.findall(r"\d+", line)) - set(re.findall(r"\d+", text))
        if invented:
            assert not holds(shown(line), atoms(text), text), line
    assert holds(shown("Truck B-77 goes to Lyon on 2026-05-03."), atoms(text), text)
    assert not holds(shown("Truck B-78 goes to Lyon."), atoms(text), text)


def test_a_chat_that_it_takes_notes_on_loses_nothing(model):
    chat = [Message(role="system", content="You plan transports.")]
    for number in range(6):
        told = f"{TOLD[number % 2][2]} That is note {number}. " * 4
        chat.append(Message(role="user", content=told))
        chat.append(Message(role="assistant", content=f"Noted as {number}."))
    done = run(acompact, chat, 800, model=model, counter=model.counter)
    report = done.report
    assert report.changed
    assert report.tokens_after < report.tokens_before
    assert report.lost == 0
    assert all(done.fetch(id_) for removed in report.removed for id_ in removed.ids)
