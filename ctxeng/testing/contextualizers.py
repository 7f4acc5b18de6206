"""The laws of ``Contextualizer``, one function each, for any implementation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ctxeng.chunking import StructuredChunker
from ctxeng.protocols import Contextualizer
from ctxeng.types import Document


def only_the_prefix_changes(contextualizer: Contextualizer) -> None:
    from hypothesis import given, settings

    from ctxeng.testing.strategies import documents

    @settings(deadline=None)
    @given(document=documents())
    def law(document: Document) -> None:
        before = StructuredChunker().chunk(document)
        after = contextualizer.contextualize(document, before)
        assert [chunk.model_copy(update={"prefix": ""}) for chunk in after] == [
            chunk.model_copy(update={"prefix": ""}) for chunk in before
        ]

    law()


def the_same_again_for_the_same_document(contextualizer: Contextualizer) -> None:
    from hypothesis import given, settings

    from ctxeng.testing.strategies import documents

    @settings(deadline=None)
    @given(document=documents())
    def law(document: Document) -> None:
        chunks = StructuredChunker().chunk(document)
        once = contextualizer.contextualize(document, chunks)
        assert contextualizer.contextualize(document, chunks) == once

    law()


def no_chunks_stay_none(contextualizer: Contextualizer) -> None:
    assert list(contextualizer.contextualize(Document(id="d", text=" "), [])) == []


def the_name_stays(contextualizer: Contextualizer) -> None:
    before = contextualizer.name
    no_chunks_stay_none(contextualizer)
    assert before
    assert contextualizer.name == before


CONTEXTUALIZER_LAWS: Sequence[Callable[[Contextualizer], None]] = (
    only_the_prefix_changes,
    the_same_again_for_the_same_document,
    no_chunks_stay_none,
    the_name_stays,
)
