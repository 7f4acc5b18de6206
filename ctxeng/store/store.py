"""The Store on SQLite. Every statement that touches content names its scope."""

from __future__ import annotations

import json
import logging
import os
import secrets
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ctxeng.errors import WorkspaceError
from ctxeng.protocols import (
    KEEP_ALL,
    Change,
    Counts,
    Entry,
    Retention,
    SourceRecord,
    TraceRecord,
    Vectors,
)
from ctxeng.store.connections import Connections, damaged, quick_check
from ctxeng.store.lock import HOLDER
from ctxeng.store.replies import Replies
from ctxeng.store.rows import document_of, embedded_text, hit_of, indexed_text
from ctxeng.store.traces import Traces
from ctxeng.store.turns import Turns
from ctxeng.store.writing import Writing
from ctxeng.types import Document, Hit, Message, Scope

logger = logging.getLogger(__name__)

FILE = "store.sqlite3"
NOTHING: Mapping[str, str] = {}
WRITING = "writing"
"""Begins the keys by which writers mark that they have the file open."""

# A list of values is one parameter, read by json_each: no statement is put together at run time.
_HITS = """
SELECT chunk.id, position, chunk.text, prefix, start, "end", line, heading_path, part, tokens,
       format, record
FROM chunk JOIN document ON document.row = chunk.document
WHERE chunk.scope = ? AND chunk.id IN (SELECT value FROM json_each(?))
"""
_NEIGHBOURS = """
SELECT chunk.id, position, chunk.text, prefix, start, "end", line, heading_path, part, tokens,
       format, record
FROM document JOIN chunk ON chunk.document = document.row
WHERE document.scope = ? AND document.id = ? AND position BETWEEN ? AND ? ORDER BY position
"""
_SUCCESSORS = """
SELECT max(number), kind, scope, id, document_id FROM change
WHERE number > ?1 AND kind = 'chunk' AND scope = ?2 AND document_id IN (
    SELECT document_id FROM change
    WHERE number > ?1 AND kind = 'chunk' AND scope = ?2 AND id IN (SELECT value FROM json_each(?3))
)
GROUP BY id
"""
_MATCHING = """
SELECT chunk.id FROM chunk JOIN document ON document.row = chunk.document
WHERE chunk.scope = ? AND NOT EXISTS (
    SELECT 1 FROM json_each(?) AS wanted WHERE NOT EXISTS (
        SELECT 1
        FROM json_each(attributes) AS held, json_each(held.value) AS own,
             json_each(wanted.value) AS value
        WHERE held.key = wanted.key AND own.value = value.value
    )
)
"""


