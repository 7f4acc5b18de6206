"""Questions that need the one before them to be understood."""

from __future__ import annotations

from collections.abc import Sequence

import regex

from ctxeng.text.asking import is_function_word, without_asking
from ctxeng.text.terms import terms

SHORT = 2
"""A question of at most so many words, with at most one of its own, says only a part:
``Sabbatical?``, ``Who approves?``"""

_OPENS = regex.compile(
    r"^\W*(?:(?:and|but|or|so|then|also|plus|ok(?:ay)?)\W+)*(?:what about|how about|what if"
    r"|what else|why not|and|but|or|also|plus|und|aber|oder|et|mais|y|e|pero|ma)\b",
    regex.IGNORECASE,
)
_POINTS_BACK = regex.compile(
    r"""
    \b(?:it|its|itself|they|them|their|theirs|he|him|his|she|her|hers|this|those|these|ones?|such
      |the\ (?:same|former|latter|first|second|last|others?|above)
      |instead|otherwise|else
    )\b
    | (?<!\b(?:is|are|was|were)\ )\bthere\b(?!\ (?:is|are|was|were|any|an?)\b)
    | \b(?:is|are|was|does|do|did|of|about|for|with|from|to|like|on|in|by|after|before|than|why|how
         |would|will|can|could|mean)\ that\b
    | \bthat\b(?=\W*$)
    """,
    regex.VERBOSE | regex.IGNORECASE,
)


def follows_up(question: str) -> bool:
    """Whether a question leans on what was asked before.

    It has no words of its own beside those that only ask (``How long?``), or one and hardly any
    others; it goes on without asking anew (``And in Lisbon?``, ``What about contractors?``); or a
    word in it points back (``Who approves it?``). The last two are told by English words, and a few
    of other languages.
    """
    own = [term for term in terms(without_asking(question)) if not is_function_word(term)]
    if not own or _POINTS_BACK.search(question):
        return True
    opening = _OPENS.match(question)
    if opening is None:
        return len(own) == 1 and len(question.split()) <= SHORT
    rest = question[opening.end() :]
    return len(own) == 1 or without_asking(rest) == rest


def self_contained(question: str, earlier: Sequence[str]) -> str:
    """What is searched for: the question, and before it, where it follows up, the last earlier one
    that stood on its own. Nothing is rewritten.
    """
    if not question.strip() or not follows_up(question):
        return question
    before = next((one for one in reversed(earlier) if one.strip() and not follows_up(one)), "")
    return f"{before} {question}" if before else question
