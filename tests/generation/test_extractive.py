import anyio
import pytest

from ctxeng.generation import NOT_FOUND, ExtractiveGenerator
from ctxeng.generation.extractive import cited
from ctxeng.types import Context, Segment, Source, Span


def prompt(question, *texts, text_format="plain", headings=()):
    sources = [
        Segment(
            text=text,
            section="sources",
            role="user",
            tokens=0,
            trust="untrusted",
            reason="rank 1",
            number=number,
            source=Source(
                uri=f"{number}.md",
                document_id=str(number),
                span=Span(start=0, end=len(text)),
                format=text_format,
                heading_path=headings,
            ),
        )
        for number, text in enumerate(texts, start=1)
    ]
    asked = Segment(
        text=question, section="question", role="user", tokens=0, trust="user", reason="asked"
    )
    return Context(
        query=question, segments=(*sources, asked), tokens=0, budget=0, tokenizer="none"
    ).messages


def answer(messages, idf=lambda term: 1.0):
    async def read():
        return [delta async for delta in ExtractiveGenerator(idf).stream(messages)]

    deltas = anyio.run(read)
    assert deltas[-1].usage is not None
    return "".join(delta.text for delta in deltas)


def test_quotes_the_sentence_that_holds_the_question_and_cites_it():
    messages = prompt(
        "Who approves expenses above 500 euros?",
        "Coffee is free. Tea is free too.",
        "Small sums need no approval. Expenses above 500 euros are approved by Ines Roth. Be kind.",
    )
    assert answer(messages) == "Expenses above 500 euros are approved by Ines Roth [2]."


def test_the_headings_above_a_sentence_decide_between_equals():
    messages = prompt(
        "How long is parental leave?",
        "Staff may take up to 5 days.",
        "Staff may take up to 20 weeks, whatever long illness comes between.",
        headings=("Leave",),
    )
    assert answer(messages).endswith("comes between [2].")


def test_nothing_in_common_is_not_found_and_cites_nothing():
    assert answer(prompt("What is the wifi password?", "Lunch is at noon.")) == NOT_FOUND
    assert answer(prompt("What is the wifi password?")) == NOT_FOUND


def test_a_further_sentence_must_bring_something_missing():
    messages = prompt(
        "When do payroll and audit close?",
        "Payroll closes on day 25. The audit closes in March. Payroll closes early in December.",
    )
    text = answer(messages)
    assert "Payroll closes on day 25 [1]." in text
    assert "The audit closes in March [1]." in text
    assert "December" not in text


def test_code_is_quoted_as_a_block():
    code = "def pay(amount):\n    return amount * rate\n\n\ndef stop():\n    halt()"
    text = answer(prompt("What does pay return?", code, text_format="code"))
    assert "```\ndef pay(amount):\n    return amount * rate\n```" in text


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("It is so.", "It is so [1]."),
        ("Really?!", "Really [1]?!"),
        ("He said “no.”", "He said “no [1].”"),
        ("これは本です。", "これは本です [1]。"),
        ("a | b", "a | b [1]"),
    ],
)
def test_the_marker_stands_before_the_stop(sentence, shown):
    assert cited(sentence, 1) == shown
