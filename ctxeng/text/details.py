"""Figures and names: what must stand in a source as it is said, and what many questions ask for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set

from ctxeng.text.sentences import sentences
from ctxeng.text.terms import terms

_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_UNITS = """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen""".split()  # noqa: SIM905
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
_SPELT = {
    **{unit: str(value) for value, unit in enumerate(_UNITS, start=1)},
    **{ten: str(10 * value) for value, ten in enumerate(_TENS, start=2)},
    **{
        f"{ten}-{unit}": str(10 * tens + units)
        for tens, ten in enumerate(_TENS, start=2)
        for units, unit in enumerate(_UNITS[:9], start=1)
    },
}


def figures(text: str) -> frozenset[str]:
    """Its numbers in one form: ``1,650.0``, ``１６５０`` and ``1650`` are one, and so are ``12``
    and ``twelve`` (English, below a hundred).
    """
    read = unicodedata.normalize("NFKC", text)
    written = {_plain(figure) for figure in _FIGURE.findall(_THOUSANDS.sub("", read))}
    spelt = {_SPELT[word] for word in _WORD.findall(read.casefold()) if word in _SPELT}
    return frozenset(written | spelt)


def names(text: str) -> frozenset[str]:
    """Terms of the words that have a capital though no sentence starts with them.

    Scripts without capitals and texts in lower case have none.
    """
    found: set[str] = set()
    for span in sentences(text):
        for word in [*_WORD.finditer(text, span.start, span.end)][1:]:
            if word[0][0].isupper():
                found.update(terms(word[0]))
    return frozenset(found)


def lacks_details(sentence: str, text: str, text_terms: Set[str]) -> bool:
    """Whether the sentence has a figure or a name that the text does not hold."""
    wanted = figures(sentence)
    return not names(sentence) <= text_terms or (bool(wanted) and not wanted <= figures(text))


def _plain(figure: str) -> str:
    """ASCII digits, a point before the decimals, no zeros that say nothing."""
    digits = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else "." for c in figure)
    parts = digits.split(".")
    if len(parts) == 2:
        parts[1] = parts[1].rstrip("0")
    parts[0] = parts[0].lstrip("0") or "0"
    return ".".join(part for part in parts if part)
