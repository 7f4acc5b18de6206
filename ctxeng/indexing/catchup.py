"""Derived indexes follow the store: what they lack is taken in, what is damaged is made anew."""

from __future__ import annotations

from dataclasses import dataclass

from ctxeng.indexing.lexical import TantivyIndex
from ctxeng.indexing.table import checksum_of
from ctxeng.store import SqliteStore

WINDOW = 40_000
"""Changes in one commit."""


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What a catch-up did."""

    changes: int
    rebuilt: str = ""
    """Why everything was made anew; empty where it was not."""


def catch_up(store: SqliteStore, index: TantivyIndex, *, verify: bool = False) -> CaughtUp:
    """Bring the lexical index up to the store.

    The present state of each changed thing is looked up, so neither order nor repetition matters.

    Args:
        verify: also compare all ids, as after an unclean end.
    """
    index.refresh()  # another engine may have written since this one looked
    rebuilt = _damage(store, index, verify=verify)
    if rebuilt:
        index.reset()
    taken = _take_in(store, index)
    if taken and not rebuilt and (rebuilt := _damage(store, index, verify=verify)):
        index.reset()  # it was behind, and of another workspace
        taken = _take_in(store, index)
    return CaughtUp(taken, rebuilt)


def _take_in(store: SqliteStore, index: TantivyIndex) -> int:
    taken = 0
    while True:
        changes, number = store.changes(index.applied, WINDOW)
        if number == index.applied:
            return taken
        index.apply(changes, upto=number)
        taken += len(changes)


def _damage(store: SqliteStore, index: TantivyIndex, *, verify: bool) -> str:
    if index.damage:
        return index.damage
    last = store.last_change()
    if index.applied > last:
        return f"is ahead of the store ({index.applied} of {last} changes)"
    if index.applied == last:
        total = store.chunk_count()
        if index.rows != total:
            return f"has {index.rows} chunks, the store {total}"
        if verify and index.checksum != checksum_of(store.chunk_ids()):
            return "holds other chunks than the store"
    return ""
