import pytest
from talking import KEY, KEY_ENV


@pytest.fixture
def server(loopback, monkeypatch):
    """A server without a past, and a key in the environment."""
    loopback.reset()
    monkeypatch.setenv(KEY_ENV, KEY)
    return loopback
