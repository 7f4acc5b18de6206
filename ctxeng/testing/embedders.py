"""The laws of ``Embedder``, one function each, for any implementation.

@pytest.mark.parametrize("law", EMBEDDER_LAWS, ids=lambda law: law.__name__)
def test_my_embedder(law):
    law(MyEmbedder())
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ctxeng.protocols import Embedder, TextKind

HARD_TEXTS: Sequence[str] = (
    "The warranty covers two years from the day of purchase.",
    "",
    " \n\t ",
    "def get_user_name(self) -> str: return self._userName",
    "¿Cuál es la capital de España?",
    "भारत की राजधानी क्या है?",
    "ประเทศไทยมีเมืองหลวงชื่ออะไร",
    "中国的首都是哪里？",
    "🎉👩‍👩‍👧‍👦\u202e\x00\ufffd",
    "\ud800 a lone surrogate",
    "a",
    "1984",
    "long " * 3_000,
    "x" * 20_000,
)
KINDS: Sequence[TextKind] = ("query", "document")


def rows_are_finite_unit_vectors(
    embedder: Embedder, texts: Sequence[str] = HARD_TEXTS, kind: TextKind = "document"
) -> None:
    vectors = embedder.embed(texts, kind)
    assert vectors.shape == (len(texts), embedder.dimensions)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def queries_have_the_same_shape(embedder: Embedder, texts: Sequence[str] = HARD_TEXTS) -> None:
    rows_are_finite_unit_vectors(embedder, texts, "query")


def no_texts_make_no_rows(embedder: Embedder) -> None:
    for kind in KINDS:
        vectors = embedder.embed([], kind)
        assert vectors.shape == (0, embedder.dimensions)
        assert vectors.dtype == np.float32


def a_row_does_not_depend_on_the_others(
    embedder: Embedder, texts: Sequence[str] = HARD_TEXTS
) -> None:
    together = embedder.embed(texts, "document")
    backwards = embedder.embed(list(reversed(texts)), "document")[::-1]
    alone = np.concatenate([embedder.embed([text], "document") for text in texts])
    for other in (backwards, alone):
        np.testing.assert_allclose((together * other).sum(axis=1), 1, atol=1e-5)


def different_texts_have_different_vectors(embedder: Embedder) -> None:
    cat, sky = embedder.embed(["a cat sleeps on the sofa", "stars above the desert"], "document")
    assert cat @ sky < 0.999


def coverage_is_a_share(embedder: Embedder, texts: Sequence[str] = HARD_TEXTS) -> None:
    for text in texts:
        assert 0 <= embedder.coverage(text) <= 1


def the_name_stays(embedder: Embedder) -> None:
    before = embedder.name
    embedder.embed(["any text"], "query")
    assert before
    assert embedder.name == before


EMBEDDER_LAWS: Sequence[Callable[[Embedder], None]] = (
    rows_are_finite_unit_vectors,
    queries_have_the_same_shape,
    no_texts_make_no_rows,
    a_row_does_not_depend_on_the_others,
    different_texts_have_different_vectors,
    coverage_is_a_share,
    the_name_stays,
)
