"""Indexes whole files, cut exactly where an evaluation set cut them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from benchmarks.data import File, Passage, RetrievalSet
from ctxeng.chunking import code
from ctxeng.text.terms import identifier
from ctxeng.types import Chunk, Document, Span

LANGUAGES = {
    ".c": "c",
    ".cc": "cpp",
    ".cpp": "cpp",
    ".go": "go",
    ".h": "c",
    ".hpp": "cpp",
    ".java": "java",
    ".js": "javascript",
    ".py": "python",
    ".rs": "rust",
    ".sh": "bash",
    ".ts": "typescript",
}


def document_of(file: File) -> Document:
    """The file as loading it from a folder would give it."""
    path = PurePosixPath(file.path)
    return Document(
        id=file.id,
        uri=file.path,
        title=path.name,
        text=file.text,
        format="code",
        language=LANGUAGES.get(path.suffix, ""),
    )


class GivenChunker:
    """The set's own pieces as chunks: same borders, and the set's ids as theirs.

    All else (definitions, enclosing names) is found as ctxeng finds it.
    """

    name = "given"

    def __init__(self, task: RetrievalSet) -> None:
        self._pieces: Mapping[str, Sequence[Passage]] = _by_file(task.corpus)

    def chunk(self, document: Document) -> list[Chunk]:
        """Raises:
        ValueError: a piece is not in the document's text after the one before it.
        """
        whole = Span(start=0, end=len(document.text))
        found = code.cut(document.text, whole, document.language, high=150).definitions
        chunks: list[Chunk] = []
        end = 0
        for piece in self._pieces[document.id]:
            start = document.text.index(piece.text, end)
            end = start + len(piece.text)
            names = [identifier(d.name) for d in found if start <= d.span.start < end]
            around = [d.name for d in found if d.span.start < start < d.span.end]
            chunks.append(
                Chunk(
                    id=piece.id,
                    document_id=document.id,
                    text=piece.text,
                    span=Span(start=start, end=end),
                    position=len(chunks),
                    line=1 + document.text.count("\n", 0, start),
                    heading_path=(document.title, *dict.fromkeys(around)),
                    format="code",
                    defines=tuple(dict.fromkeys(name for name in names if name)),
                )
            )
        return chunks


def _by_file(corpus: Sequence[Passage]) -> dict[str, list[Passage]]:
    """Pieces by file, in the order of the number that ends their id."""
    pieces: dict[str, list[Passage]] = {}
    for piece in sorted(corpus, key=lambda piece: int(piece.id.rpartition(":")[2])):
        pieces.setdefault(piece.id.rpartition(":")[0], []).append(piece)
    return pieces
