"""LangChain's default retrievers on one task. Runs in LangChain's own environment."""

import json
import sys
from pathlib import Path

import numpy as np
from langchain_classic.retrievers import EnsembleRetriever
from langchain_community.retrievers import BM25Retriever
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

work = Path(sys.argv[1])
task = json.loads((work / "task.json").read_text("utf-8"))
vectors = np.load(work / "vectors.npz")
known = {text: row for (_, text), row in zip(task["corpus"], vectors["corpus"], strict=True)}
asked = {text: row for (_, text), row in zip(task["queries"], vectors["queries"], strict=True)}


class Given(Embeddings):
    """The vectors that all systems get."""

    def embed_documents(self, texts):
        return [known[text].tolist() for text in texts]

    def embed_query(self, text):
        return asked[text].tolist()


documents = [
    Document(id=key, page_content=text, metadata={"id": key}) for key, text in task["corpus"]
]
bm25 = BM25Retriever.from_documents(documents, k=task["limit"])
store = InMemoryVectorStore(Given())
store.add_documents(documents)
dense = store.as_retriever(search_kwargs={"k": task["limit"]})
hybrid = EnsembleRetriever(retrievers=[bm25, dense], id_key="id")


def rankings(retriever):
    return {
        query: list(dict.fromkeys(found.metadata["id"] for found in retriever.invoke(text)))
        for query, text in task["queries"]
    }


found = {"lexical": rankings(bm25), "hybrid": rankings(hybrid)}
(work / "rankings.json").write_text(json.dumps(found), "utf-8")
