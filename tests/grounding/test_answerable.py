import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxeng import Document, Engine, Settings
from ctxeng.grounding import Answerability
from ctxeng.grounding.answerable import BY_EMBEDDER, BY_TERMS, LARGEST, signs
from ctxeng.settings import EmbeddingSettings
from ctxeng.types import Segment, Source, Span

TEXT = "Intro line. Rent is due on day 3. Late rent costs 20 euros. Pets are welcome."


def source(text=TEXT, *, cosine=None, headings=()):
    return Segment(
        text=text,
        section="sources",
        role="user",
        tokens=0,
        trust="document",
        reason="",
        number=1,
        scores={} if cosine is None else {"dense.cosine": cosine},
        source=Source(
            uri="rent.md",
            document_id="r",
            span=Span(start=0, end=len(text)),
            heading_path=headings,
        ),
    )


def among(chunks):
    """Rarity in a workspace of so many chunks, where each term is in one or in none."""
    there = math.log(1 + (chunks - 0.5) / 1.5)
    return lambda term: there if term and term in "rent due day late euro pet" else unseen(chunks)


def unseen(chunks):
    return math.log(1 + (chunks + 0.5) / 0.5)


class Embedder:
    """Only its name and what it says of a language are asked."""

    dimensions = 3

    def __init__(self, name, coverage):
        self.name = name
        self._coverage = coverage

    def coverage(self, text):
        return self._coverage

    def embed(self, texts, kind):
        raise AssertionError("nothing is embedded to judge what was found")


questions = st.lists(
    st.sampled_from(["rent", "due", "pets", "brass", "band", "What", "how many", "?", "的是"]),
    max_size=10,
).map(" ".join)


@settings(deadline=None)
@given(question=questions, chunks=st.integers(1, 10**6), cosine=st.floats(-1, 1))
def test_a_score_is_a_probability_and_0_without_sources(question, chunks, cosine):
    judge = Answerability(among(chunks))
    for name in (*BY_EMBEDDER, "another"):
        score = judge.score(question, [source(cosine=cosine)], embedder=Embedder(f"{name}@1", 0.7))
        assert 0 <= score <= 1
    assert judge.score(question, []) == 0


@settings(deadline=None)
@given(question=questions, more=st.sampled_from(["brass", "band", "brass band"]))
def test_what_no_source_holds_never_helps(question, more):
    judge = Answerability(among(100))
    asked = f"rent {question}"
    assert judge.score(f"{asked} {more}", [source()]) <= judge.score(asked, [source()]) + 1e-9


@settings(deadline=None)
@given(question=questions)
def test_more_sources_never_hurt(question):
    judge = Answerability(among(100))
    one, two = source("Pets are welcome."), source("The brass band plays.")
    alone = judge.score(question, [one])
    assert judge.score(question, [one, two]) >= alone - 1e-9
    assert judge.score(question, [two, one]) == judge.score(question, [one, two])


def test_the_same_share_says_less_among_more_chunks():
    scores = [
        Answerability(among(chunks)).score("When is rent due in Oslo?", [source()])
        for chunks in (10, 100, 1_000)
    ]
    assert scores == sorted(scores, reverse=True)


def test_a_filter_that_leaves_few_chunks_makes_the_workspace_small():
    judge = Answerability(among(1_000))
    question = "When is rent due in Oslo?"
    assert judge.score(question, [source()], searched=3) > judge.score(question, [source()])


def test_a_question_that_one_source_holds_whole_is_answered_however_short_it_is():
    judge = Answerability(among(2_000))
    for question in ("rent", "pets", "When is rent due?"):
        assert judge.score(question, [source()]) >= judge.threshold
    assert judge.score("brass", [source()]) < judge.threshold


def test_beyond_the_largest_workspace_of_the_fit_size_counts_no_more():
    assert signs("rent", [source()], among(LARGEST)).size == pytest.approx(math.log(LARGEST))
    assert signs("rent", [source()], among(10**7)).size == math.log(LARGEST)


