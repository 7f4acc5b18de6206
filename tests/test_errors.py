"""One tree of errors; a message says what happened, to what, and what to do."""

import pickle

import pytest

from ctxeng import errors
from ctxeng.errors import BackendError, CtxengError, LoadError, WorkspaceBusyError, WorkspaceError

TREE = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, CtxengError)
]


def test_every_error_has_the_same_root_and_a_place_in_the_drawing():
    drawn = errors.__doc__ or ""
    for error in TREE:
        assert issubclass(error, CtxengError)
        assert error.__name__ in drawn
        assert error.__doc__
    assert issubclass(WorkspaceBusyError, WorkspaceError)


@pytest.mark.parametrize(
    ("why", "hint", "message"),
    [
        ("is empty", "Nothing to do", "a.pdf: is empty. Nothing to do"),
        ("is empty", "", "a.pdf: is empty."),
    ],
)
def test_a_load_error_is_a_sentence_about_the_source(why, hint, message):
    error = LoadError("a.pdf", why, hint)
    assert str(error) == message
    assert (error.uri, error.why, error.hint) == ("a.pdf", why, hint)


def test_a_backend_error_says_whether_to_try_again():
    error = BackendError("server: 503", retryable=True, kind="unavailable", retry_after=2.0)
    assert str(error) == "server: 503"
    assert (error.retryable, error.kind, error.retry_after) == (True, "unavailable", 2.0)
    assert BackendError("no").retryable is False


@pytest.mark.parametrize(
    "error",
    [
        LoadError("a.pdf", "is empty", "Nothing to do"),
        BackendError("server: 503", retryable=True, kind="timeout"),
        WorkspaceError("w: damaged"),
    ],
)
def test_an_error_can_cross_to_another_process(error):
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert vars(other) == vars(error)
