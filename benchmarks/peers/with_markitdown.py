"""markitdown's default conversion of files. Runs in markitdown's own environment."""

import json
import sys
import time
from pathlib import Path

from markitdown import MarkItDown

work = Path(sys.argv[1])
task = json.loads((work / "task.json").read_text("utf-8"))
converter = MarkItDown()


def loaded(file):
    """Text with the title, or the error, and the CPU seconds of this file alone."""
    began = time.process_time()
    try:
        result = converter.convert(Path(task["folder"]) / file)
        found = {"text": f"{result.title or ''}\n{result.markdown}", "error": ""}
    except Exception as error:  # whatever it reports
        found = {"text": "", "error": f"{type(error).__name__}: {error}"}
    return {**found, "seconds": time.process_time() - began}


runs = [[loaded(file) for file in task["files"]] for _ in range(task["runs"])]
(work / "loaded.json").write_text(json.dumps(runs), "utf-8")
