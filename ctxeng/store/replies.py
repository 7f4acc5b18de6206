"""What models have replied, kept to be given again, and what they have cost, by day."""

from __future__ import annotations

from ctxeng.store.connections import Connections


class Replies:
    """The part of the record that generation writes."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def get_reply(self, key: str) -> str | None:
        with self._connections.read() as db:
            row = db.execute("SELECT payload FROM reply WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put_reply(self, key: str, payload: str) -> None:
        with self._connections.write() as db:
            db.execute("INSERT OR REPLACE INTO reply VALUES (?, ?)", (key, payload))

    def reserve_spend(self, day: str, amount: float, limit: float | None) -> bool:
        """Put ``amount`` aside, unless the day's sum would go over ``limit``; for all processes."""
        with self._connections.write() as db:
            row = db.execute("SELECT amount FROM spend WHERE day = ?", (day,)).fetchone()
            total = (row[0] if row else 0.0) + amount
            if limit is not None and total > limit:
                return False
            db.execute("INSERT OR REPLACE INTO spend VALUES (?, ?)", (day, total))
            return True

    def settle_spend(self, day: str, difference: float) -> None:
        with self._connections.write() as db:
            db.execute("UPDATE spend SET amount = amount + ? WHERE day = ?", (difference, day))

    def spent(self, day: str) -> float:
        """Money of one day (UTC, ``2026-01-31``)."""
        with self._connections.read() as db:
            row = db.execute("SELECT amount FROM spend WHERE day = ?", (day,)).fetchone()
        return float(row[0]) if row else 0.0
