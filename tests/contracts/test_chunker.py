"""The chunker and the contextualizer keep the laws of their contracts."""

import pytest

from ctxeng.chunking import DeterministicContextualizer, StructuredChunker
from ctxeng.settings import ChunkingSettings
from ctxeng.testing.chunkers import CHUNKER_LAWS, chunks_tile_the_document
from ctxeng.testing.contextualizers import CONTEXTUALIZER_LAWS

CHUNKERS = {
    "default": StructuredChunker(),
    "small": StructuredChunker(ChunkingSettings(min_words=20, max_words=40)),
}


@pytest.mark.parametrize("law", CHUNKER_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", CHUNKERS)
def test_laws_hold(law, name):
    law(CHUNKERS[name])


def test_one_word_chunks_tile_the_document_too():
    chunks_tile_the_document(StructuredChunker(ChunkingSettings(min_words=1, max_words=1)))


def test_the_name_changes_with_every_setting():
    assert len({chunker.name for chunker in CHUNKERS.values()}) == len(CHUNKERS)


@pytest.mark.parametrize("law", CONTEXTUALIZER_LAWS, ids=lambda law: law.__name__)
def test_laws_of_the_contextualizer_hold(law):
    law(DeterministicContextualizer())
