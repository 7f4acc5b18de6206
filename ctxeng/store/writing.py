"""Writes sources as differences: what is unchanged makes no row and no change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from ctxeng.protocols import Entry
from ctxeng.store.rows import ChunkRow, attributes_of, chunk_row, document_record
from ctxeng.types import Chunk, Document

_UPSERT_CHUNK = """
INSERT INTO chunk (scope, document, id, position, text, prefix, start, "end", line, heading_path,
                   part, tokens, format, defines, text_hash)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (scope, id) DO UPDATE SET
    document = excluded.document, position = excluded.position, text = excluded.text,
    prefix = excluded.prefix, start = excluded.start, "end" = excluded."end",
    line = excluded.line, heading_path = excluded.heading_path, part = excluded.part,
    tokens = excluded.tokens, format = excluded.format, defines = excluded.defines,
    text_hash = excluded.text_hash
"""


class Writing:
    """One write transaction of one scope."""

    def __init__(self, connection: sqlite3.Connection, scope: str) -> None:
        self._db = connection
        self._scope = scope
        self._changes: list[tuple[str, str, str, str]] = []
        self._freed: set[bytes] = set()

    def put(self, entry: Entry) -> None:
        """Replace all that the entry's path held before."""
        source = self._source(entry)
        kept = {document.id for document, _ in entry.documents}
        for row, document_id in self._documents(source):
            if document_id not in kept:
                self._drop(row, document_id)
        for document, chunks in entry.documents:
            self._put_document(source, document, chunks)

    def remove(self, paths: Iterable[str], document_ids: Iterable[str]) -> int:
        """Returns how many documents went; a source without documents goes with its last one."""
        gone = 0
        for path in paths:
            row = self._db.execute(
                "SELECT row FROM source WHERE scope = ? AND path = ?", (self._scope, path)
            ).fetchone()
            if row is None:
                continue
            for document, document_id in self._documents(row[0]):
                self._drop(document, document_id)
                gone += 1
            self._db.execute("DELETE FROM source WHERE row = ?", row)
        for document_id in document_ids:
            found = self._db.execute(
                "SELECT row, source FROM document WHERE scope = ? AND id = ?",
                (self._scope, document_id),
            ).fetchall()
            for document, source in found:
                self._drop(document, document_id)
                gone += 1
                self._db.execute(
                    "DELETE FROM source WHERE row = ? AND NOT EXISTS "
                    "(SELECT 1 FROM document WHERE source = source.row)",
                    (source,),
                )
        return gone

    def finish(self) -> None:
        """Log the changes, and let go of vectors that no chunk needs any longer."""
        self._db.executemany(
            "INSERT INTO change (kind, scope, id, document_id) VALUES (?, ?, ?, ?)", self._changes
        )
        self._db.executemany(
            "DELETE FROM vector WHERE text_hash = ? "
            "AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.text_hash = vector.text_hash)",
            [(digest,) for digest in self._freed],
        )

    def _source(self, entry: Entry) -> int:
        (row,) = self._db.execute(
            "INSERT INTO source (scope, path, hash, why, hint) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (scope, path) DO UPDATE SET "
            "hash = excluded.hash, why = excluded.why, hint = excluded.hint RETURNING row",
            (self._scope, entry.path, entry.hash, entry.why, entry.hint),
        ).fetchone()
        if entry.renamed_from and entry.renamed_from != entry.path:
            old = (self._scope, entry.renamed_from)
            self._db.execute(
                "UPDATE document SET source = ? "
                "WHERE source = (SELECT row FROM source WHERE scope = ? AND path = ?)",
                (row, *old),
            )
            self._db.execute("DELETE FROM source WHERE scope = ? AND path = ?", old)
        return int(row)

    def _documents(self, source: int) -> list[tuple[int, str]]:
        return self._db.execute(
            "SELECT row, id FROM document WHERE source = ?", (source,)
        ).fetchall()

    def _put_document(self, source: int, document: Document, chunks: Sequence[Chunk]) -> None:
        record = document_record(document)
        attributes = json.dumps(attributes_of(document), ensure_ascii=False)
        old = self._db.execute(
            "SELECT row, source, record, text, attributes FROM document WHERE scope = ? AND id = ?",
            (self._scope, document.id),
        ).fetchone()
        if old is None:
            (row,) = self._db.execute(
                "INSERT INTO document (source, scope, id, record, text, attributes) "
                "VALUES (?, ?, ?, ?, ?, ?) RETURNING row",
                (source, self._scope, document.id, record, document.text, attributes),
            ).fetchone()
            changed = True
        else:
            row = old[0]
            changed = old[1:] != (source, record, document.text, attributes)
            if changed:
                self._db.execute(
                    "UPDATE document SET source = ?, record = ?, text = ?, attributes = ? "
                    "WHERE row = ?",
                    (source, record, document.text, attributes, row),
                )
        had_chunks = self._has_chunks(row)
        self._put_chunks(row, document.id, chunks, all_anew=old is None or old[4] != attributes)
        if changed or had_chunks != self._has_chunks(row):  # without one it is in no index
            self._log("document", document.id, document.id)

    def _has_chunks(self, document: int) -> bool:
        found = self._db.execute("SELECT 1 FROM chunk WHERE document = ? LIMIT 1", (document,))
        return found.fetchone() is not None

    def _put_chunks(
        self, document: int, document_id: str, chunks: Sequence[Chunk], *, all_anew: bool
    ) -> None:
        """``all_anew``: what filters compare has changed, so the indexes must see every chunk."""
        old = {
            row[0]: row
            for row in self._db.execute(
                'SELECT id, position, text, prefix, start, "end", line, heading_path, part, '
                "tokens, format, defines, text_hash FROM chunk WHERE document = ?",
                (document,),
            )
        }
        new = [chunk_row(chunk) for chunk in chunks]
        for row in new:
            before = old.pop(row[0], None)
            if before != row:
                self._db.execute(_UPSERT_CHUNK, (self._scope, document, *row))
                if before is not None and before[12] != row[12]:
                    self._freed.add(before[12])
            if all_anew or before is None or _indexed(before) != _indexed(row):
                self._log("chunk", row[0], document_id)
        for row in old.values():
            self._db.execute("DELETE FROM chunk WHERE scope = ? AND id = ?", (self._scope, row[0]))
            self._freed.add(row[12])
            self._log("chunk", row[0], document_id)

    def _drop(self, document: int, document_id: str) -> None:
        for chunk_id, digest in self._db.execute(
            "SELECT id, text_hash FROM chunk WHERE document = ?", (document,)
        ):
            self._freed.add(digest)
            self._log("chunk", chunk_id, document_id)
        self._db.execute("DELETE FROM document WHERE row = ?", (document,))
        self._log("document", document_id, document_id)

    def _log(self, kind: str, item_id: str, document_id: str) -> None:
        self._changes.append((kind, self._scope, item_id, document_id))


def _indexed(row: ChunkRow) -> tuple[str, str, str, bytes]:
    """What the derived indexes see of a chunk: text, prefix, definitions, embedded text."""
    return row[2], row[3], row[11], row[12]
