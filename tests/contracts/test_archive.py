"""Every archive keeps the laws of the Archive contract."""

import pytest

from ctxeng import Engine
from ctxeng.context.archive import MemoryArchive
from ctxeng.engine.session import Session, SessionArchive
from ctxeng.testing.archives import ARCHIVE_LAWS


def forgets():
    class Forgets(MemoryArchive):
        def put(self, id, message_json):  # noqa: A002
            super().put(id, message_json.lower())

    return Forgets()


@pytest.fixture(params=["memory", "session"])
def make(request):
    if request.param == "memory":
        yield MemoryArchive
        return
    with Engine.open(":memory:") as engine:
        numbers = iter(range(100))
        yield lambda: SessionArchive(Session(engine._parts, f"session {next(numbers)}"))


@pytest.mark.parametrize("law", ARCHIVE_LAWS, ids=lambda law: law.__name__)
def test_laws_hold(law, make):
    law(make)


@pytest.mark.parametrize("law", ARCHIVE_LAWS[:1], ids=lambda law: law.__name__)
def test_an_archive_that_changes_what_it_holds_is_caught(law):
    with pytest.raises(AssertionError):
        law(forgets)
