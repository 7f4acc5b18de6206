"""Routers keep the laws of the Router contract, and what breaks one is caught."""

import pytest

from ctxeng.testing.routers import ROUTER_LAWS
from ctxeng.text.terms import terms
from ctxeng.types import Route


class ByTerms:
    """A question without a word of its own is looked for nowhere."""

    name = "by-terms"
    sources = ("documents", "tables")

    async def route(self, query):
        found = set(terms(query.text))
        scores = {"documents": min(1.0, len(found) / 4), "tables": float("revenue" in found)}
        chosen = [name for name, score in scores.items() if score > 0]
        return Route(sources=chosen, depth=20, scores=scores)


class Broken(ByTerms):
    def __init__(self, **made):
        self.made = made

    async def route(self, query):
        return Route(**{**dict(await super().route(query)), **self.made})


@pytest.mark.parametrize("law", ROUTER_LAWS, ids=lambda law: law.__name__)
def test_laws_hold(law):
    law(ByTerms())


@pytest.mark.parametrize(
    "made",
    [
        {"sources": ("web",)},
        {"sources": ("documents", "documents")},
        {"scores": {"web": 0.5}},
        {"scores": {"documents": 1.5}},
    ],
    ids=str,
)
def test_what_breaks_a_law_is_caught(made):
    broken = 0
    for law in ROUTER_LAWS:
        try:
            law(Broken(**made))
        except AssertionError:
            broken += 1
    assert broken
