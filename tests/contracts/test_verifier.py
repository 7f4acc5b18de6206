"""Every verifier keeps the laws of the Verifier contract."""

import json

import pytest

from ctxeng.embedding import MiniLMEmbedder, StaticEmbedder
from ctxeng.grounding.asked import ModelSupport
from ctxeng.grounding.support import (
    CombinedSupport,
    CosineSupport,
    SupportVerifier,
    TermSupport,
    rarity,
)
from ctxeng.testing.verifiers import TEXTS, VERIFIER_LAWS
from tests.generation.scripted import Scripted

IDF = rarity(TEXTS)
SURE = json.dumps({"supported": True, "confidence": 0.9})
VERIFIERS = [
    SupportVerifier(TermSupport(IDF), IDF),
    SupportVerifier(CosineSupport(StaticEmbedder()), IDF),
    SupportVerifier(CombinedSupport(IDF, MiniLMEmbedder()), IDF),
    ModelSupport(Scripted([SURE]), IDF),
]


@pytest.mark.parametrize("law", VERIFIER_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("verifier", VERIFIERS, ids=lambda verifier: verifier.name)
def test_laws_hold(law, verifier):
    law(verifier)
