"""The tables of version 1, as they were made, and a workspace of that version."""

import sqlite3
from contextlib import closing

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

CREATE TABLE IF NOT EXISTS trace (id TEXT PRIMARY KEY, payload TEXT NOT NULL);

CREATE TABLE IF NOT EXISTS reply (key TEXT PRIMARY KEY, payload TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS spend (day TEXT PRIMARY KEY, amount REAL NOT NULL);
"""

COPIED = ("meta", "source", "document", "chunk", "change", "vector", "vector_version")
"""Tables that are the same in later versions."""
TRACES = {
    "a8d639e5230b3c1e998595be32b3186a": '{"verb": "ask", "inputs": {"query": "How long?", "model": '
    '"extractive", "settings": {}}, "version": "0.1.0", "stages": [{"stage": "retrieve", "hits": '
    '["a"], "seconds": 0.1, "cpu_seconds": 0.1}]}',
    "torn": "no JSON",
}


def make_version_1(file, present):
    """A file of version 1 with the content of a present one, two traces, a reply and a day's
    spending.
    """
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(f"BEGIN IMMEDIATE;{TABLES}PRAGMA user_version = 1;COMMIT;")
        db.execute("ATTACH ? AS present", (str(present),))
        for table in COPIED:
            db.execute(f"INSERT INTO {table} SELECT * FROM present.{table}")
        db.executemany("INSERT INTO trace VALUES (?, ?)", TRACES.items())
        db.execute("INSERT INTO reply VALUES ('key', '{}')")
        db.execute("INSERT INTO spend VALUES ('2026-01-31', 0.5)")
