"""LangChain's indexing API on a folder that is indexed again and again, as its documentation sets
it up: ``index(cleanup="full")``, a SQLRecordManager, and Chroma as the store. Runs in an
environment of its own. Counts what it does, call by call, in files that outlive a kill.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
from langchain_chroma import Chroma
from langchain_classic.indexes import SQLRecordManager, index
from langchain_community.document_loaders import DirectoryLoader, TextLoader
from langchain_core.embeddings import Embeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter

task = json.loads((Path(sys.argv[1]) / "task.json").read_text("utf-8"))
state, files, counts = Path(task["state"]), Path(task["files"]), Path(task["counts"])


def count(name, number):
    descriptor = os.open(counts / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{number}\n".encode())
    os.close(descriptor)


def vector(text):
    draw = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))
    row = draw.standard_normal(384)
    return (row / np.linalg.norm(row)).tolist()


class Given(Embeddings):
    """Every text its own direction, the same in every run."""

    def embed_documents(self, texts):
        count("embedded", len(texts))
        return [vector(text) for text in texts]

    def embed_query(self, text):
        return vector(text)


def pieces():
    splitter = RecursiveCharacterTextSplitter(chunk_size=1_000, chunk_overlap=0)
    loader = DirectoryLoader(
        str(files), glob="*.txt", loader_cls=TextLoader, loader_kwargs={"encoding": "utf-8"}
    )
    for document in loader.lazy_load():
        count("read", 1)
        parts = splitter.split_documents([document])
        count("cut", len(parts))
        yield from parts


records = SQLRecordManager("chroma/files", db_url=f"sqlite:///{state}/records.sqlite")
records.create_schema()
store = Chroma("files", Given(), persist_directory=str(state / "chroma"))
print("ready", flush=True)
if task["verb"] == "index":
    index(pieces(), records, store, cleanup="full", source_id_key="source", key_encoder="sha256")
else:
    held = store.get()["documents"]
    texts = {path.read_text("utf-8") for path in files.glob("*.txt")}
    found = {
        "lost": sum(
            [hit.page_content for hit in store.similarity_search(text, k=1)] != [text]
            for text in texts
        ),
        "doubled": len(held) - len(set(held)),
        "ghosts": len(set(held) - texts),
    }
    (Path(sys.argv[1]) / "found.json").write_text(json.dumps(found), "utf-8")
