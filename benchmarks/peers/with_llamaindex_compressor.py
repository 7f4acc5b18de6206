"""LlamaIndex's SentenceEmbeddingOptimizer at several cutoffs. Runs in LlamaIndex's environment.

Writes the texts that it has no vectors of; when there are none, for each cutoff what it leaves of
each passage, and which of its sentences are in there.
"""

import json
import sys
from pathlib import Path

import numpy as np
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.postprocessor import SentenceEmbeddingOptimizer
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.utils import globals_helper

CUTOFFS = [number / 20 for number in range(1, 21)]
work = Path(sys.argv[1])
tasks = json.loads((work / "tasks.json").read_text("utf-8"))
texts = json.loads((work / "texts.json").read_text("utf-8"))
known = dict(zip(texts, np.load(work / "vectors.npy").tolist(), strict=True))
unknown = {}
split = globals_helper.punkt_tokenizer.tokenize


class Given(BaseEmbedding):
    def _get_query_embedding(self, query):
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query):
        return self._get_text_embedding(query)

    def _get_text_embedding(self, text):
        return known.get(text) or unknown.setdefault(text, [1.0, 0.0])


def left(query, text, cutoff):
    """What is left of one passage; nothing where the optimizer gives up."""
    optimizer = SentenceEmbeddingOptimizer(
        embed_model=Given(), percentile_cutoff=cutoff, context_before=0, context_after=0
    )
    nodes = [NodeWithScore(node=TextNode(text=text))]
    try:
        found = optimizer.postprocess_nodes(nodes, QueryBundle(query))
    except ValueError:
        return ["", []]
    made = found[0].node.text
    return [made, [sentence for sentence in split(text) if sentence in made]]


def at_cutoffs(query, passages):
    missing = [t for t in (query, *(s for text in passages for s in split(text))) if t not in known]
    for text in missing:
        Given()._get_text_embedding(text)
    if missing:
        return []
    return [[left(query, text, cutoff) for text in passages] for cutoff in CUTOFFS]


kept = [at_cutoffs(task["query"], task["texts"]) for task in tasks]
(work / "unknown.json").write_text(json.dumps(list(unknown)), "utf-8")
(work / "kept.json").write_text(json.dumps(kept), "utf-8")
