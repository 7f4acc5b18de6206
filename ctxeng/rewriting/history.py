"""Follow-up questions resolved by rules: nothing is put in other words."""

from __future__ import annotations

from collections.abc import Sequence

from ctxeng.rewriting.leaning import OPENS, POINTS_BACK
from ctxeng.text.asking import is_function_word, without_asking
from ctxeng.text.terms import terms
from ctxeng.types import Message, Query

RESOLVED_BY = "the question before it"
SHORT = 2
"""A question of at most so many words, with at most one of its own, says only a part:
``Sabbatical?``, ``Who approves?``"""
LONG = 1_000
"""Characters. What is longer says itself what its words point to."""


class FollowUpRewriter:
    """Puts the last question that stood on its own before one that leans; fits ``Rewriter``.

    Whether a question leans is told by words of English, German, French, Spanish, Italian,
    Portuguese, Hindi, Chinese, Japanese and Thai; that it hardly has words of its own, in any
    language. What a question leaves out without a word (``What was the role of slavery?``) is not
    seen.
    """

    name = "follow-up rules"

    async def rewrite(self, query: Query, history: Sequence[Message]) -> list[Query]:
        asked = [message.text for message in history if message.role == "user"]
        text = self_contained(query.text, asked)
        if text == query.text:
            return [query]
        return [query.model_copy(update={"text": text, **replaced(RESOLVED_BY)})]


def replaced(by: str) -> dict[str, str]:
    """What a query says of itself that stands in the place of another."""
    return {"kind": "rewritten", "made_by": by}


def follows_up(question: str) -> bool:
    """Whether a question leans on what was asked before.

    It has no words of its own beside those that only ask (``How long?``), or one and hardly any
    others; it goes on without asking anew (``And in Lisbon?``, ``What about contractors?``); or a
    word in it points back (``Who approves it?``).
    """
    if len(question) > LONG:
        return False
    own = own_terms(question)
    if not own or _points_back(question):
        return True
    opening = OPENS.match(question)
    if opening is None:
        return len(own) == 1 and len(question.split()) <= SHORT
    rest = question[opening.end() :]
    return len(own) == 1 or without_asking(rest) == rest


def own_terms(question: str) -> list[str]:
    """What a question speaks of, without the words that only ask or join."""
    return [term for term in terms(without_asking(question)) if not is_function_word(term)]


def self_contained(question: str, earlier: Sequence[str]) -> str:
    """The question, and before it, where it follows up, the last earlier one that stood on its
    own.
    """
    if not question.strip() or not follows_up(question):
        return question
    before = next((one for one in reversed(earlier) if one.strip() and not follows_up(one)), "")
    return f"{before} {question}" if before else question


def _points_back(question: str) -> bool:
    """A name in capitals (``IT``) is none of the words, unless all is in capitals."""
    shouted = question.isupper()
    found = (match.group() for match in POINTS_BACK.finditer(question))
    return any(shouted or len(one) == 1 or not one.isupper() for one in found)
