"""The system of record: one SQLite file per workspace, from which all else can be rebuilt."""

from ctxeng.store.lock import writer_lock
from ctxeng.store.store import SqliteStore, open_store

__all__ = ["SqliteStore", "open_store", "writer_lock"]
