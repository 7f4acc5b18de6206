"""Hypothesis without deadlines: on a busy machine they fail for reasons that are none."""

import signal

from hypothesis import settings

settings.register_profile("ctxeng", deadline=None, print_blob=True)
settings.load_profile("ctxeng")


def pytest_configure():
    """Who starts the tests in the background may have them ignore Ctrl-C, and children inherit
    that; what a process handles itself is handed on as the default.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
