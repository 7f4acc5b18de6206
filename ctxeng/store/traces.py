"""Runs and the texts that they name: each text once, and gone with the last run that names it."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence

from ctxeng.errors import WorkspaceError
from ctxeng.protocols import Retention, TraceRecord
from ctxeng.store.connections import Connections
from ctxeng.types import Scope

TRACES_SINCE = 2
"""Version of the schema."""
LEVEL = 1
"""Of zlib: six times smaller already, at a fraction of the time of level 6."""


class Traces:
    """The part of the record that runs write."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def put(self, scope: Scope, record: TraceRecord, keep: Retention, *, wait: bool) -> None:
        payload = _squeezed(record.payload)
        hashes = {bytes.fromhex(digest): text for digest, text in record.texts.items()}
        with self._connections.read() as db:
            new = [digest for digest in hashes if _row(db, digest) is None]
        bodies = {digest: _squeezed(hashes[digest]) for digest in new}
        with self._connections.write(wait=wait) as db:
            (row,) = db.execute(
                "INSERT INTO trace (scope, id, verb, time, runs, summary, payload) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scope, id) DO UPDATE SET "
                "time = excluded.time, runs = runs + excluded.runs, payload = excluded.payload "
                "RETURNING row",
                (scope.key, record.id, record.verb, record.time, record.runs, record.summary,
                 payload),
            ).fetchone()  # fmt: skip
            for digest, text in hashes.items():
                found = _row(db, digest)
                if found is None:
                    # Where it went since we looked, it is squeezed inside the transaction.
                    body = bodies.get(digest) or _squeezed(text)
                    (found,) = db.execute(
                        "INSERT INTO text (hash, body) VALUES (?, ?) RETURNING row", (digest, body)
                    ).fetchone()
                db.execute("INSERT OR IGNORE INTO trace_text VALUES (?, ?)", (row, found))
            _let_go(db, scope.key, keep)

    def get(self, scope: Scope, trace_id: str) -> TraceRecord | None:
        with self._connections.read(since=TRACES_SINCE) as db:
            row = db.execute(
                "SELECT id, verb, time, summary, payload, runs, row FROM trace "
                "WHERE scope = ? AND id = ?",
                (scope.key, trace_id),
            ).fetchone()
            texts = [] if row is None else db.execute(
                "SELECT hash, body FROM trace_text JOIN text ON text.row = trace_text.text "
                "WHERE trace = ?",
                (row[6],),
            ).fetchall()  # fmt: skip
        if row is None:
            return None
        try:
            return TraceRecord(
                id=row[0],
                verb=row[1],
                time=row[2],
                summary=row[3],
                payload=_whole(row[4]),
                texts={digest.hex(): _whole(body) for digest, body in texts},
                runs=row[5],
            )
        except (zlib.error, UnicodeDecodeError) as error:
            raise WorkspaceError(
                f"trace {trace_id}: damaged: it cannot be unpacked. Other traces and the index are "
                f"not concerned; `ctxeng trace remove {trace_id}` takes it away."
            ) from error

    def all(self, scope: Scope, *, limit: int | None, prefix: str) -> list[TraceRecord]:
        with self._connections.read(since=TRACES_SINCE) as db:
            rows = db.execute(
                "SELECT id, verb, time, summary, runs FROM trace "
                "WHERE scope = ?1 AND substr(id, 1, length(?2)) = ?2 "
                "ORDER BY time DESC, row DESC LIMIT ?3",
                (scope.key, prefix, -1 if limit is None else limit),
            ).fetchall()
        return [
            TraceRecord(id=trace_id, verb=verb, time=time, summary=summary, runs=runs)
            for trace_id, verb, time, summary, runs in rows
        ]

    def remove(self, scope: Scope, trace_ids: Sequence[str]) -> int:
        with self._connections.write() as db:
            rows = db.execute(
                "SELECT row FROM trace WHERE scope = ? AND id IN (SELECT value FROM json_each(?))",
                (scope.key, json.dumps(list(trace_ids))),
            ).fetchall()
            _remove(db, [row for (row,) in rows])
        return len(rows)


def _row(db: sqlite3.Connection, digest: bytes) -> int | None:
    row = db.execute("SELECT row FROM text WHERE hash = ?", (digest,)).fetchone()
    return None if row is None else int(row[0])


def _let_go(db: sqlite3.Connection, scope: str, keep: Retention) -> None:
    old: list[int] = []
    if keep.since is not None:
        rows = db.execute("SELECT row FROM trace WHERE scope = ? AND time < ?", (scope, keep.since))
        old += [row for (row,) in rows]
    if keep.runs is not None:
        rows = db.execute(
            "SELECT row FROM trace WHERE scope = ? ORDER BY time DESC, row DESC LIMIT -1 OFFSET ?",
            (scope, keep.runs),
        )
        old += [row for (row,) in rows]
    if old:
        _remove(db, old)


def _remove(db: sqlite3.Connection, traces: Iterable[int]) -> None:
    """Traces go, and then the texts that only they named."""
    rows = json.dumps(sorted(set(traces)))
    named = db.execute(
        "SELECT DISTINCT text FROM trace_text WHERE trace IN (SELECT value FROM json_each(?))",
        (rows,),
    ).fetchall()
    db.execute("DELETE FROM trace WHERE row IN (SELECT value FROM json_each(?))", (rows,))
    db.executemany(
        "DELETE FROM text WHERE row = ? "
        "AND NOT EXISTS (SELECT 1 FROM trace_text WHERE trace_text.text = text.row)",
        named,
    )


def _squeezed(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "surrogatepass"), LEVEL)


def _whole(data: bytes) -> str:
    """What version 1 left is not squeezed: it is JSON, which no zlib stream begins like."""
    squeezed = data[:1] != b"{"
    return (zlib.decompress(data) if squeezed else data).decode("utf-8", "surrogatepass")
