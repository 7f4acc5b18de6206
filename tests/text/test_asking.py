"""What a question asks about, and what each of its terms weighs."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.text.asking import asks_for_name, asks_for_number, without_asking
from ctxeng.text.overlap import MAX_TERMS, corpus_size, question_weights, term_weights

WORDS = ["leave", "rotor", "pager", "weeks", "vpn", "42", "ünder"]
questions = st.lists(st.sampled_from([*WORDS, "what", "how many", "de", "?"]), max_size=12).map(
    " ".join
)


def idf_of(chunks, having):
    """BM25's rarity, by definition."""

    def idf(term):
        n = having.get(term, 0)
        return math.log(1 + (chunks - n + 0.5) / (n + 0.5))

    return idf


@given(chunks=st.integers(0, 10**6))
def test_the_number_of_chunks_is_what_the_rarity_of_an_unknown_term_says(chunks):
    assert corpus_size(idf_of(chunks, {})) == pytest.approx(chunks, rel=1e-6, abs=1e-6)


@given(chunks=st.integers(1, 5000), share=st.floats(0, 1))
def test_rarer_terms_weigh_more_and_all_weigh_something(chunks, share):
    n = int(share * chunks)
    weights = term_weights("rotor pager", idf_of(chunks, {"rotor": n, "pager": chunks}))
    assert weights["rotor"] >= weights["pager"] > 0
    assert weights["rotor"] == pytest.approx(math.log((chunks + 101) / (n + 1.5)), rel=1e-6)


def test_in_a_small_workspace_an_absent_term_weighs_little_more_than_one_that_is_there():
    weights = term_weights("leave rotor", idf_of(1, {"leav": 1}))
    assert weights["rotor"] < 1.2 * weights["leav"]


@given(question=questions)
def test_a_question_keeps_some_weight_where_it_has_a_term(question):
    asked = question_weights(question, lambda term: 1.0)
    assert bool(asked) == bool(term_weights(question, lambda term: 1.0))


@pytest.mark.parametrize(
    ("question", "rest"),
    [
        ("How long is parental leave?", "is parental leave?"),
        ("¿En qué año fue fundada?", "año fue fundada?"),
        ("¿Cuántos días hay?", "días hay?"),
        ("Wie lange dauert es?", "dauert es?"),
        ("Combien coûte le billet ?", "coûte le billet ?"),
        ("范廷颂是什么时候被任为主教的？", "范廷颂是 被任为主教的？"),
        ("产假有多长？", "产假 ？"),
        ("誰がこの本を書きましたか", "がこの本を書きましたか"),
        ("Когда начнётся собрание?", "начнётся собрание?"),
        ("Πότε αρχίζει η συνάντηση;", "αρχίζει η συνάντηση;"),
        ("متى يبدأ الاجتماع؟", "يبدأ الاجتماع؟"),
        ("회의는 언제 시작합니까?", "회의는 시작합니까?"),
        ("Toplantı ne zaman başlıyor?", "Toplantı başlıyor?"),
        ("What happens if a lamp breaks?", "if a lamp breaks?"),
        ("Tell me about the wie gate", "the wie gate"),
    ],
)
def test_the_words_that_only_ask_go(question, rest):
    assert without_asking(question).split() == rest.split()


@pytest.mark.parametrize("question", ["How many?", "¿Cuándo abre?", "多少人", "Wann?", "What year"])
def test_a_number_is_asked_for(question):
    assert asks_for_number(question)


@pytest.mark.parametrize("question", ["By whom was it?", "¿Quién es?", "Wer war es", "Qui a écrit"])
def test_a_name_is_asked_for(question):
    assert asks_for_name(question)
    assert not asks_for_name("What does a chi square test tell, and qui bono?")


def test_no_number_is_asked_for():
    assert not asks_for_number("Who approves expenses?")


@pytest.mark.parametrize(
    "question", ["¿" * 100_000, "吗 " * 50_000, "what " * 20_000, "a" * 100_000, "´" * 100_000]
)
def test_100_kb_of_question_are_weighed_in_time(question):
    began = time.process_time()
    assert len(question_weights(question, lambda term: 1.0)) <= MAX_TERMS
    assert time.process_time() - began < 5


def test_a_very_long_question_is_asked_by_its_rarest_terms_that_are_there():
    known = {f"rare{n}": 2 for n in range(400)}
    text = "common " + " ".join(known) + " " + " ".join(f"absent{n}" for n in range(400))
    weights = question_weights(text, idf_of(1000, {"common": 900, **known}))
    assert len(weights) == MAX_TERMS
    assert set(weights) <= set(known)
