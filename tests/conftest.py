"""Hypothesis without deadlines: on a busy machine they fail for reasons that are none."""

from hypothesis import settings

settings.register_profile("ctxeng", deadline=None, print_blob=True)
settings.load_profile("ctxeng")
