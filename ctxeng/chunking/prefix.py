"""Situates each chunk in its document, without a model: what is indexed beside its text.

The prefix holds the headings above the chunk, for code how the file begins, and the terms that
the document uses most and elsewhere least but this chunk does not have. It depends on the document
alone, so the order in which documents are indexed never matters.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import regex

from ctxeng.types import Chunk, Document

TOP_TERMS = 12
HEAD_CHARACTERS = 200
_WORD = regex.compile(r"[\p{L}\p{M}_][\p{L}\p{M}\p{N}_]{2,40}")


class DeterministicContextualizer:
    """Title and headings, file head, and the document's own top tf-idf terms."""

    name = "deterministic-1"

    def contextualize(self, document: Document, chunks: Sequence[Chunk]) -> list[Chunk]:
        words = [_words(chunk.text) for chunk in chunks]
        top = _top_terms(words)
        head = _head(document) if document.format == "code" else ""
        return [
            chunk.model_copy(update={"prefix": _prefix(chunk, own, top, head)})
            for chunk, own in zip(chunks, words, strict=True)
        ]


def _prefix(chunk: Chunk, own: Counter[str], top: Sequence[str], head: str) -> str:
    lines = [" > ".join(chunk.heading_path)]
    if chunk.prefix:  # the header of the table that the chunk continues
        lines.append(chunk.prefix)
    if head and chunk.position > 0:
        lines.append(head)
    missing = [term for term in top if term not in own][:TOP_TERMS]
    lines.append(" ".join(missing))
    return "\n".join(line for line in lines if line)


def _words(text: str) -> Counter[str]:
    return Counter(word.casefold() for word in _WORD.findall(text))


def _top_terms(chunks: Sequence[Counter[str]]) -> list[str]:
    """The document's words by tf-idf, where idf is over its own chunks: a word of every chunk says
    nothing about where in the document we are.
    """
    if len(chunks) < 2:
        return []
    total: Counter[str] = Counter()
    spread: Counter[str] = Counter()
    for chunk in chunks:
        total.update(chunk)
        spread.update(chunk.keys())
    weight = {
        word: (1 + math.log(count)) * math.log(1 + len(chunks) / spread[word])
        for word, count in total.items()
        if count > 1
    }
    return sorted(weight, key=lambda word: (-weight[word], word))[: 2 * TOP_TERMS]


def _head(document: Document) -> str:
    """The first line of a source file that says something."""
    for line in document.text[:5_000].splitlines():
        bare = line.strip(" \t/*#-;\"'!{}()")
        if len(_WORD.findall(bare)) > 2:
            return bare[:HEAD_CHARACTERS]
    return ""
