"""Every store keeps the laws of the Store contract, in a file and in memory."""

import itertools

import pytest

from ctxeng.store import open_store
from ctxeng.testing.stores import STORE_LAWS


@pytest.fixture(params=["file", "memory"])
def make(request, tmp_path):
    numbers = itertools.count()
    if request.param == "memory":
        return lambda: open_store(None)
    return lambda: open_store(tmp_path / str(next(numbers)))


@pytest.mark.parametrize("law", STORE_LAWS, ids=lambda law: law.__name__)
def test_laws_hold(law, make):
    law(make)
