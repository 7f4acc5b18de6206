"""Every generator that needs no model keeps the laws of the Generator contract."""

import pytest

from ctxeng.generation import ExtractiveGenerator
from ctxeng.testing.generators import GENERATOR_LAWS
from ctxeng.types import Context, Segment, Source, Span

TEXT = "Small sums need no approval. Expenses above 500 euros are approved by Ines Roth."


def prompt():
    source = Source(uri="a.md", document_id="a", span=Span(start=0, end=len(TEXT)))
    segments = (
        Segment(text=TEXT, section="sources", role="user", tokens=0, trust="document",
                reason="rank 1", number=1, source=source),
        Segment(text="Who approves expenses above 500 euros?", section="question", role="user",
                tokens=0, trust="user", reason="asked"),
    )  # fmt: skip
    return Context(query="q", segments=segments, tokens=0, budget=0, tokenizer="none").messages


@pytest.mark.parametrize("law", GENERATOR_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("messages", ["with sources", "without"])
def test_laws_hold(law, messages):
    generator = ExtractiveGenerator(lambda term: 1.0)
    law(generator, prompt()) if messages == "with sources" else law(generator)
