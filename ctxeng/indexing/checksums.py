"""Whether tantivy's files still hold what it wrote.

Tantivy notices a missing or shortened file when it opens an index, but not changed bytes: they
give wrong answers, or a panic, at some later search. Each file ends with a checksum of itself, and
is written once: one that was found whole is read again only when its size or its times are others.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

NOTES = "whole.json"
"""In the index's own folder: size and times of the files that were whole, by name."""
MAGIC = 1337
_END = struct.Struct("<II")
"""Length of the JSON before it, and the magic number."""


def damaged_file(folder: Path, *, read_all: bool = False) -> str:
    """Name of the first file of the last commit that is not as it was written; empty: all are.

    Args:
        read_all: also those that have not been touched since they were last whole.
    """
    known = {} if read_all else _notes(folder)
    try:
        committed = _committed_files(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return "meta.json"
    for path in committed:
        try:
            if known.get(path.name) != _stamp(path) and not _is_whole(path):
                return path.name
        except FileNotFoundError:
            continue  # merged away by a writer since; what is missing tantivy itself notices
    return ""


def note_as_whole(folder: Path) -> None:
    """Remember the files of a commit that this process has just made."""
    stamps = {path.name: _stamp(path) for path in _committed_files(folder)}
    (folder / NOTES).write_text(json.dumps(stamps), "utf-8")


def _committed_files(folder: Path) -> list[Path]:
    """Those of the segments in ``meta.json``; others are being written, or are left over."""
    if not (folder / "meta.json").exists():
        return []
    found = json.loads((folder / "meta.json").read_bytes())["segments"]
    segments = {str(segment["segment_id"]).replace("-", "") for segment in found}
    return sorted(path for path in folder.iterdir() if path.name.partition(".")[0] in segments)


def _notes(folder: Path) -> dict[str, list[int]]:
    try:
        notes = json.loads((folder / NOTES).read_bytes())
    except (OSError, ValueError):
        return {}  # none yet, or cut off while they were written: all files are read
    return notes if isinstance(notes, dict) else {}


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _is_whole(path: Path) -> bool:
    data = path.read_bytes()
    try:
        length, magic = _END.unpack(data[-_END.size :])
        body = len(data) - _END.size - length
        checksum = int(json.loads(data[body : -_END.size])["crc"])
    except (struct.error, ValueError, KeyError, TypeError):
        return False
    return bool(magic == MAGIC and zlib.crc32(memoryview(data)[:body]) == checksum)
