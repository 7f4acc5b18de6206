"""ctxeng on the same task as ``with_langchain_index.py``: the same files, vectors and counts."""

import hashlib
import json
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np

import ctxeng.engine.index
from ctxeng import Engine, Settings
from ctxeng.chunking import StructuredChunker
from ctxeng.settings import ChunkingSettings
from ctxeng.types import Query

task = json.loads((Path(sys.argv[1]) / "task.json").read_text("utf-8"))
state, files, counts = Path(task["state"]), Path(task["files"]), Path(task["counts"])


def count(name, number):
    descriptor = os.open(counts / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{number}\n".encode())
    os.close(descriptor)


class Given:
    """Every text its own direction, the same in every run."""

    name = "given-384@1"
    dimensions = 384

    def embed(self, texts, kind):
        if kind == "document":
            count("embedded", len(texts))
        rows = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(rows, texts, strict=True):
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
            drawn = np.random.default_rng(seed).standard_normal(self.dimensions)
            row[:] = drawn / np.linalg.norm(drawn)
        return rows

    def coverage(self, text):
        return 1.0


class CountingChunker(StructuredChunker):
    def chunk(self, document):
        chunks = super().chunk(document)
        count("cut", len(chunks))
        return chunks


hashed = ctxeng.engine.index.sha256


def counting_hash(data):
    if isinstance(data, bytes):  # of a whole file, which has just been read
        count("read", 1)
    return hashed(data)


ctxeng.engine.index.sha256 = counting_hash
engine = Engine.open(
    state / "workspace",
    settings=Settings(),
    embedders=[Given()],
    chunker=CountingChunker(ChunkingSettings()),
)
print("ready", flush=True)
with engine:
    if task["verb"] == "index":
        engine.index(files, wait=True)
    else:
        parts = engine._parts
        texts = {path.read_text("utf-8").strip() for path in files.glob("*.txt")}
        ids, vectors = parts.store.vectors(parts.scope, Given.name)
        held = Counter(hit.text.strip() for hit in parts.store.hits(parts.scope, ids).values())
        lost = set(texts) - set(held)
        dense = parts.dense().index
        for chunk_id, row in zip(ids, vectors, strict=True):
            hits = dense.search(row, Query(text="any", scope=parts.scope), 2)
            if hits[0].chunk_id != chunk_id:
                lost.add(chunk_id)
        doubled = sum(held.values()) - len(held)
        for text in texts:  # the second word of each file is its own
            hits = engine.search(text.split()[1], mode="lexical", limit=5)
            if text not in [hit.text.strip() for hit in hits]:
                lost.add(text)
            doubled += max(0, len(hits) - 1)
        found = {"lost": len(lost), "doubled": doubled, "ghosts": len(set(held) - texts)}
        (Path(sys.argv[1]) / "found.json").write_text(json.dumps(found), "utf-8")
