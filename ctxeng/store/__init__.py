"""The system of record: one SQLite file per workspace, from which all else can be rebuilt."""

from ctxeng.store.lock import writer_lock
from ctxeng.store.replies import Replies
from ctxeng.store.store import SqliteStore, open_store

__all__ = ["Replies", "SqliteStore", "open_store", "writer_lock"]
