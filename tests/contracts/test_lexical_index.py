"""Every lexical index keeps the laws of the LexicalIndex contract, on disk and in memory."""

import itertools

import pytest

from ctxeng.indexing import TantivyIndex
from ctxeng.testing.lexical_indexes import LEXICAL_INDEX_LAWS


@pytest.fixture(params=["file", "memory"])
def make(request, tmp_path):
    numbers = itertools.count()
    if request.param == "memory":
        return lambda: TantivyIndex(None)
    return lambda: TantivyIndex(tmp_path / str(next(numbers)))


@pytest.mark.parametrize("law", LEXICAL_INDEX_LAWS, ids=lambda law: law.__name__)
def test_laws_hold(law, make):
    law(make)
