"""The laws of ``Distiller``, one function each, for any implementation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import regex

from ctxeng.memory.distill import Distiller

TEXTS: Sequence[str] = (
    "",
    " \n\n ",
    "?! --- | | |",
    "We decided to wait. The pump in hall 4 fails at 90 °C; ask Ines Roth by 14 March 2027.",
    "2026-03-14T02:11:09Z ERROR job 8812 failed in /srv/jobs/run.py\n" * 3,
    '{"id": 7, "state": "late"},\n{"id": 8, "state": "ok"}',
    "# Prices\n\n| item | price |\n|---|---|\n| pump | 10 |\n\n- one\n- two 2\n",
    "def price(rotor):\n    return rotor.weight * 7.5\n",
    "会议室在三楼。电话是 12345。",
    "pay\u202e 7\u200b\x00 euros \ud800",
    "x" * 5_000,
)
SLOWER = 40
"""Times as long as a tenth of a text may take the whole: linear, on a machine with other work."""


def the_words_of_a_note_stand_in_the_text(distiller: Distiller) -> None:
    """In order, but for white space and what cannot be seen."""
    for text in TEXTS:
        whole = _bare(text)
        for note in distiller.distill(text):
            assert _bare(note.text) in whole


def a_note_is_one_line_that_shows_all_it_holds(distiller: Distiller) -> None:
    for text in TEXTS:
        for note in distiller.distill(text):
            assert note.text.strip()
            assert "\n" not in note.text
            assert not regex.search(r"\p{C}", note.text)


def what_a_note_states_stands_in_it(distiller: Distiller) -> None:
    for text in TEXTS:
        for note in distiller.distill(text):
            for atom in note.atoms:
                assert _bare(atom.partition(":")[2]) in _bare(note.text)


def all_of_a_text_is_read(distiller: Distiller) -> None:
    """What is said at its very end is noted as what is said at its beginning is."""
    filler = "All is well and the halls are quiet. " * 3_000
    fact = "We decided that the serial is SN-48213."
    for text in (f"{fact} {filler}", f"{filler}{fact} {filler}", f"{filler}{fact}"):
        assert any("SN-48213" in note.text for note in distiller.distill(text))


def the_same_text_gives_the_same_notes(distiller: Distiller) -> None:
    for text in TEXTS:
        assert distiller.distill(text) == distiller.distill(text)


def time_is_linear_in_the_length(distiller: Distiller) -> None:
    for line in (TEXTS[3] + " ", TEXTS[4], "x", "1,", "(" * 9 + " "):
        spent = [math.inf, math.inf]
        for _ in range(2):
            for at, count in enumerate((20_000, 200_000)):
                text = (line * (count // len(line) + 1))[:count]
                began = time.process_time()
                distiller.distill(text)
                spent[at] = min(spent[at], time.process_time() - began)
        assert spent[1] <= SLOWER * max(spent[0], 0.005)


def _bare(text: str) -> str:
    return regex.sub(r"[\p{C}\p{Z}\s]+", "", text)


DISTILLER_LAWS: Sequence[Callable[[Distiller], None]] = (
    the_words_of_a_note_stand_in_the_text,
    a_note_is_one_line_that_shows_all_it_holds,
    what_a_note_states_stands_in_it,
    all_of_a_text_is_read,
    the_same_text_gives_the_same_notes,
    time_is_linear_in_the_length,
)
"""All of them."""
