"""The distiller reads all, invents nothing, and sees what states something."""

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.memory import RuleDistiller
from ctxeng.memory.distill import MAX_NOTE, note, pieces, shown

texts = st.text(st.sampled_from("aB7 .,;\n\t\"'{}|é中。।\u200b\u202e\ud83d-_/:=$%"), max_size=900)


def bare(text):
    """Without what neither a note nor a check may see."""
    return regex.sub(r"[\p{C}\p{Z}\s]+", "", text)


@given(texts)
def test_the_pieces_hold_all_of_a_text_and_nothing_else(text):
    assert bare("".join(pieces(text))) == bare(text)
    assert all(len(piece) <= MAX_NOTE for piece in pieces(text))


@given(texts)
def test_the_words_of_a_note_stand_in_the_text(text):
    whole = bare(text)
    for one in RuleDistiller().distill(text):
        assert bare(one.text) in whole
        assert "\n" not in one.text
        assert not regex.search(r"\p{C}", one.text)
        assert all(bare(atom.partition(":")[2]) in whole for atom in one.atoms)
    assert RuleDistiller().distill(text) == RuleDistiller().distill(text)


@pytest.mark.parametrize(
    ("text", "atoms", "kinds"),
    [
        ("It moved to db-07.internal on 14 March 2026.", {"identifier:db-07.internal"}, {"date"}),
        ("It moved on March 14, 2026.", {"date:March 14, 2026"}, {"date"}),
        ("The bill is $1,240.50 or 12%.", {"number:$1,240.50", "number:12%"}, {"number"}),
        ("Then ask Maria Okonkwo.", {"name:Maria Okonkwo"}, {"name"}),
        ("See src/api/run.py and notes.md.", {"path:src/api/run.py", "path:notes.md"}, {"path"}),
        ("The key is `get_user_name`.", {"identifier:get_user_name"}, {"identifier"}),
        ("Write to ops@example.org.", {"identifier:ops@example.org"}, {"identifier"}),
        ("We decided to wait.", set(), {"decision"}),
        ("The next step is to wait.", set(), {"task"}),
        ("It must not be late, at most an hour.", set(), {"constraint"}),
        ("The build failed.", set(), {"fault"}),
        ("Nothing was said about it.", set(), set()),
    ],
)
def test_what_a_note_states(text, atoms, kinds):
    one = note(text)
    assert atoms <= set(one.atoms)
    assert kinds <= set(one.kinds)
    assert kinds or not one.kinds


def test_lines_that_were_wrapped_are_one_sentence_and_list_items_are_not():
    wrapped = (
        "The certificate of the gateway in hall nine runs out on\nthe third of March 2027 at noon."
    )
    assert [" ".join(piece.split()) for piece in pieces(wrapped)] == [" ".join(wrapped.split())]
    assert list(pieces("- one\n- two")) == ["- one", "- two"]


def test_when_a_line_was_logged_costs_no_note_unless_it_tells_of_a_fault():
    (quiet,) = RuleDistiller().distill("2026-03-14T02:11:09Z INFO job 8812 is done")
    (loud,) = RuleDistiller().distill("2026-03-14T02:11:09Z ERROR job 8812 failed")
    assert quiet.text == "INFO job 8812 is done"
    assert loud.text.startswith("2026-03-14T02:11:09Z")
    assert quiet.row
    assert loud.row


def test_what_cannot_be_seen_is_not_shown():
    assert shown("pay\u202e 7\u200b\x00\n euros ") == "pay 7 euros"
