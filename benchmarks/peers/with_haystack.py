"""Haystack's default retrievers on one task. Runs in Haystack's own environment.

``DocumentJoiner`` concatenates by default, which compares BM25 scores with cosines; it is given
reciprocal rank fusion, which does better.
"""

import json
import sys
from pathlib import Path

import numpy as np
from haystack import Document
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers.in_memory import (
    InMemoryBM25Retriever,
    InMemoryEmbeddingRetriever,
)
from haystack.document_stores.in_memory import InMemoryDocumentStore

work = Path(sys.argv[1])
task = json.loads((work / "task.json").read_text("utf-8"))
vectors = np.load(work / "vectors.npz")
store = InMemoryDocumentStore()
store.write_documents(
    [
        Document(id=key, content=text, embedding=row.tolist())
        for (key, text), row in zip(task["corpus"], vectors["corpus"], strict=True)
    ]
)
bm25 = InMemoryBM25Retriever(store, top_k=task["limit"])
dense = InMemoryEmbeddingRetriever(store, top_k=task["limit"])
joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=task["limit"])

found = {"lexical": {}, "hybrid": {}}
for (query, text), row in zip(task["queries"], vectors["queries"], strict=True):
    by_terms = bm25.run(query=text)["documents"]
    by_vector = dense.run(query_embedding=row.tolist())["documents"]
    joined = joiner.run(documents=[by_terms, by_vector])["documents"]
    found["lexical"][query] = [document.id for document in by_terms]
    found["hybrid"][query] = [document.id for document in joined]
(work / "rankings.json").write_text(json.dumps(found), "utf-8")
