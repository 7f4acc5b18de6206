"""Where LlamaIndex's sentence splitter cuts documents. Runs in LlamaIndex's own environment."""

import json
import sys
from pathlib import Path

from llama_index.core import Document
from llama_index.core.node_parser import SentenceSplitter

work = Path(sys.argv[1])
task = json.loads((work / "documents.json").read_text("utf-8"))
splitter = SentenceSplitter(**task["settings"])

found = {}
for key, text in task["documents"].items():
    nodes = splitter.get_nodes_from_documents([Document(text=text)])
    found[key] = [[node.start_char_idx, node.end_char_idx] for node in nodes]
(work / "pieces.json").write_text(json.dumps(found), "utf-8")
