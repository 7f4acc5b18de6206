"""What a run of indexing did, and how a workspace stands."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from ctxeng.types.answers import Usage
from ctxeng.types.base import Value, as_tuple
from ctxeng.types.documents import Scope


class Failure(Value):
    """A source that could not be read; the run went on."""

    uri: str
    why: str
    hint: str = ""


class IndexReport(Value):
    """What one run of ``index`` did. Counts are sources (files, or documents handed in)."""

    added: int = 0
    changed: int = 0
    renamed: int = 0
    removed: int = 0
    unchanged: int = 0
    failed: Annotated[tuple[Failure, ...], BeforeValidator(as_tuple)] = ()
    skipped: Annotated[tuple[Failure, ...], BeforeValidator(as_tuple)] = ()
    """Files of a folder in which there is nothing to read: empty ones, pictures, programs."""
    chunks: int = 0
    """Written in this run."""
    usage: Usage = Usage()
    """Of the model that situates chunks, where one is set."""
    seconds: float = 0.0


class VectorStatus(Value):
    """How far the vectors of one embedder are."""

    model: str
    done: int
    total: int
    searched: bool
    """Dense search uses these."""


class Status(Value):
    workspace: str
    scope: Scope
    sources: int
    failed: int
    documents: int
    chunks: int
    vectors: Annotated[tuple[VectorStatus, ...], BeforeValidator(as_tuple)] = ()
    dense: str
    """What searches the vectors: ``exact``, ``chroma`` or ``none``."""
    changes_behind: int
    """Changes that the lexical index has yet to take in."""


class Check(Value):
    """One finding of ``doctor``."""

    name: str
    ok: bool
    found: str
    advice: str = ""
