"""Every distiller keeps the laws of the Distiller contract."""

from dataclasses import replace

import pytest

from ctxeng.memory import RuleDistiller
from ctxeng.testing import distillers
from ctxeng.testing.distillers import DISTILLER_LAWS


class ReadsTheBeginning(RuleDistiller):
    def distill(self, text):
        return super().distill(text[:4_000])


class Rephrases(RuleDistiller):
    def distill(self, text):
        return [replace(one, text=f"It says: {one.text}") for one in super().distill(text)]


@pytest.mark.parametrize("law", DISTILLER_LAWS, ids=lambda law: law.__name__)
def test_laws_hold(law):
    law(RuleDistiller())


@pytest.mark.parametrize(
    ("law", "broken"),
    [
        (distillers.all_of_a_text_is_read, ReadsTheBeginning()),
        (distillers.the_words_of_a_note_stand_in_the_text, Rephrases()),
    ],
    ids=lambda one: getattr(one, "__name__", type(one).__name__),
)
def test_what_breaks_a_law_is_caught(law, broken):
    with pytest.raises(AssertionError):
        law(broken)
