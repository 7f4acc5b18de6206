"""Conversations: their turns, in order and never edited, and the state that goes on with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from ctxeng.store.connections import Connections
from ctxeng.types import Message, Scope

TURNS_SINCE = 2
"""Version of the schema."""


class Turns:
    """The part of the record that conversations write."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def of(self, scope: Scope, session: str, *, after: int) -> list[Message]:
        with self._connections.read(since=TURNS_SINCE) as db:
            rows = db.execute(
                "SELECT message FROM turn WHERE scope = ? AND session = ? AND number > ? "
                "ORDER BY number",
                (scope.key, session, after),
            ).fetchall()
        return [Message.model_validate_json(row[0]) for row in rows]

    def add(self, scope: Scope, session: str, messages: Sequence[Message]) -> int:
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        rows = [message.model_dump_json() for message in messages]
        with self._connections.write() as db:
            (last,) = db.execute(
                "SELECT coalesce(max(number), 0) FROM turn WHERE scope = ? AND session = ?",
                (scope.key, session),
            ).fetchone()
            db.executemany(
                "INSERT INTO turn (scope, session, number, message, time) VALUES (?, ?, ?, ?, ?)",
                [
                    (scope.key, session, number, row, now)
                    for number, row in enumerate(rows, start=last + 1)
                ],
            )
        return int(last) + len(rows)

    def state(self, scope: Scope, session: str) -> str | None:
        with self._connections.read(since=TURNS_SINCE) as db:
            row = db.execute(
                "SELECT state FROM session WHERE scope = ? AND id = ?", (scope.key, session)
            ).fetchone()
        return None if row is None else str(row[0])

    def put_state(self, scope: Scope, session: str, state: str) -> None:
        with self._connections.write() as db:
            db.execute(
                "INSERT OR REPLACE INTO session VALUES (?, ?, ?)", (scope.key, session, state)
            )

    def change_state(
        self,
        scope: Scope,
        session: str,
        change: Callable[[str | None], str],
        *,
        archived: Mapping[str, str],
        forget_turns: bool,
    ) -> str:
        wanted = (scope.key, session)
        with self._connections.write() as db:
            row = db.execute(
                "SELECT state FROM session WHERE scope = ? AND id = ?", wanted
            ).fetchone()
            state = change(None if row is None else str(row[0]))
            if state:
                db.execute("INSERT OR REPLACE INTO session VALUES (?, ?, ?)", (*wanted, state))
            else:
                db.execute("DELETE FROM session WHERE scope = ? AND id = ?", wanted)
            if forget_turns:
                db.execute("DELETE FROM turn WHERE scope = ? AND session = ?", wanted)
                db.execute("DELETE FROM archived WHERE scope = ? AND session = ?", wanted)
            db.executemany(
                "INSERT OR REPLACE INTO archived VALUES (?, ?, ?, ?)",
                [(*wanted, name, record) for name, record in archived.items()],
            )
        return state

    def archived(self, scope: Scope, session: str, name: str) -> str | None:
        with self._connections.read(since=TURNS_SINCE) as db:
            row = db.execute(
                "SELECT record FROM archived WHERE scope = ? AND session = ? AND id = ?",
                (scope.key, session, name),
            ).fetchone()
        return None if row is None else str(row[0])

    def sessions(self, scope: Scope) -> list[str]:
        with self._connections.read(since=TURNS_SINCE) as db:
            rows = db.execute(
                "SELECT session FROM turn WHERE scope = ?1 "
                "UNION SELECT id FROM session WHERE scope = ?1 ORDER BY 1",
                (scope.key,),
            ).fetchall()
        return [row[0] for row in rows]

    def remove(self, scope: Scope, session: str) -> bool:
        wanted = (scope.key, session)
        with self._connections.write() as db:
            turns = db.execute("DELETE FROM turn WHERE scope = ? AND session = ?", wanted).rowcount
            states = db.execute("DELETE FROM session WHERE scope = ? AND id = ?", wanted).rowcount
            db.execute("DELETE FROM archived WHERE scope = ? AND session = ?", wanted)
        return turns + states > 0