def test_terms_of_the_headings_count_as_terms_of_the_source():
    bare = signs("parental leave", [source("It is 20 weeks.")], among(50))
    below = signs(
        "parental leave", [source("It is 20 weeks.", headings=("Parental leave",))], among(50)
    )
    assert below.held > bare.held == 0
    assert below.missing == 0


def test_cosines_count_as_far_as_a_known_embedder_knows_the_language():
    judge = Answerability(among(200))
    known = next(iter(BY_EMBEDDER))
    question = "When is rent due in Oslo?"
    by_terms = judge.score(question, [source(cosine=0.9)])
    near = judge.score(question, [source(cosine=0.9)], embedder=Embedder(f"{known}@1", 1.0))
    far = judge.score(question, [source(cosine=0.1)], embedder=Embedder(f"{known}@1", 1.0))
    assert near > far
    for embedder in (Embedder(f"{known}@1", 0.0), Embedder("another@1", 1.0), None):
        assert judge.score(question, [source(cosine=0.9)], embedder=embedder) == pytest.approx(
            by_terms
        )
    half = judge.score(question, [source(cosine=0.9)], embedder=Embedder(f"{known}@1", 0.5))
    assert min(by_terms, near) <= half <= max(by_terms, near)


def test_the_weights_say_what_their_signs_mean():
    for weights in (BY_TERMS, *BY_EMBEDDER.values()):
        assert weights.held > 0 > weights.missing
        assert weights.size < 0
        assert weights.similarity >= 0


HOUSE = [
    "Parental leave is 20 weeks, fully paid.",
    "Invoices are sent to the finance team before the fifth day of each month.",
    "The Porto office closes at 15:00 on Fridays.",
    "A password has at least 14 characters and is kept in the password manager.",
    "Trips of more than ten days are approved by the head of the department.",
    "The on-call engineer acknowledges a page within five minutes.",
    "Coffee, tea and fruit are free in every kitchen.",
    "Laptops are replaced every three years by the help desk.",
    "New staff get a buddy for their first month.",
    "The car park opens at seven and closes at nine in the evening.",
    "Meals on a trip are paid with 28 euros a day.",
    "A rollback takes four minutes.",
    "Everyone may use the gym in the basement.",
    "Visitors wear a badge and are fetched at reception.",
    "The training budget is 1200 euros a year.",
    "Bicycles are stored in the yard, not in the corridor.",
    "Overtime is given back as free time within a quarter.",
    "The fire drill takes place in May.",
    "Suppliers are paid within thirty days.",
    "The library lends books for four weeks.",
]


@pytest.mark.parametrize("documents", [1, 5, 20])
@pytest.mark.parametrize("model", ["none", "static", "auto"])
def test_a_small_workspace_answers_what_it_holds_and_nothing_else(documents, model):
    options = Settings(embedding=EmbeddingSettings(model=model))
    with Engine.open(":memory:", settings=options) as engine:
        engine.index(
            [Document(id=str(n), text=text) for n, text in enumerate(HOUSE[:documents])], wait=True
        )
        answer = engine.ask("How long is parental leave?")
        assert answer.found
        assert answer.text == "Parental leave is 20 weeks, fully paid [1]."
        for question in (
            "Who won the 1998 world cup?",
            "What is the capital of Mongolia?",
            "How do I bake sourdough bread?",
            "¿Quién ganó la copa del mundo de 1998?",
            "谁赢得了1998年世界杯？",
        ):
            assert not engine.ask(question).found, question


@pytest.mark.parametrize("query", ["", " ", "?!. ---", "the of and", "what is it?", "¿?", "吗？"])
def test_a_question_that_says_nothing_is_not_answered(query):
    with Engine.open(":memory:", settings=Settings()) as engine:
        engine.index([Document(id=str(n), text=text) for n, text in enumerate(HOUSE)])
        assert not engine.ask(query).found
