"""Shares of weight."""

import math

from hypothesis import given
from hypothesis import strategies as st

from ctxeng.text.overlap import question_weights, recall, term_weights

weights = st.dictionaries(st.sampled_from("abcdef"), st.floats(0.1, 9), max_size=6)


@given(wanted=weights, present=st.sets(st.sampled_from("abcdef")))
def test_recall_is_a_share_that_grows_with_what_is_present(wanted, present):
    share = recall(wanted, present)
    assert 0 <= share <= 1
    assert recall(wanted, present | {"a"}) >= share
    if wanted:
        assert math.isclose(recall(wanted, wanted), 1)
    assert recall(wanted, ()) == recall({}, present) == 0


def idf_of(counts, chunks=100):
    """Rarity among ``chunks`` chunks, of which each term is in so many."""

    def idf(term):
        having = counts.get(term, 0)
        return math.log(1 + (chunks - having + 0.5) / (having + 0.5))

    return idf


def test_rarer_terms_weigh_more():
    found = term_weights("pump pumps seal rotor", idf_of({"pump": 90, "seal": 3}))
    assert list(found) == ["pump", "seal", "rotor"]
    assert found["pump"] < found["seal"] < found["rotor"]


def test_words_that_only_ask_do_not_count():
    idf = idf_of({"pump": 5})
    assert question_weights("What is the pump?", idf).keys() == {"pump"}
    assert question_weights("How many pumps?", idf).keys() == {"pump"}
    assert question_weights("Explain!", idf).keys() == {"explain"}  # where there is nothing else
