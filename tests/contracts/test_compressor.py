"""Every compressor keeps the laws of the Compressor contract."""

import pytest

from ctxeng.context.compress import SentenceCompressor
from ctxeng.context.summarise import SummaryCompressor
from ctxeng.embedding import StaticEmbedder
from ctxeng.grounding.support import rarity
from ctxeng.testing.compressors import COMPRESSOR_LAWS, PROSE
from ctxeng.text.tokens import PackagedTokenCounter
from tests.generation.scripted import Scripted

COUNTER = PackagedTokenCounter()
COMPRESSORS = [
    SentenceCompressor(),
    SentenceCompressor(COUNTER, ratio=0.5, idf=rarity(PROSE.split("."))),
    SentenceCompressor(embedder=StaticEmbedder()),
    SummaryCompressor(Scripted(["Leave is 20 weeks. ", "Dr. Roth approves it."])),
]


@pytest.mark.parametrize("law", COMPRESSOR_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("compressor", COMPRESSORS, ids=lambda compressor: compressor.name)
def test_laws_hold(law, compressor):
    law(compressor, COUNTER)
