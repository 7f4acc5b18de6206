"""LlamaIndex's default retrievers on one task. Runs in LlamaIndex's own environment.

The fusion retriever runs in the mode of its documentation's examples (reciprocal rank), without
the questions that it would let a language model write.
"""

import json
import sys
from pathlib import Path

import numpy as np
from llama_index.core import VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import TextNode
from llama_index.retrievers.bm25 import BM25Retriever

work = Path(sys.argv[1])
task = json.loads((work / "task.json").read_text("utf-8"))
vectors = np.load(work / "vectors.npz")
asked = {text: row for (_, text), row in zip(task["queries"], vectors["queries"], strict=True)}


class Given(BaseEmbedding):
    """The vectors that all systems get; those of the documents are in the nodes already."""

    def _get_query_embedding(self, query):
        return asked[query].tolist()

    async def _aget_query_embedding(self, query):
        return asked[query].tolist()

    def _get_text_embedding(self, text):
        raise NotImplementedError


nodes = [
    TextNode(id_=key, text=text, embedding=row.tolist())
    for (key, text), row in zip(task["corpus"], vectors["corpus"], strict=True)
]
bm25 = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=task["limit"])
index = VectorStoreIndex(nodes, embed_model=Given())
hybrid = QueryFusionRetriever(
    [index.as_retriever(similarity_top_k=task["limit"]), bm25],
    llm=MockLLM(),
    num_queries=1,
    mode="reciprocal_rerank",
    similarity_top_k=task["limit"],
    use_async=False,
)


def rankings(retriever):
    return {
        query: list(dict.fromkeys(found.node.node_id for found in retriever.retrieve(text)))
        for query, text in task["queries"]
    }


found = {"lexical": rankings(bm25), "hybrid": rankings(hybrid)}
(work / "rankings.json").write_text(json.dumps(found), "utf-8")
