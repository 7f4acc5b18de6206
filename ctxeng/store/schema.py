"""The tables, their version, and how older workspaces are brought up to it."""

from __future__ import annotations

import sqlite3

from ctxeng.errors import WorkspaceError
from ctxeng.store.migrations import migrate

VERSION = 2

TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE IF NOT EXISTS source (
    row INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    path TEXT NOT NULL,
    hash TEXT NOT NULL,
    why TEXT NOT NULL DEFAULT '',
    hint TEXT NOT NULL DEFAULT '',
    UNIQUE (scope, path)
);

CREATE TABLE IF NOT EXISTS document (
    row INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES source (row) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    record TEXT NOT NULL,      -- the value without its text, as JSON
    text TEXT NOT NULL,
    attributes TEXT NOT NULL,  -- what filters compare: {key: [string, …]}
    UNIQUE (scope, id)
);
CREATE INDEX IF NOT EXISTS document_source ON document (source);

CREATE TABLE IF NOT EXISTS chunk (
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
CREATE INDEX IF NOT EXISTS chunk_document ON chunk (document, position);
CREATE INDEX IF NOT EXISTS chunk_text_hash ON chunk (text_hash);

-- What changed, in order. Derived indexes remember the last number that they took in.
CREATE TABLE IF NOT EXISTS change (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    document_id TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS vector (
    text_hash BLOB NOT NULL,
    model TEXT NOT NULL,
    vector BLOB NOT NULL,      -- float32, little endian
    version INTEGER NOT NULL,  -- of its model when it was written, see vector_version
    PRIMARY KEY (text_hash, model)
);
CREATE INDEX IF NOT EXISTS vector_by_version ON vector (model, version);
CREATE TABLE IF NOT EXISTS vector_version (model TEXT PRIMARY KEY, number INTEGER NOT NULL);

-- Runs, and the texts that they name, each once.
CREATE TABLE IF NOT EXISTS trace (
    row INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    verb TEXT NOT NULL,
    time TEXT NOT NULL,        -- UTC, ISO 8601: of the last run
    runs INTEGER NOT NULL,
    summary TEXT NOT NULL,
    payload BLOB NOT NULL,     -- zlib
    UNIQUE (scope, id)
);
CREATE INDEX IF NOT EXISTS trace_by_time ON trace (scope, time);

CREATE TABLE IF NOT EXISTS text (
    row INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE, -- sha256 of the text
    body BLOB NOT NULL         -- zlib of its UTF-8
);

CREATE TABLE IF NOT EXISTS trace_text (
    trace INTEGER NOT NULL REFERENCES trace (row) ON DELETE CASCADE,
    text INTEGER NOT NULL REFERENCES text (row),
    PRIMARY KEY (trace, text)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS trace_text_by_text ON trace_text (text);

-- Conversations.
CREATE TABLE IF NOT EXISTS turn (
    scope TEXT NOT NULL,
    session TEXT NOT NULL,
    number INTEGER NOT NULL,
    message TEXT NOT NULL,
    time TEXT NOT NULL,
    PRIMARY KEY (scope, session, number)
);
CREATE TABLE IF NOT EXISTS session (
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (scope, id)
);
-- What left the prompts of a conversation, in full.
CREATE TABLE IF NOT EXISTS archived (
    scope TEXT NOT NULL,
    session TEXT NOT NULL,
    id TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (scope, session, id)
);

CREATE TABLE IF NOT EXISTS reply (key TEXT PRIMARY KEY, payload TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS spend (day TEXT PRIMARY KEY, amount REAL NOT NULL);
"""


def prepare(connection: sqlite3.Connection, name: str, *, read_only: bool) -> None:
    """Make the tables where there are none, and bring older ones up to date.

    Who only reads reads an older workspace as it is.

    Raises:
        WorkspaceError: the workspace was made by a newer ctxeng, or the file is not one.
    """
    version, tables = connection.execute(
        "SELECT (SELECT user_version FROM pragma_user_version), "
        "(SELECT count(*) FROM sqlite_master)"
    ).fetchone()
    if version > VERSION:
        raise WorkspaceError(
            f"{name}: this workspace has schema {version}, and this ctxeng knows up to {VERSION}: "
            "upgrade ctxeng."
        )
    if version == 0 and (tables or read_only):
        raise WorkspaceError(
            f"{name}: is no workspace of ctxeng. Nothing was overwritten. Name another folder, or "
            "run `ctxeng index PATH` to make one."
        )
    if version == 0:  # IF NOT EXISTS: another process may be making them at the same time
        connection.executescript(f"BEGIN IMMEDIATE;{TABLES}PRAGMA user_version = {VERSION};COMMIT;")
    elif version < VERSION and not read_only:
        migrate(connection, VERSION)


def require(connection: sqlite3.Connection, name: str, since: int) -> None:
    """Raises:
    WorkspaceError: the workspace is of an older version than what is read of it.
    """
    (version,) = connection.execute("SELECT user_version FROM pragma_user_version").fetchone()
    if version < since:
        raise WorkspaceError(
            f"{name}: this workspace has schema {version}; its traces and conversations can be "
            "read once it is brought up to date: open it to write, as `ctxeng index` does."
        )
