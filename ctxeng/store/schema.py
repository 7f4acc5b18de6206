"""The tables, their version, and how older workspaces are brought up to it."""

from __future__ import annotations

import sqlite3

from ctxeng.errors import WorkspaceError

VERSION = 1

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE source (
    row INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    path TEXT NOT NULL,
    hash TEXT NOT NULL,
    why TEXT NOT NULL DEFAULT '',
    hint TEXT NOT NULL DEFAULT '',
    UNIQUE (scope, path)
);

CREATE TABLE document (
    row INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES source (row) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    record TEXT NOT NULL,      -- the value without its text, as JSON
    text TEXT NOT NULL,
    attributes TEXT NOT NULL,  -- what filters compare: {key: [string, …]}
    UNIQUE (scope, id)
);
CREATE INDEX document_source ON document (source);

CREATE TABLE chunk (
    row INTEGER PRIMARY KEY,
    document INTEGER NOT NULL REFERENCES document (row) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    position INTEGER NOT NULL,
    text TEXT NOT NULL,
    prefix TEXT NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    line INTEGER NOT NULL,
    heading_path TEXT NOT NULL,
    part TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    format TEXT NOT NULL,
    defines TEXT NOT NULL,
    text_hash BLOB NOT NULL,   -- of Chunk.embedded_text: the key of its vectors
    UNIQUE (scope, id)
);
CREATE INDEX chunk_document ON chunk (document, position);
CREATE INDEX chunk_text_hash ON chunk (text_hash);

-- What changed, in order. Derived indexes remember the last number that they took in.
CREATE TABLE change (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    document_id TEXT NOT NULL
);

CREATE TABLE vector (
    text_hash BLOB NOT NULL,
    model TEXT NOT NULL,
    vector BLOB NOT NULL,      -- float32, little endian
    version INTEGER NOT NULL,  -- of its model when it was written, see vector_version
    PRIMARY KEY (text_hash, model)
);
CREATE INDEX vector_by_version ON vector (model, version);
CREATE TABLE vector_version (model TEXT PRIMARY KEY, number INTEGER NOT NULL);

CREATE TABLE trace (id TEXT PRIMARY KEY, payload TEXT NOT NULL);
"""


def prepare(connection: sqlite3.Connection, name: str) -> None:
    """Make the tables where there are none.

    Raises:
        WorkspaceError: the workspace was made by a newer ctxeng.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise WorkspaceError(
            f"{name}: this workspace has schema {version}, and this ctxeng knows up to {VERSION}: "
            "upgrade ctxeng."
        )
    if version == 0:
        connection.executescript(f"BEGIN;{TABLES}PRAGMA user_version = {VERSION};COMMIT;")
