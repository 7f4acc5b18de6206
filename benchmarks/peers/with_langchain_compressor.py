"""LangChain's contextual compression, as its how-to puts it together. In LangChain's environment.

Pieces of 300 characters, without those that say the same, ranked by their cosine with the query.
Writes the texts that it has no vectors of; when there are none, what it ranks, best first.
"""

import json
import logging
import sys
from pathlib import Path

import numpy as np
from langchain_classic.retrievers.document_compressors import (
    DocumentCompressorPipeline,
    EmbeddingsFilter,
)
from langchain_community.document_transformers import EmbeddingsRedundantFilter
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_text_splitters import CharacterTextSplitter

logging.disable(logging.WARNING)  # it tells of every piece that it cannot make shorter
work = Path(sys.argv[1])
tasks = json.loads((work / "tasks.json").read_text("utf-8"))
texts = json.loads((work / "texts.json").read_text("utf-8"))
known = dict(zip(texts, np.load(work / "vectors.npy").tolist(), strict=True))
unknown = {}


class Given(Embeddings):
    def embed_documents(self, texts):
        return [known.get(text) or unknown.setdefault(text, [1.0, 0.0]) for text in texts]

    def embed_query(self, text):
        return self.embed_documents([text])[0]


def ranked(query, passages):
    documents = [Document(page_content=text, metadata={"n": n}) for n, text in enumerate(passages)]
    pieces = splitter.split_documents(documents)
    missing = [t for t in (query, *(p.page_content for p in pieces)) if t not in known]
    Given().embed_documents(missing)
    if missing:
        return []
    found = DocumentCompressorPipeline(
        transformers=[
            EmbeddingsRedundantFilter(embeddings=Given()),
            EmbeddingsFilter(embeddings=Given(), k=len(pieces)),
        ]
    ).compress_documents(pieces, query)
    return [[piece.metadata["n"], piece.page_content] for piece in found]


splitter = CharacterTextSplitter(chunk_size=300, chunk_overlap=0, separator=". ")
kept = [ranked(task["query"], task["texts"]) for task in tasks]
(work / "unknown.json").write_text(json.dumps(list(unknown)), "utf-8")
(work / "kept.json").write_text(json.dumps(kept), "utf-8")
