"""Where nothing answers, what is said of the words that no source holds is true."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng import Document, Engine, Scope, Settings
from ctxeng.generation import NOT_FOUND
from ctxeng.grounding import unheld
from ctxeng.grounding.answerable import MOST_NAMED
from ctxeng.settings import EmbeddingSettings
from ctxeng.text.terms import terms

PLAIN = Settings(embedding=EmbeddingSettings(model="none"))
TEXT = "Rents are due on day 3. The archive of the Zürich office closes on Mondays."
HELD = set(terms(TEXT))


def missing(question):
    return unheld(question, lambda word: not HELD.isdisjoint(terms(word)))


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What is the melting point of tungsten?", ["melting", "point", "tungsten"]),
        ("How many zebras rent an archive?", ["zebras"]),
        ("Is rent renting rents?", []),
        ("When does the zurich office close?", []),
        ("Which form is F-12?", ["form", "F-12"]),
        ("¿Cuándo cierra la oficina?", ["cierra", "oficina"]),
        ("会议室在哪里？", []),
        ("What is it? Who?", []),
        ("", []),
        ("red green blue pink black", ["red", "green", "blue", "pink"]),
    ],
)
def test_words_are_named_as_written_when_no_form_of_them_is_held(question, words):
    found = missing(question)
    assert found == words
    assert len(found) <= MOST_NAMED


@given(st.text(max_size=300))
def test_what_is_named_stands_in_the_question_and_in_no_source(question):
    for word in missing(question):
        assert word in question
        assert HELD.isdisjoint(terms(word))


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    """One workspace of two tenants."""
    folder = tmp_path_factory.mktemp("shared") / "w"
    for tenant, text in {"ours": TEXT, "theirs": "Tungsten melts in the foundry."}.items():
        with Engine.open(folder, settings=PLAIN, scope=Scope(tenant=tenant)) as engine:
            engine.index([Document(id=tenant, text=text, metadata={"kind": tenant})])
    return folder


def asked(where, question, **values):
    with Engine.open(where, settings=PLAIN, scope=Scope(tenant="ours")) as engine:
        return engine.ask(question, **values)


def test_what_another_tenant_holds_is_held_by_nobody(where):
    answer = asked(where, "Where does tungsten melt?")
    assert answer.text == f"{NOT_FOUND} No source has the words: tungsten, melt."
    assert not answer.found


def test_what_the_filter_leaves_out_is_held_by_nobody(where):
    answer = asked(where, "Who closes the archive on Mondays?", filter={"kind": "other"})
    assert "archive" in answer.text


def test_one_word_is_told_as_one_and_where_all_are_held_nothing_is_added(where):
    assert asked(where, "Where is the zebra?").text == f"{NOT_FOUND} No source has the word: zebra."
    assert asked(where, "Is it?").text == NOT_FOUND
