"""The laws of ``Chunker``, one function each, for any implementation."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from ctxeng.protocols import Chunker
from ctxeng.types import Document

REACH = 12_000
"""Characters from an edit beyond which no id may change."""


def chunks_tile_the_document(chunker: Chunker) -> None:
    """Each is its span's text; spans ascend; what lies between them is white space."""
    from hypothesis import given, settings

    from ctxeng.testing.strategies import documents

    @settings(deadline=None)
    @given(document=documents())
    def law(document: Document) -> None:
        end = 0
        for chunk in chunker.chunk(document):
            assert chunk.text == document.text[chunk.span.start : chunk.span.end]
            assert chunk.text.strip()
            assert not document.text[end : chunk.span.start].strip()
            assert chunk.span.start >= end
            end = chunk.span.end
        assert not document.text[end:].strip()

    law()


def chunks_say_where_they_stand(chunker: Chunker) -> None:
    """Document, position, line and part; no chunk lies across the border of a part."""
    from hypothesis import given, settings

    from ctxeng.testing.strategies import documents

    @settings(deadline=None)
    @given(document=documents())
    def law(document: Document) -> None:
        for position, chunk in enumerate(chunker.chunk(document)):
            assert chunk.document_id == document.id
            assert chunk.position == position
            assert chunk.line == 1 + document.text.count("\n", 0, chunk.span.start)
            touched = [
                part
                for part in document.parts
                if part.span.start < chunk.span.end and chunk.span.start < part.span.end
            ]
            assert [part.label for part in touched] == ([chunk.part] if chunk.part else [])
            for part in touched:
                assert part.span.start <= chunk.span.start < chunk.span.end <= part.span.end

    law()


def ids_are_of_the_document_and_the_text(chunker: Chunker) -> None:
    """The same again for the same content, unique within it, others for another document."""
    from hypothesis import given, settings

    from ctxeng.testing.strategies import documents

    @settings(deadline=None)
    @given(document=documents())
    def law(document: Document) -> None:
        ids = [chunk.id for chunk in chunker.chunk(document)]
        assert len(set(ids)) == len(ids)
        assert [chunk.id for chunk in chunker.chunk(document)] == ids
        renamed = document.model_copy(update={"title": "Another", "metadata": {}, "uri": "x"})
        assert [chunk.id for chunk in chunker.chunk(renamed)] == ids
        other = document.model_copy(update={"id": document.id + "'"})
        assert not set(ids) & {chunk.id for chunk in chunker.chunk(other)}

    law()


def an_edit_changes_only_the_ids_near_it(chunker: Chunker) -> None:
    """Paragraphs are replaced, inserted and deleted anywhere in a long text: what lies further
    than ``REACH`` from the edit keeps its ids, before and behind it.
    """
    from hypothesis import given, settings
    from hypothesis import strategies as st

    from ctxeng.testing import strategies

    paragraphs = _long_text()

    @settings(deadline=None, max_examples=30)
    @given(
        at=st.integers(0, len(paragraphs) - 1),
        removed=st.integers(0, 2),
        added=st.lists(strategies.paragraphs, max_size=2),
    )
    def law(at: int, removed: int, added: list[str]) -> None:
        before, behind = paragraphs[:at], paragraphs[at + removed :]
        old = Document(id="d", text="\n\n".join(paragraphs))
        new = Document(id="d", text="\n\n".join([*before, *added, *behind]))
        ids = {chunk.id for chunk in chunker.chunk(new)}
        first, last = len("\n\n".join(before)), len(old.text) - len("\n\n".join(behind))
        for chunk in chunker.chunk(old):
            if chunk.span.end < first - REACH or chunk.span.start > last + REACH:
                assert chunk.id in ids

    law()


def white_space_has_no_chunks(chunker: Chunker) -> None:
    for text in ("", " \n\t\n "):
        assert list(chunker.chunk(Document(id="d", text=text))) == []


def the_name_stays(chunker: Chunker) -> None:
    before = chunker.name
    chunker.chunk(Document(id="d", text="Any text."))
    assert before
    assert chunker.name == before


def _long_text() -> list[str]:
    """Paragraphs of 70,000 characters in all, no two alike."""
    random_words = random.Random(0)  # noqa: S311 (a text, no secret)
    vocabulary = [f"w{number}" for number in range(800)]

    def sentence() -> str:
        chosen = random_words.choices(vocabulary, k=random_words.randint(4, 25))
        return " ".join(chosen).capitalize() + "."

    return [" ".join(sentence() for _ in range(random_words.randint(1, 7))) for _ in range(240)]


CHUNKER_LAWS: Sequence[Callable[[Chunker], None]] = (
    chunks_tile_the_document,
    chunks_say_where_they_stand,
    ids_are_of_the_document_and_the_text,
    an_edit_changes_only_the_ids_near_it,
    white_space_has_no_chunks,
    the_name_stays,
)
