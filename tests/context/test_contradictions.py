"""What says the opposite is no duplicate: both reach the prompt."""

import pytest

from ctxeng.context import Assembler
from ctxeng.text.negation import negations
from tests.context.test_assemble import COUNTER, Shelf, one


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("The old pump may be used in hall four.", "The old pump may not be used in hall four."),
        ("An on-call week pays 350 euros to each.", "An on-call week pays 150 euros to each."),
        (
            "Die alte Pumpe darf in Halle vier laufen.",
            "Die alte Pumpe darf nicht in Halle vier laufen.",
        ),
        ("Pressure in the tank must stay < 5 bar.", "Pressure in the tank must stay > 5 bar."),
    ],
)
def test_what_differs_in_a_figure_or_a_negation_is_no_duplicate(first, second):
    shelf = Shelf([first, second])
    context = Assembler(COUNTER, shelf, one).assemble("pump", shelf.hits(), 400)
    assert {source.text for source in context.sources} == {first, second}


def test_a_sentence_inside_a_longer_text_too():
    said = "The visitor badge is returned at the front desk before {} in the evening."
    texts = [f"{intro} {said.format(hour)}" for intro, hour in (("Hi.", 6), ("Other things.", 7))]
    shelf = Shelf(texts)
    context = Assembler(COUNTER, shelf, one).assemble("badge", shelf.hits(), 400)
    assert all(said.format(hour) in context.text for hour in (6, 7))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is so.", set()),
        ("It isn’t, and was never", {"isn't", "never"}),
        ("Nicht ohne", {"nicht", "ohne"}),
        ("不可以", {"不"}),
        ("Notes of a nonesuch knot", set()),
    ],
)
def test_negations_are_words(text, found):
    assert negations(text) == found
