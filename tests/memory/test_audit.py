"""What counts as an atom of a text."""

import time

import pytest

from ctxeng.memory import atoms


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It costs 1,240.50 euros, or 12%.", {"1,240.50", "12%"}),
        ("On 2027-03-14 at 09:30 it ends.", {"2027-03-14", "09:30"}),
        ("See src/api/run.py, v2.1 and INC-48211.", {"src/api/run.py", "v2.1", "INC-48211"}),
        ("Call get_user or getUser.", {"get_user", "getUser"}),
        ("Then Maria Okonkwo left Basel.", {"Maria", "Okonkwo", "Basel"}),
        ("Write to ops@example.org.", {"ops@example.org"}),
        ('{"id": 17, "ok": true}', {"17"}),
        ("Nothing was said. All went well.", set()),
        ("", set()),
    ],
)
def test_atoms(text, found):
    assert atoms(text) == found


@pytest.mark.parametrize("unit", ["a", "a/", "a_", "1,", ". ", "Ab ", "{", "7 "])
def test_time_is_linear(unit):
    began = time.process_time()
    atoms(unit * (2_000_000 // len(unit)))
    assert time.process_time() - began < 10
