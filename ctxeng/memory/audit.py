"""Counts what a text states: the atoms by which a loss can be seen.

Written apart from the distiller on purpose: who makes the notes does not also count what they lack.
"""

from __future__ import annotations

import re

_PLAIN = r"[^\s\"'`(){}\[\]<>|;,=*]+"
_TOKEN = re.compile(rf"{_PLAIN}(?:,(?=\d{{3}}(?!\d)){_PLAIN})*|\n")
_CAPITAL = re.compile(r"[^\W\d_a-z][^\W\d_]*[^\W\d_A-Z][^\W\d_]*")
_INSIDE = re.compile(r"\d|\w_\w|[a-z][A-Z]|\w/\w|\w\\\w|\w@\w")
_LONGEST = 200
"""Characters; longer runs (base64, minified code) state nothing that a person would ask for."""


def atoms(text: str) -> frozenset[str]:
    """The distinct numbers, dates, times, identifiers, paths, addresses and names of a text, each
    as it is written there. Linear in the length of the text.

    Names are capitalised words within a sentence, so of scripts without capitals only numbers and
    identifiers are counted.
    """
    plain: dict[str, bool] = {}
    names: set[str] = set()
    begins = True  # a sentence or a line
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token not in plain:
            plain[token] = len(token) <= _LONGEST and bool(_INSIDE.search(token))
        if (
            not begins
            and token[0].isupper()
            and len(token) < 40
            and _CAPITAL.fullmatch(token.rstrip(".,:!?’'"))
        ):
            names.add(token.rstrip(".,:!?’'"))
        begins = token[-1] in ".!?:\n"
    return frozenset({token.strip(".:,-–!?/") for token, is_one in plain.items() if is_one} | names)
