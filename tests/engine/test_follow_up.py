"""Which questions need the one before them, and what is searched for then."""

import pytest

from ctxeng.engine.follow_up import follows_up, self_contained

LEANING = """Who approves it?|And for sabbaticals?|What about contractors?|Why?|How long?
And what about the office in Porto?|Who approves?|How do I tell them?|Is that paid?|Sabbatical?
How long does this take?|What else?|Does she work on Fridays?|Which one is cheaper?|And when?
Can you explain that?|How much is it?|Who is responsible for that?|But not in Germany?|And in Porto?
Und in Berlin?|那呢？|Tell me more.|What happens otherwise?|Who works there?"""
STANDING = """How long is parental leave?|Who approves travel?|What is BM25?|net_salary function
Is there a limit on expenses?|What is the deadline for expense reports?|休假多长时间？
Which form do I need for the sabbatical?|How fast must a page be acknowledged?
Wie lange dauert die Elternzeit?
What documents that describe leave exist?|Are there any offices in Berlin?
And how long does a rollback take?|So what is the hotel limit in Berlin?"""


def questions(text):
    return text.replace("\n", "|").split("|")


@pytest.mark.parametrize("question", questions(LEANING))
def test_it_leans_on_the_question_before(question):
    assert follows_up(question)
    assert self_contained(question, ["What is X1?"]) == f"What is X1? {question}"


@pytest.mark.parametrize("question", questions(STANDING))
def test_it_stands_on_its_own(question):
    assert not follows_up(question)
    assert self_contained(question, ["What is X1?"]) == question


def test_the_last_question_that_stood_on_its_own_is_put_before_it():
    earlier = ["What is X1?", "How long is parental leave?", "Who approves it?", "  "]
    assert self_contained("And why?", earlier) == "How long is parental leave? And why?"


@pytest.mark.parametrize("question", ["", "  ", "Why?", "?"])
def test_where_nothing_was_asked_before_it_stays_as_it_is(question):
    assert self_contained(question, []) == question
    assert self_contained(question, ["And it?"]) == question
