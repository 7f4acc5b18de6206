"""Hypothesis strategies of these tests; those of the domain are ``ctxeng.testing.strategies``."""

from functools import cache

from hypothesis import strategies as st

from ctxeng.types import Chunk, Span

TERMS = ["pump", "seal", "valve", "rotor", "pager", "berlin", "invoice", "audit", "größe", "水泵"]

short_texts = st.lists(st.sampled_from(TERMS), min_size=1, max_size=9).map(" ".join)
queries = st.lists(st.sampled_from([*TERMS, "absent", "the"]), max_size=6).map(" ".join)
corpora = st.lists(st.lists(short_texts, min_size=1, max_size=4), min_size=1, max_size=8)
"""Documents as lists of chunks; none has over 36 words, up to which lengths are kept exactly."""


@cache
def real_prose() -> str:
    """Some 60,000 characters of real English: what Python's own help says of its statements."""
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name].strip() for name in sorted(topics))[:60_000]


def cut_at(text: str, borders: list[int], document_id: str = "d") -> list[Chunk]:
    """Chunks of a text between the borders, white space trimmed."""
    chunks = []
    for start, end in zip([0, *borders], [*borders, len(text)], strict=True):
        piece = text[start:end]
        if piece.strip():
            first = start + len(piece) - len(piece.lstrip())
            span = Span(start=first, end=first + len(piece.strip()))
            chunks.append(
                Chunk(
                    id=f"{document_id}-{first}",
                    document_id=document_id,
                    text=piece.strip(),
                    span=span,
                    position=len(chunks),
                )
            )
    return chunks
