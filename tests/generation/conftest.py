import pytest
from server import serving
from talking import KEY, KEY_ENV


@pytest.fixture(scope="module")
def _serving():
    with serving() as found:
        yield found


@pytest.fixture
def server(_serving, monkeypatch):
    """A server without a past, and a key in the environment."""
    _serving.reset()
    monkeypatch.setenv(KEY_ENV, KEY)
    return _serving
