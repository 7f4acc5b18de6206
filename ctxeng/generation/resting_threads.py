"""Threads of OpenMP that sleep while they wait.

By default they spin for a while after each of the thousands of short loops that a token takes. On a
machine with anything else to do, that made torch and llama.cpp five to a hundred times slower
(docs/decisions/resting-threads.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

POLICY = "OMP_WAIT_POLICY"


@contextmanager
def resting_threads() -> Iterator[None]:
    """For what is imported inside, unless the user has set another policy, or it was imported
    before: the policy is read once, when the library is loaded.
    """
    if POLICY in os.environ:
        yield
        return
    os.environ[POLICY] = "PASSIVE"
    try:
        yield
    finally:
        os.environ.pop(POLICY, None)


def import_torch() -> None:
    with resting_threads():
        import torch  # noqa: F401 - what comes after finds it loaded
