"""How much of one text stands in another, counted in terms weighted by rarity.

Without a model this is the best sign that a text supports a sentence (AUROC .863 for supported
against not enough information). It cannot see a contradiction: it may say "no support found",
never "faithful".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

from ctxeng.text.asking import is_function_word, without_asking
from ctxeng.text.terms import terms

Idf = Callable[[str], float]
"""Rarity of a term among the N indexed chunks, of which n have it: ln(1 + (N - n + .5) / (n + .5)).
A term that none has is the rarest.
"""

MAX_TERMS = 256
BACKGROUND = 100
"""Imagined chunks, one of which has the term, by which rarity is smoothed: among the three chunks
of a small workspace, that a term is absent says little.
"""


def term_weights(text: str, idf: Idf) -> dict[str, float]:
    """Weight of each distinct term of a text: its rarity, smoothed by ``BACKGROUND``."""
    chunks = corpus_size(idf)
    return {term: _smoothed(idf(term), chunks) for term in dict.fromkeys(terms(text))}


def question_weights(question: str, idf: Idf) -> dict[str, float]:
    """``term_weights`` of what a question asks about, without the words that only ask.

    A question of nothing but such words keeps them; a very long one is asked by the rarest
    of its terms that some chunk has.
    """
    asked = term_weights(without_asking(question), idf) or term_weights(question, idf)
    asked = {t: w for t, w in asked.items() if not is_function_word(t)} or asked
    if len(asked) <= MAX_TERMS:
        return asked
    unknown = idf("")
    kept = sorted(asked, key=lambda term: (idf(term) >= unknown, -asked[term]))[:MAX_TERMS]
    return {term: asked[term] for term in kept}


def recall(wanted: Mapping[str, float], present: Collection[str]) -> float:
    """Share of the wanted weight that is present, in [0, 1]; 0 where nothing is wanted."""
    total = sum(wanted.values())
    return sum(w for term, w in wanted.items() if term in present) / total if total else 0.0


def corpus_size(idf: Idf) -> float:
    """How many chunks there are: what the rarity of a term that none has comes from."""
    return max(0.0, math.exp(idf("")) / 2 - 1)


def _smoothed(rarity: float, chunks: float) -> float:
    """ln((N + B) / (n + 1)), with N and n got back from the rarity."""
    having = (chunks + 1) / math.exp(rarity)  # n + .5
    return math.log((chunks + 1 + BACKGROUND) / (having + 1))
