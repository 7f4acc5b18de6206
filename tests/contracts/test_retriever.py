"""Every retriever keeps the laws of the Retriever contract."""

import pytest

from ctxeng.chunking import chunk
from ctxeng.embedding import StaticEmbedder
from ctxeng.indexing import ExactIndex, TantivyIndex, catch_up
from ctxeng.protocols import Entry
from ctxeng.retrieval import DenseSearch, HybridRetriever, ParentCosines
from ctxeng.settings import RetrievalSettings
from ctxeng.store import open_store
from ctxeng.testing.retrievers import RETRIEVER_LAWS


@pytest.fixture(params=["lexical", "dense", "hybrid"])
def make(request):
    opened = []

    def hybrid(documents):
        store, lexical, embedder = open_store(None), TantivyIndex(None), StaticEmbedder()
        opened.append(store)
        for document in documents:
            entry = Entry(document.id, document.content_hash, [(document, chunk(document))])
            store.put(document.scope, [entry])
        catch_up(store, lexical)
        missing = store.missing_vectors(embedder.name, 1_000)
        vectors = embedder.embed([text for _, text in missing], "document")
        store.put_vectors(embedder.name, [digest for digest, _ in missing], vectors)
        parents = ParentCosines(store, embedder.name, weight=0.75)
        dense = DenseSearch(embedder, ExactIndex(store, embedder.name), parents, 0.3)
        return HybridRetriever(
            store, lexical, lambda: dense, settings=RetrievalSettings(), mode=request.param
        )

    yield hybrid
    for store in opened:
        store.close()


@pytest.mark.parametrize("law", RETRIEVER_LAWS, ids=lambda law: law.__name__)
def test_laws_hold(law, make):
    law(make)
