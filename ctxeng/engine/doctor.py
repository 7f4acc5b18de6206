"""How a workspace is: what is in it (``status_of``), whether it is healthy (``examine``)."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from ctxeng.embedding import embedding_checks
from ctxeng.indexing import ChromaIndex
from ctxeng.indexing.table import checksum_of
from ctxeng.settings import Settings
from ctxeng.types import Check, Status, VectorStatus

if TYPE_CHECKING:
    from ctxeng.engine.wiring import Parts

PACKAGES = ("ctxeng", "tantivy", "chromadb", "onnxruntime", "torch")
DAMAGED = "Restore store.sqlite3 from a backup, or delete the workspace and index again."
LITTLE_SPACE = 500_000_000
"""Bytes below which a disk soon fails a write."""


def status_of(parts: Parts) -> Status:
    """What is in the workspace, within the engine's scope."""
    counts = parts.store.counts(parts.scope)
    searched = parts.dense()
    vectors = []
    for tier in parts.tiers:
        done, total = parts.store.vector_progress(parts.scope, tier.embedder.name)
        vectors.append(
            VectorStatus(
                model=tier.embedder.name, done=done, total=total, searched=tier is searched
            )
        )
    return Status(
        workspace=":memory:" if parts.folder is None else str(parts.folder),
        scope=parts.scope,
        sources=counts.sources,
        failed=counts.failed,
        documents=counts.documents,
        chunks=counts.chunks,
        vectors=tuple(vectors),
        dense=searched.index.name if searched else "none",
        changes_behind=max(0, parts.store.last_change() - parts.lexical.applied),
    )


def examine(parts: Parts) -> list[Check]:
    """What is installed, whether the workspace is healthy, and what to do."""
    return [*examine_installation(parts.settings), *_examine_workspace(parts)]


def examine_installation(settings: Settings) -> list[Check]:
    """What needs no workspace: Python, packages, models."""
    found = [f"{name} {at}" for name in PACKAGES if (at := _version(name))]
    return [
        Check(name="python", ok=True, found=f"{platform.python_version()}, {platform.system()}"),
        Check(name="packages", ok=True, found=", ".join(found)),
        *embedding_checks(settings.embedding),
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""  # an extra that is not installed


def _examine_workspace(parts: Parts) -> Iterator[Check]:
    status = status_of(parts)
    yield Check(
        name="workspace",
        ok=True,
        found=f"{status.workspace}: {status.documents} documents, {status.chunks} chunks",
        advice="" if status.sources else "Run `ctxeng index PATH`.",
    )
    yield _check_record(parts)
    yield _check_lexical(parts, status)
    yield from _check_vectors(status)
    yield from _check_dense(parts)
    yield from _check_sources(parts, status)
    if parts.folder is not None:
        free = shutil.disk_usage(parts.folder).free
        yield Check(
            name="disk",
            ok=free > LITTLE_SPACE,
            found=f"{free / 1e9:.1f} GB free",
            advice="" if free > LITTLE_SPACE else "Make room on this disk.",
        )


def _check_record(parts: Parts) -> Check:
    found = parts.store.check()
    return Check(
        name="record",
        ok=found == "ok",
        found=found,
        advice="" if found == "ok" else DAMAGED,
    )


def _check_lexical(parts: Parts, status: Status) -> Check:
    """Compares what is in it, not how much: a wrong index can have the right count."""
    problem = parts.lexical.damage
    if not problem and (name := parts.lexical.damaged_file()):
        problem = f"has a damaged file: {name}"
    if not problem and not status.changes_behind:
        whole = parts.lexical.checksum == checksum_of(parts.store.chunk_ids())
        problem = "" if whole else "holds other chunks than the record"
    return Check(
        name="lexical index",
        ok=not problem,
        found=problem or f"{parts.lexical.rows} chunks, {status.changes_behind} changes behind",
        advice="Run `ctxeng reindex`." if problem else "",
    )


def _check_vectors(status: Status) -> Iterator[Check]:
    for tier in status.vectors:
        complete = tier.done == tier.total
        yield Check(
            name="vectors",
            ok=True,
            found=f"{tier.model}: {tier.done} of {tier.total} chunks"
            + (", searched" if tier.searched else ""),
            advice="" if complete else "Run `ctxeng index` on the same path to go on.",
        )


def _check_dense(parts: Parts) -> Iterator[Check]:
    searched = parts.dense()
    if searched is not None and isinstance(searched.index, ChromaIndex):
        name, problem = searched.index.name, searched.index.problem
        yield Check(
            name="dense index",
            ok=not problem,
            found=f"{name} search answers" + (f": Chroma {problem}" if problem else ""),
            advice="Run `ctxeng index` on any indexed path." if problem else "",
        )


def _check_sources(parts: Parts, status: Status) -> Iterator[Check]:
    yield Check(
        name="sources",
        ok=not status.failed,
        found=f"{status.sources} known, {status.failed} could not be read",
        advice="`ctxeng index` on the same path says why." if status.failed else "",
    )
    paths = [p for p in parts.store.sources(parts.scope) if not p.startswith("document:")]
    gone = sum(not Path(path).exists() for path in paths)
    if gone:
        yield Check(
            name="deleted files",
            ok=False,
            found=f"{gone} of {len(paths)} files are gone from the disk",
            advice="Run `ctxeng index` on their folder, or `ctxeng remove` them.",
        )
