"""The analyzer: what the lexical index counts, for documents and queries alike.

Words are folded (NFKC, case, Latin accents) and stemmed, by script; identifiers are kept whole and
also split at camelCase, snake_case and digits; scripts that put no space between words give
character 2- and 3-grams. A term never holds white space.
"""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache

import regex
import Stemmer

ANALYZER = "ctxeng-terms-3"
"""Recorded in each workspace; changes whenever ``terms`` would."""

MAX_WORD = 64
"""Longer words (base64, minified code) are cut: nobody asks for their ends."""
CACHED_WORDS = 200_000

_WORD = regex.compile(r"[\p{L}\p{M}\p{N}_]+")
UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー]+")
_PIECE = regex.compile(
    r"\p{Lu}+(?=\p{Lu}\p{Ll})|\p{Lu}?[\p{Ll}\p{M}]+|\p{Lu}+|\p{N}+|[\p{L}\p{M}]+"
)
_LATIN = regex.compile(r"\p{Latin}")
_SCRIPTS = {
    "russian": regex.compile(r"\p{Cyrillic}"),
    "greek": regex.compile(r"\p{Greek}"),
    "arabic": regex.compile(r"\p{Arabic}"),
    "hindi": regex.compile(r"\p{Devanagari}"),
}
"""Language → a letter of the script whose words are stemmed as its are."""
_STOP_WORDS = frozenset(
    """a about above after again all also am an and any are as at be because been before being
    below between both but by can could did do does doing during each few for from further had has
    have having he her here hers him his how i if in into is it its itself just me more most my no
    nor not of off on once only or other our out over own same she should so some such than that
    the their theirs them then there these they this those through to too under until up us very
    was we were what when where which while who whom why will with would you your""".split()  # noqa: SIM905
)


def terms(text: str) -> list[str]:
    """The terms of a text, in order, repeated as often as they occur."""
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text)):
        found += _word_terms(word) if len(word) <= MAX_WORD else _long_word_terms(word)
    return found


def identifiers(text: str) -> list[str]:
    """The words of a query that may name something that code defines, in normal form."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text))
    names = dict.fromkeys(identifier(word) for word in words)
    return [name for name in names if len(name) > 2 and name not in _STOP_WORDS]


def identifier(name: str) -> str:
    """The form in which a defined name and a name in a query are compared."""
    return name.strip("_").casefold()


@lru_cache(maxsize=CACHED_WORDS)
def _word_terms(word: str) -> tuple[str, ...]:
    if word.isascii() and word.islower() and word.isalpha():
        return () if word in _STOP_WORDS else (_stem(word),)
    return tuple(_long_word_terms(word))


def _long_word_terms(word: str) -> list[str]:
    """A run without spaces may be as long as it likes; what stands between runs is cut."""
    found: list[str] = []
    start = 0
    for run in UNSPACED.finditer(word):
        found += _spaced(word[start : min(run.start(), start + MAX_WORD)])
        found += _grams(run.group())
        start = run.end()
    found += _spaced(word[start : start + MAX_WORD])
    return found


def _spaced(word: str) -> list[str]:
    """Terms of a word of a script with spaces: whole, and its parts where it has several."""
    word = word.strip("_")
    if not word:
        return []
    pieces = _PIECE.findall(word)
    whole = _fold(word)
    if len(pieces) < 2:
        return [] if whole in _STOP_WORDS else [_stem(whole)]
    folded = [_fold(piece) for piece in pieces]
    return [whole, *(_stem(piece) for piece in folded if piece not in _STOP_WORDS)]


def _grams(run: str) -> list[str]:
    if len(run) < 3:
        return [run]
    pairs = [run[i : i + 2] for i in range(len(run) - 1)]
    return pairs + [run[i : i + 3] for i in range(len(run) - 2)]


def _fold(word: str) -> str:
    """Lower case; accents go from Latin letters only, elsewhere marks are letters."""
    folded = word.casefold()
    if folded.isascii() or not _LATIN.search(folded):
        return folded
    bare = (c for c in unicodedata.normalize("NFD", folded) if not unicodedata.combining(c))
    return unicodedata.normalize("NFC", "".join(bare))


def _stem(word: str) -> str:
    """By the Snowball stemmer of the language that most writes the word's script; that of English
    leaves words of other scripts alone.
    """
    first = "" if word.isascii() else next(filter(str.isalpha, word), "")
    script = next((name for name, letter in _SCRIPTS.items() if letter.match(first)), "english")
    stem: str = _stemmer(script).stemWord(word)
    return stem


@cache
def _stemmer(language: str) -> Stemmer.Stemmer:
    return Stemmer.Stemmer(language, 0)