class SqliteStore:
    """One workspace's record; safe to use from many threads, beside other processes."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.replies = Replies(connections)
        self._traces = Traces(connections)
        self._turns = Turns(connections)
        self._mark_key = f"{WRITING} {os.getpid()} {secrets.token_hex(4)}"
        """In the record while this writer has it open."""
        self._marked = False
        self.left_open = False
        """Whether an earlier writer's process or machine died with it; the file was checked."""

    # -- what a workspace remembers of itself

    def get_meta(self, key: str) -> str | None:
        with self._connections.read() as db:
            row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        if self.get_meta(key) != value:
            with self._connections.write() as db:
                _set_meta(db, key, value)

    # -- sources, documents, chunks

    def put(self, scope: Scope, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        with self._connections.write() as db:
            self._mark(db)
            writing = Writing(db, scope.key)
            for entry in entries:
                writing.put(entry)
            writing.finish()

    def remove(
        self, scope: Scope, *, paths: Sequence[str] = (), document_ids: Sequence[str] = ()
    ) -> int:
        if not paths and not document_ids:
            return 0
        with self._connections.write() as db:
            self._mark(db)
            writing = Writing(db, scope.key)
            gone = writing.remove(paths, document_ids)
            writing.finish()
        return gone

    def sources(self, scope: Scope) -> dict[str, SourceRecord]:
        with self._connections.read() as db:
            rows = db.execute(
                "SELECT path, hash, why, hint, document.id FROM source "
                "LEFT JOIN document ON document.source = source.row "
                "WHERE source.scope = ? ORDER BY source.row, document.row",
                (scope.key,),
            ).fetchall()
        ids: dict[str, list[str]] = {}
        for row in rows:
            ids.setdefault(row[0], []).extend([row[4]] if row[4] is not None else [])
        return {
            path: SourceRecord(path, digest, tuple(ids[path]), why, hint)
            for path, digest, why, hint, _ in rows
        }

    def counts(self, scope: Scope) -> Counts:
        with self._connections.read() as db:
            (numbers,) = db.execute(
                "SELECT (SELECT count(*) FROM source WHERE scope = :s), "
                "(SELECT count(*) FROM source WHERE scope = :s AND why != ''), "
                "(SELECT count(*) FROM document WHERE scope = :s), "
                "(SELECT count(*) FROM chunk WHERE scope = :s)",
                {"s": scope.key},
            ).fetchall()
        return Counts(*numbers)

    def document_ids(self, scope: Scope) -> list[str]:
        with self._connections.read() as db:
            rows = db.execute("SELECT id FROM document WHERE scope = ? ORDER BY row", (scope.key,))
            return [row[0] for row in rows]

    def document(self, scope: Scope, document_id: str) -> Document | None:
        with self._connections.read() as db:
            row = db.execute(
                "SELECT record, text FROM document WHERE scope = ? AND id = ?",
                (scope.key, document_id),
            ).fetchone()
        with self._well_formed():
            return None if row is None else document_of(row[0], row[1], scope.key)

    def hits(self, scope: Scope, chunk_ids: Sequence[str]) -> dict[str, Hit]:
        with self._connections.read() as db, self._well_formed():
            return _hits(db, scope, chunk_ids)

    def hits_now(
        self, scope: Scope, chunk_ids: Sequence[str], *, after: int
    ) -> tuple[dict[str, Hit], list[Change]]:
        with self._connections.read() as db, self._well_formed():
            found = _hits(db, scope, chunk_ids)
            gone = json.dumps([chunk_id for chunk_id in chunk_ids if chunk_id not in found])
            rows = db.execute(_SUCCESSORS, (after, scope.key, gone)).fetchall()
            changes = [_change(db, row) for row in rows]
            new = [change for change in changes if change.text is not None]
            return found | _hits(db, scope, [change.id for change in new]), new

    def neighbours(self, scope: Scope, document_id: str, first: int, last: int) -> list[Hit]:
        with self._connections.read() as db:
            rows = db.execute(_NEIGHBOURS, (scope.key, document_id, first, last)).fetchall()
        with self._well_formed():
            return [hit_of(row, json.loads(row[11])) for row in rows]

    # -- changes, for the derived indexes

    def last_change(self) -> int:
        with self._connections.read() as db:
            (number,) = db.execute("SELECT coalesce(max(number), 0) FROM change").fetchone()
        return int(number)

    def changes(self, after: int, limit: int) -> tuple[list[Change], int]:
        with self._connections.read() as db, self._well_formed():
            rows = db.execute(
                "SELECT number, kind, scope, id, document_id FROM change WHERE number > ? "
                "ORDER BY number LIMIT ?",
                (after, limit),
            ).fetchall()
            latest = {(row[1], row[2], row[3]): row for row in rows}
            found = [_change(db, row) for row in latest.values()]
        return found, (rows[-1][0] if rows else after)

    def chunk_count(self) -> int:
        """Of all scopes."""
        with self._connections.read() as db:
            return int(db.execute("SELECT count(*) FROM chunk").fetchone()[0])

    def chunk_ids(self) -> list[str]:
        """Of all scopes, in order: what the derived indexes must hold, to check them by."""
        with self._connections.read() as db:
            return [row[0] for row in db.execute("SELECT id FROM chunk ORDER BY id")]

    # -- vectors

    def missing_vectors(self, model: str, limit: int) -> list[tuple[str, str]]:
        with self._connections.read() as db:
            rows = db.execute(
                "SELECT text_hash, heading_path, text FROM chunk WHERE NOT EXISTS "
                "(SELECT 1 FROM vector WHERE vector.text_hash = chunk.text_hash AND model = ?) "
                "GROUP BY text_hash LIMIT ?",
                (model, limit),
            ).fetchall()
        with self._well_formed():
            return [(digest.hex(), embedded_text(path, text)) for digest, path, text in rows]

    def put_vectors(self, model: str, hashes: Sequence[str], vectors: Vectors) -> None:
        with self._connections.write() as db:
            self._mark(db)
            (version,) = db.execute(
                "INSERT INTO vector_version VALUES (?, 1) "
                "ON CONFLICT (model) DO UPDATE SET number = number + 1 RETURNING number",
                (model,),
            ).fetchone()
            # A chunk that went while it was embedded takes its vector with it.
            db.executemany(
                "INSERT OR REPLACE INTO vector SELECT ?1, ?2, ?3, ?4 "
                "WHERE EXISTS (SELECT 1 FROM chunk WHERE text_hash = ?1)",
                [
                    (bytes.fromhex(digest), model, row.astype("<f4").tobytes(), version)
                    for digest, row in zip(hashes, vectors, strict=True)
                ],
            )

    def vectors(self, scope: Scope, model: str) -> tuple[list[str], Vectors]:
        wanted = (scope.key, model)
        with self._connections.read() as db, self._well_formed():
            count, size = db.execute(
                "SELECT count(*), max(length(vector)) FROM chunk JOIN vector USING (text_hash) "
                "WHERE chunk.scope = ? AND model = ?",
                wanted,
            ).fetchone()
            rows = db.execute(
                "SELECT chunk.id, vector FROM chunk JOIN vector USING (text_hash) "
                "WHERE chunk.scope = ? AND model = ? ORDER BY chunk.id",
                wanted,
            )
            # Row by row into its place: of many, one copy is enough.
            matrix = np.empty((count, (size or 0) // 4), np.float32)
            ids = []
            for at, (chunk_id, vector) in enumerate(rows):
                ids.append(chunk_id)
                matrix[at] = np.frombuffer(vector, "<f4")
        return ids, matrix

    def vector_progress(self, scope: Scope, model: str) -> tuple[int, int]:
        with self._connections.read() as db:
            total, done = db.execute(
                "SELECT count(*), count(vector.model) FROM chunk LEFT JOIN vector "
                "ON vector.text_hash = chunk.text_hash AND vector.model = ? WHERE scope = ?",
                (model, scope.key),
            ).fetchone()
        return int(done), int(total)

    def vector_state(self, model: str) -> tuple[int, int]:
        with self._connections.read() as db:
            return _vector_state(db, model)

    def changed_vectors(
        self, model: str, after: tuple[int, int]
    ) -> tuple[list[tuple[str, str]], tuple[int, int]]:
        with self._connections.read() as db:
            state = _vector_state(db, model)
            change, version = after
            rows = db.execute(
                "SELECT scope, id FROM change WHERE number > ?1 AND kind = 'chunk' AND ?1 + ?2 > 0 "
                "UNION SELECT scope, chunk.id FROM chunk JOIN vector USING (text_hash) "
                "WHERE model = ?3 AND version > ?2 ORDER BY 1, 2",
                (change, version, model),
            ).fetchall()
        return rows, state

    def vectors_of(
        self, scope_key: str, model: str, chunk_ids: Sequence[str]
    ) -> tuple[list[str], Vectors]:
        with self._connections.read() as db:
            rows = db.execute(
                "SELECT chunk.id, vector FROM chunk JOIN vector USING (text_hash) WHERE "
                "chunk.scope = ? AND model = ? AND chunk.id IN (SELECT value FROM json_each(?))",
                (scope_key, model, json.dumps(list(chunk_ids))),
            ).fetchall()
        with self._well_formed():
            return _matrix(rows)

    def parents(self, scope: Scope, chunk_ids: Sequence[str]) -> dict[str, str]:
        with self._connections.read() as db:
            rows = db.execute(
                "SELECT chunk.id, document.id FROM chunk JOIN document "
                "ON document.row = chunk.document "
                "WHERE chunk.scope = ? AND chunk.id IN (SELECT value FROM json_each(?))",
                (scope.key, json.dumps(list(chunk_ids))),
            )
            return dict(rows.fetchall())

    def document_vectors(
        self, scope: Scope, model: str, document_ids: Sequence[str]
    ) -> tuple[list[str], Vectors]:
        with self._connections.read() as db:
            rows = db.execute(
                "SELECT document.id, vector FROM document JOIN chunk "
                "ON chunk.document = document.row JOIN vector USING (text_hash) "
                "WHERE document.scope = ? AND model = ? "
                "AND document.id IN (SELECT value FROM json_each(?)) "
                "ORDER BY document.id, position",
                (scope.key, model, json.dumps(list(document_ids))),
            ).fetchall()
        with self._well_formed():
            owners, matrix = _matrix(rows)
        if not owners:
            return [], matrix
        first = [at for at, owner in enumerate(owners) if not at or owner != owners[at - 1]]
        sums = np.add.reduceat(matrix, first, axis=0)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return [owners[at] for at in first], sums / np.maximum(lengths, np.finfo(np.float32).tiny)

    def matching_chunks(self, scope: Scope, where: Mapping[str, tuple[str, ...]]) -> set[str]:
        """Ids of the chunks whose document has, for every key, one of the values."""
        with self._connections.read() as db:
            rows = db.execute(_MATCHING, (scope.key, json.dumps(where)))
            return {row[0] for row in rows}

    # -- runs and conversations

    def source_hashes(self, scope: Scope, document_ids: Sequence[str]) -> dict[str, str]:
        with self._connections.read() as db:
            rows = db.execute(
                "SELECT document.id, source.hash FROM document "
                "JOIN source ON source.row = document.source "
                "WHERE document.scope = ? AND document.id IN (SELECT value FROM json_each(?))",
                (scope.key, json.dumps(list(document_ids))),
            )
            return dict(rows.fetchall())

    def changed_documents(self, scope: Scope, after: int, upto: int) -> dict[str, bool]:
        with self._connections.read() as db:
            rows = db.execute(
                "SELECT DISTINCT document_id, EXISTS (SELECT 1 FROM document "
                "WHERE document.scope = change.scope AND document.id = document_id) "
                "FROM change WHERE number > ? AND number <= ? AND change.scope = ?",
                (after, upto, scope.key),
            )
            return {document_id: bool(there) for document_id, there in rows}

    def put_trace(
        self, scope: Scope, record: TraceRecord, keep: Retention = KEEP_ALL, *, wait: bool = True
    ) -> None:
        self._traces.put(scope, record, keep, wait=wait)

    def trace(self, scope: Scope, trace_id: str) -> TraceRecord | None:
        return self._traces.get(scope, trace_id)

    def traces(
        self, scope: Scope, *, limit: int | None = None, prefix: str = ""
    ) -> list[TraceRecord]:
        return self._traces.all(scope, limit=limit, prefix=prefix)

    def remove_traces(self, scope: Scope, trace_ids: Sequence[str]) -> int:
        return self._traces.remove(scope, trace_ids)

    def turns(self, scope: Scope, session: str, *, after: int = 0) -> list[Message]:
        return self._turns.of(scope, session, after=after)

    def add_turns(self, scope: Scope, session: str, messages: Sequence[Message]) -> int:
        return self._turns.add(scope, session, messages)

    def session_state(self, scope: Scope, session: str) -> str | None:
        return self._turns.state(scope, session)

    def put_session_state(self, scope: Scope, session: str, state: str) -> None:
        self._turns.put_state(scope, session, state)

    def change_session_state(
        self,
        scope: Scope,
        session: str,
        change: Callable[[str | None], str],
        *,
        archived: Mapping[str, str] = NOTHING,
        forget_turns: bool = False,
    ) -> str:
        return self._turns.change_state(
            scope, session, change, archived=archived, forget_turns=forget_turns
        )

    def archived(self, scope: Scope, session: str, name: str) -> str | None:
        return self._turns.archived(scope, session, name)

    def sessions(self, scope: Scope) -> list[str]:
        return self._turns.sessions(scope)

    def remove_session(self, scope: Scope, session: str) -> bool:
        return self._turns.remove(scope, session)

    # -- health

    def check(self) -> str:
        """``ok``, or what SQLite finds wrong with the file; reads all of it."""
        return quick_check(self._connections)

    def check_if_left_open(self) -> str:
        """``ok``, or what SQLite finds wrong with a file that a process had open when it died."""
        with self._connections.read() as db:
            marks = db.execute(
                "SELECT key, value FROM meta WHERE key GLOB ?", (f"{WRITING} *",)
            ).fetchall()
        dead = [(key,) for key, boot_id in marks if boot_id != _boot_id() or not _runs(key)]
        if not dead:
            return "ok"
        self.left_open = True
        found = self.check()
        if found == "ok" and not self._connections.read_only:
            with self._connections.write() as db:
                db.executemany("DELETE FROM meta WHERE key = ?", dead)
        return found

    @contextmanager
    def _well_formed(self) -> Iterator[None]:
        """Rows that no value can be made of have been altered since they were written.

        Raises:
            WorkspaceError: one is.
        """
        try:
            yield
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise WorkspaceError(
                damaged(self._connections.name, "a row holds what was never written")
            ) from error

    def _mark(self, db: sqlite3.Connection) -> None:
        """Until it is closed, this file counts as left open by a writer."""
        _set_meta(db, self._mark_key, _boot_id())
        self._marked = True

    def close(self) -> None:
        try:
            if self._marked:
                with self._connections.write() as db:
                    db.execute("DELETE FROM meta WHERE key = ?", (self._mark_key,))
                self._marked = False
        except WorkspaceError as error:
            # Nothing is lost by it: the mark stays, so whoever opens the file next checks it.
            logger.warning("%s", error)
        finally:
            self._connections.close()


def open_store(folder: Path | None, *, read_only: bool = False) -> SqliteStore:
    """Open, or make, the record of a workspace; None keeps it in memory.

    A file that a writer left open when its process or machine died is checked first.

    Raises:
        WorkspaceError: it is missing (read-only), damaged, not ours or of a newer version.
    """
    file = None if folder is None else folder / FILE
    if folder is not None and file is not None:
        if read_only and not file.exists():
            raise WorkspaceError(f"{folder}: no workspace here. Run `ctxeng index PATH` first.")
        try:
            if not read_only:
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceError(f"{folder}: cannot be made: {error.strerror}.") from error
        if why := _cut_short(file):
            raise WorkspaceError(damaged(str(file), why))
    store = SqliteStore(Connections(file, read_only=read_only))
    try:
        found = store.check_if_left_open()
        if found != "ok":
            raise WorkspaceError(damaged(str(file), found))
    except BaseException:
        store.close()
        raise
    return store


def _cut_short(file: Path) -> str:
    """What SQLite would not notice: it takes an empty file for a new one, and what is missing of
    the last page for zeros.
    """
    logs = [file.with_name(f"{file.name}-{name}") for name in ("wal", "journal")]
    if not file.exists() or any(log.exists() and log.stat().st_size for log in logs):
        return ""  # a killed writer may leave a torn page, and the log has it whole
    size = file.stat().st_size
    if not size:
        return "it is empty" if (file.parent / HOLDER).exists() else ""
    with file.open("rb") as opened:
        page = int.from_bytes(opened.read(18)[16:], "big")
    return "its last page is cut off" if page >= 512 and size % page else ""


def _hits(db: sqlite3.Connection, scope: Scope, chunk_ids: Sequence[str]) -> dict[str, Hit]:
    rows = db.execute(_HITS, (scope.key, json.dumps(list(chunk_ids)))).fetchall()
    return {row[0]: hit_of(row, json.loads(row[11])) for row in rows}


def _set_meta(db: sqlite3.Connection, key: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _vector_state(db: sqlite3.Connection, model: str) -> tuple[int, int]:
    change, version = db.execute(
        "SELECT coalesce((SELECT max(number) FROM change), 0), "
        "coalesce((SELECT number FROM vector_version WHERE model = ?), 0)",
        (model,),
    ).fetchone()
    return int(change), int(version)


def _matrix(rows: Sequence[tuple[str, bytes]]) -> tuple[list[str], Vectors]:
    """Ids and their vectors, shape (n, d); (0, 0) where there is none."""
    if not rows:
        return [], np.zeros((0, 0), np.float32)
    matrix = np.frombuffer(b"".join(row[1] for row in rows), "<f4")
    return [row[0] for row in rows], matrix.reshape(len(rows), -1).astype(np.float32)


def _runs(mark_key: str) -> bool:
    """Whether the process that set a mark is alive; False where that cannot be told."""
    if sys.platform == "win32":
        return False  # there the question would end the process
    try:
        os.kill(int(mark_key.split()[1]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def _boot_id() -> str:
    """Changes with each start of the machine, where the system tells."""
    file = Path("/proc/sys/kernel/random/boot_id")
    return file.read_text().strip() if file.exists() else f"process {os.getpid()}"


def _change(db: sqlite3.Connection, row: tuple[int, str, str, str, str]) -> Change:
    """The present state of what a logged change is about."""
    number, kind, scope, item_id, document_id = row
    if kind == "document":
        found = db.execute(
            "SELECT json_extract(record, '$.title'), text, '[]', attributes FROM document "
            "WHERE scope = ? AND id = ? "
            "AND EXISTS (SELECT 1 FROM chunk WHERE document = document.row)",
            (scope, item_id),
        ).fetchone()
    else:
        found = db.execute(
            "SELECT prefix, chunk.text, defines, attributes FROM chunk "
            "JOIN document ON document.row = chunk.document "
            "WHERE chunk.scope = ? AND chunk.id = ?",
            (scope, item_id),
        ).fetchone()
    if found is None:
        return Change(number, "document" if kind == "document" else "chunk", item_id, scope,
                      document_id, None)  # fmt: skip
    before, text, defines, attributes = found
    return Change(
        number=number,
        kind="document" if kind == "document" else "chunk",
        id=item_id,
        scope=scope,
        document_id=document_id,
        text=indexed_text(before, text),
        defines=json.loads(defines),
        attributes=json.loads(attributes),
    )
