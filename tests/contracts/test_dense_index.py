"""Every dense index keeps the laws of the DenseIndex contract."""

import itertools

import pytest

from ctxeng.indexing import ChromaIndex, ExactIndex
from ctxeng.indexing.chroma import Folder
from ctxeng.testing.dense_indexes import DENSE_INDEX_LAWS


@pytest.fixture(params=["exact", "chroma"])
def make(request, tmp_path):
    numbers = itertools.count()
    if request.param == "exact":
        return ExactIndex
    return lambda store, model: ChromaIndex(
        store, model, Folder(tmp_path / str(next(numbers))), above=0
    )


@pytest.mark.parametrize("law", DENSE_INDEX_LAWS, ids=lambda law: law.__name__)
def test_laws_hold(law, make):
    law(make)
