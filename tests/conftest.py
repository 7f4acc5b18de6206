"""Hypothesis without deadlines: on a busy machine they fail for reasons that are none. And a server
on loopback that says what it is told to, misbehaviour included.
"""

import signal

import pytest
from hypothesis import settings

from tests.generation.server import serving

settings.register_profile("ctxeng", deadline=None, print_blob=True)
settings.load_profile("ctxeng")


def pytest_configure():
    """Who starts the tests in the background may have them ignore Ctrl-C, and children inherit
    that; what a process handles itself is handed on as the default.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path_factory, monkeypatch, request):
    """What a test spends is nobody else's to count, least of all the user's."""
    folder = tmp_path_factory.getbasetemp() / "state" / f"{hash(request.node.nodeid):x}"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))


@pytest.fixture(scope="module")
def loopback():
    with serving() as found:
        yield found


@pytest.fixture
def server(loopback):
    """The server, without a past."""
    loopback.reset()
    return loopback
