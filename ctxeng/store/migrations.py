"""How older workspaces are brought up to the present schema: one step from each version to the
next, as it was when that next version came. A step is never edited.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping


def _from_1(db: sqlite3.Connection) -> None:
    """Traces get a scope, a time, and texts that they share; conversations come in.

    Version 1 did not say whose a trace was: where all sources are of one scope it is that one's,
    elsewhere nobody's, so that no other scope can read it.
    """
    db.execute("ALTER TABLE trace RENAME TO trace_1")
    db.execute(
        """
        CREATE TABLE trace (
            row INTEGER PRIMARY KEY,
            scope TEXT NOT NULL,
            id TEXT NOT NULL,
            verb TEXT NOT NULL,
            time TEXT NOT NULL,
            runs INTEGER NOT NULL,
            summary TEXT NOT NULL,
            payload BLOB NOT NULL,
            UNIQUE (scope, id)
        )
        """
    )
    db.execute("CREATE INDEX trace_by_time ON trace (scope, time)")
    db.execute(
        """
        CREATE TABLE text (
            row INTEGER PRIMARY KEY,
            hash BLOB NOT NULL UNIQUE,
            body BLOB NOT NULL
        )
        """
    )
    db.execute(
        """
        CREATE TABLE trace_text (
            trace INTEGER NOT NULL REFERENCES trace (row) ON DELETE CASCADE,
            text INTEGER NOT NULL REFERENCES text (row),
            PRIMARY KEY (trace, text)
        ) WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX trace_text_by_text ON trace_text (text)")
    db.execute(
        """
        INSERT INTO trace (scope, id, verb, time, runs, summary, payload)
        SELECT
            (SELECT CASE WHEN count(DISTINCT scope) = 1 THEN min(scope) ELSE '' END FROM source),
            id,
            coalesce(CASE WHEN json_valid(payload) THEN json_extract(payload, '$.verb') END, ''),
            strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now'),
            1,
            '',
            CAST(payload AS BLOB)
        FROM trace_1
        """
    )
    db.execute("DROP TABLE trace_1")
    db.execute(
        """
        CREATE TABLE turn (
            scope TEXT NOT NULL,
            session TEXT NOT NULL,
            number INTEGER NOT NULL,
            message TEXT NOT NULL,
            time TEXT NOT NULL,
            PRIMARY KEY (scope, session, number)
        )
        """
    )
    db.execute(
        """
        CREATE TABLE session (
            scope TEXT NOT NULL,
            id TEXT NOT NULL,
            state TEXT NOT NULL,
            PRIMARY KEY (scope, id)
        )
        """
    )
    db.execute(
        """
        CREATE TABLE archived (
            scope TEXT NOT NULL,
            session TEXT NOT NULL,
            id TEXT NOT NULL,
            record TEXT NOT NULL,
            PRIMARY KEY (scope, session, id)
        )
        """
    )
    db.execute("PRAGMA user_version = 2")


STEPS: Mapping[int, Callable[[sqlite3.Connection], None]] = {1: _from_1}
"""By the version that a step starts from."""


def migrate(db: sqlite3.Connection, to: int) -> None:
    """Bring the file up to a version, all of it or nothing, in one transaction.

    Another process may be at it too: who comes second finds it done.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        for step in range(version, to):
            STEPS[step](db)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
