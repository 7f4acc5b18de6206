"""Where LangChain's recursive splitter cuts documents. Runs in LangChain's own environment."""

import json
import sys
from pathlib import Path

from langchain_text_splitters import RecursiveCharacterTextSplitter

work = Path(sys.argv[1])
task = json.loads((work / "documents.json").read_text("utf-8"))
splitter = RecursiveCharacterTextSplitter(**task["settings"], add_start_index=True)

found = {}
for key, text in task["documents"].items():
    starts = [
        (p.metadata["start_index"], p.page_content) for p in splitter.create_documents([text])
    ]
    found[key] = [[start, start + len(piece)] for start, piece in starts]
(work / "pieces.json").write_text(json.dumps(found), "utf-8")
