"""The way of a document: walk → load → chunk → prefix → store → embed → catch up the indexes.

A run costs work in proportion to what changed: sources are compared by the hash of their bytes,
never by clocks. Every batch is one transaction, so a run that is cut off loses at most one batch
of work and nothing that was there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ctxeng.chunking.situated import take_report
from ctxeng.engine.wiring import Parts, record_fingerprints
from ctxeng.errors import ConfigError, LoadError, SkippedError
from ctxeng.loading import load_source, walk
from ctxeng.loading.load import is_blank
from ctxeng.protocols import Embedder, Entry, OnProgress, Progress, SourceRecord, Stopped, Store
from ctxeng.trace import stage
from ctxeng.types import Chunk, Document, Failure, IndexReport, Scope, sha256

BATCH_SOURCES = 200
BATCH_CHARACTERS = 2_000_000
CATCH_UP_SECONDS = 10.0
"""Until the terms of what a long run has stored can be found, here and in other processes; later
where the index has more chunks already than came since: each catch-up costs every search a little.
"""
EMBEDDING_WINDOW = 4_096
"""Texts sorted by length together; memory stays bounded, batches stay even."""


@dataclass(slots=True)
class _Run:
    """What a run has seen so far."""

    parts: Parts
    on_progress: OnProgress
    known: dict[str, SourceRecord]
    owners: dict[str, str] = field(default_factory=dict)
    """Document id → path of the source that has it."""
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("added", "changed", "renamed", "removed", "unchanged", "chunks"), 0
        )
    )
    failed: list[Failure] = field(default_factory=list)
    skipped: list[Failure] = field(default_factory=list)
    named: frozenset[str] = frozenset()
    """Files that were asked for by name: of these it is said that there is nothing in them."""
    batch: list[Entry] = field(default_factory=list)
    batch_characters: int = 0
    caught_up: float = field(default_factory=time.monotonic)
    chunks_found: int = 0
    """Of the chunks of this run, those that the lexical index has."""

    def __post_init__(self) -> None:
        for record in self.known.values():
            self.owners.update(dict.fromkeys(record.document_ids, record.path))
        take_report(self.parts.contextualizer)  # what a run that broke off has left

    def fail(self, error: LoadError) -> None:
        known = self.known.get(error.uri)
        failures, hint = self.failed, error.hint
        if known is not None and known.document_ids:
            held = "what it held before is still found: `ctxeng remove` takes it out"
            hint = f"{hint}; {held}" if hint else held
        elif isinstance(error, SkippedError) and error.uri not in self.named:
            failures = self.skipped
        failures.append(Failure(uri=error.uri, why=error.why, hint=hint))

    def add(self, entry: Entry) -> None:
        self.batch.append(entry)
        self.batch_characters += sum(len(document.text) for document, _ in entry.documents)
        if len(self.batch) >= BATCH_SOURCES or self.batch_characters >= BATCH_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        with stage("index.store") as facts:
            self.parts.store.put(self.parts.scope, self.batch)
            facts["sources"] = len(self.batch)
        self.batch, self.batch_characters = [], 0
        waiting = self.counts["chunks"] - self.chunks_found
        due = time.monotonic() - self.caught_up > CATCH_UP_SECONDS
        if due and waiting >= self.parts.lexical.rows:
            with stage("index.lexical"):
                self.parts.catch_up()
            self.caught_up, self.chunks_found = time.monotonic(), self.counts["chunks"]


def index_paths(
    parts: Parts,
    *,
    paths: Sequence[Path],
    include: Sequence[str],
    exclude: Sequence[str],
    on_progress: OnProgress,
    stopped: Stopped,
) -> IndexReport:
    """Make the workspace mirror these files and folders.

    Raises:
        LoadError: one of the paths does not exist; nothing was touched.
    """
    began = time.perf_counter()
    for path in paths:
        if not path.exists():
            raise LoadError(str(path), "no such file or folder", "Check the path")
    named = frozenset(path.resolve().as_posix() for path in paths)
    run = _Run(parts, on_progress, parts.store.sources(parts.scope), named=named)
    found = list(dict.fromkeys(_walk(run, paths, include, exclude)))
    gone = _gone(run, [path.resolve() for path in paths], found, partial=bool(include or exclude))
    for done, path in enumerate(found, start=1):
        if stopped():
            gone.clear()  # it may have been renamed, to a name that was not reached
            break
        _index_file(run, path, gone)
        on_progress(Progress("files", done, len(found)))
    run.flush()
    run.counts["removed"] = len(gone)
    parts.store.remove(parts.scope, paths=sorted(gone))
    return _finish(run, began)


def index_documents(
    parts: Parts, *, documents: Iterable[Document], on_progress: OnProgress, stopped: Stopped
) -> IndexReport:
    """Add or replace documents by id; others stay.

    Raises:
        ConfigError: a document names another scope than the engine's.
    """
    began = time.perf_counter()
    run = _Run(parts, on_progress, parts.store.sources(parts.scope))
    for done, document in enumerate(documents, start=1):
        if stopped():
            break
        if document.scope not in (Scope(), parts.scope):
            raise ConfigError(
                f"document {document.id!r} belongs to scope {document.scope.key}, but this engine "
                f"was opened for {parts.scope.key}: open one with that scope."
            )
        path = f"document:{document.id}"
        digest = sha256(document.content_hash + document.uri)
        record = run.known.get(path)
        if record is not None and record.hash == digest:
            run.counts["unchanged"] += 1
        else:
            run.counts["added" if record is None else "changed"] += 1
            run.add(Entry(path, digest, _cut(run, [document])))
        on_progress(Progress("documents", done))
    run.flush()
    return _finish(run, began)


def rechunk(parts: Parts, *, on_progress: OnProgress, stopped: Stopped) -> IndexReport:
    """Cut every stored document again, with the present settings; no file is read."""
    began = time.perf_counter()
    run = _Run(parts, on_progress, parts.store.sources(parts.scope))
    for done, record in enumerate(run.known.values(), start=1):
        if stopped():
            break
        stored = [parts.store.document(parts.scope, i) for i in record.document_ids]
        documents = [document for document in stored if document is not None]
        if documents:
            run.counts["changed"] += 1
            run.add(Entry(record.path, record.hash, _cut(run, documents)))
        on_progress(Progress("documents", done, len(run.known)))
    run.flush()
    if not stopped():  # else the workspace still says that it was made with other settings
        parts.lexical.reset()
        record_fingerprints(parts)
    return _finish(run, began)


def remove_targets(parts: Parts, *, targets: Sequence[str], stopped: Stopped) -> int:
    """Remove what the targets name: files, whole folders, document ids; returns how many went."""
    known = parts.store.sources(parts.scope)
    roots = [Path(target).resolve().as_posix() for target in targets]
    paths = [
        path
        for path in known
        if path in targets or any(path == root or _is_below(path, root) for root in roots)
    ]
    handed_in = [f"document:{t}" for t in targets if f"document:{t}" in known]
    removed = parts.store.remove(parts.scope, paths=[*paths, *handed_in], document_ids=targets)
    parts.catch_up()
    return removed


def embed_missing(
    store: Store,
    embedder: Embedder,
    *,
    batch_size: int,
    on_progress: OnProgress,
    stopped: Stopped,
) -> int:
    """Give every chunk a vector of this embedder; returns how many texts were embedded.

    Every batch is written as it is made, so stopping at any moment loses at most one.
    """
    embedded = 0
    while not stopped() and (missing := store.missing_vectors(embedder.name, EMBEDDING_WINDOW)):
        missing.sort(key=lambda row: len(row[1]))
        for start in range(0, len(missing), batch_size):
            if stopped():
                return embedded
            rows = missing[start : start + batch_size]
            with stage("index.embed") as facts:
                vectors = embedder.embed([text for _, text in rows], "document")
                facts["texts"], facts["model"] = len(rows), embedder.name
            store.put_vectors(embedder.name, [digest for digest, _ in rows], vectors)
            embedded += len(rows)
            on_progress(Progress(f"vectors {embedder.name}", embedded))
    return embedded


def _walk(
    run: _Run, paths: Sequence[Path], include: Sequence[str], exclude: Sequence[str]
) -> Iterator[Path]:
    for root in paths:
        for found in walk(
            root.resolve(), settings=run.parts.settings.loading, include=include, exclude=exclude
        ):
            if isinstance(found, LoadError):
                run.fail(found)
            else:
                yield found


def _gone(
    run: _Run, roots: Sequence[Path], found: Sequence[Path], *, partial: bool
) -> dict[str, SourceRecord]:
    """Known files below the roots that the walk did not meet.

    What lies behind a folder that could not be read is not gone. Under a glob the walk says nothing
    of the rest, so there only what has left the disk counts.
    """
    seen = {path.as_posix() for path in found}
    unread = [failure.uri.rstrip("/") for failure in run.failed]
    gone: dict[str, SourceRecord] = {}
    for path, record in run.known.items():
        below = any(path == root.as_posix() or _is_below(path, root.as_posix()) for root in roots)
        hidden = any(path == place or _is_below(path, place) for place in unread)
        if below and path not in seen and not hidden and not (partial and Path(path).exists()):
            gone[path] = record
    return gone


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def _index_file(run: _Run, path: Path, gone: dict[str, SourceRecord]) -> None:
    uri = path.as_posix()
    record = run.known.get(uri)
    try:
        data = path.read_bytes()
    except OSError as error:
        why = error.strerror or type(error).__name__
        run.fail(LoadError(uri, f"cannot be read: {why}", "Check its permissions"))
        return
    digest = sha256(data)
    if record is not None and record.hash == digest:
        if record.why:
            run.failed.append(Failure(uri=uri, why=record.why, hint=record.hint))
        if record.document_ids:
            run.counts["unchanged"] += 1
        return
    with stage("index.load"):
        documents, failure = load_source(data, uri, settings=run.parts.settings.loading)
    why, hint = (failure.why, failure.hint) if failure is not None else ("", "")
    if record is not None and is_blank(data):
        gone[uri] = record  # it was read, and says nothing any longer
        run.known[uri] = replace(record, document_ids=())
    if failure is not None:
        run.fail(failure)
    if not documents:
        # What a good earlier version said stays until the file is good again.
        if record is None and not isinstance(failure, SkippedError):
            run.add(Entry(uri, digest, why=why, hint=hint))
        return
    old = next((g for g in gone.values() if g.hash == digest), None) if record is None else None
    if old is not None and len(old.document_ids) == len(documents):
        del gone[old.path]
        pairs = zip(documents, old.document_ids, strict=True)
        kept = [document.model_copy(update={"id": old_id}) for document, old_id in pairs]
        run.owners.update(dict.fromkeys(old.document_ids, uri))
        run.counts["renamed"] += 1
        run.add(Entry(uri, digest, _cut(run, kept), why, hint, renamed_from=old.path))
        return
    kept_ids = record.document_ids if record is not None else ()
    run.counts["added" if record is None else "changed"] += 1
    own = [_with_own_id(run, document, uri, kept_ids) for document in documents]
    run.add(Entry(uri, digest, _cut(run, own), why, hint))


def _with_own_id(run: _Run, document: Document, path: str, kept: Sequence[str]) -> Document:
    """A file that was renamed keeps its id; the next one of that name must not take it."""
    document_id = document.id
    if len(kept) == 1 and document.uri == path:
        document_id = kept[0]
    while run.owners.get(document_id, path) != path:
        document_id = sha256(document_id)[: len(document.id)]
    run.owners[document_id] = path
    return document.model_copy(update={"id": document_id})


def _cut(run: _Run, documents: Sequence[Document]) -> list[tuple[Document, Sequence[Chunk]]]:
    parts = run.parts
    cut: list[tuple[Document, Sequence[Chunk]]] = []
    for document in documents:
        scoped = document.model_copy(update={"scope": parts.scope})
        with stage("index.chunk"):
            chunks = parts.chunker.chunk(scoped)
            chunks = parts.contextualizer.contextualize(scoped, chunks)
        with stage("index.count"):
            counted = [
                chunk.model_copy(update={"tokens": parts.counter.count(chunk.text)})
                for chunk in chunks
            ]
        run.counts["chunks"] += len(counted)
        cut.append((scoped, counted))
    return cut


def _finish(run: _Run, began: float) -> IndexReport:
    with stage("index.lexical"):
        run.parts.catch_up()
    failures, took = take_report(run.parts.contextualizer)
    return IndexReport(
        **run.counts,
        failed=(*run.failed, *failures),
        skipped=tuple(run.skipped),
        usage=took,
        seconds=round(time.perf_counter() - began, 3),
    )
