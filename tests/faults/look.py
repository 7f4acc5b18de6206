"""Compares what a workspace holds and finds with what it must hold."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from world import State, own_terms

from ctxeng import Engine
from ctxeng.types import Query

FILE = "store.sqlite3"


@dataclass(frozen=True)
class Problem:
    kind: Literal["lost", "doubled", "ghost", "other"]
    """``ghost``: found although it was deleted or replaced."""
    what: str


def record(workspace: Path, folder: Path) -> list[tuple[str, str]]:
    """(key, text) of every stored document, read without ctxeng."""
    with closing(sqlite3.connect(workspace / FILE)) as db:
        rows = db.execute(
            "SELECT path, text FROM document JOIN source ON source.row = document.source"
        ).fetchall()
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    return [(path.removeprefix(f"{folder.as_posix()}/"), text) for path, text in rows]


def everything(workspace: Path, folder: Path) -> dict[str, list[Any]]:
    """All that a workspace says, in fixed order and without row numbers, to be compared."""
    with closing(sqlite3.connect(workspace / FILE)) as db:

        def rows(statement: str) -> list[Any]:
            return sorted(db.execute(statement).fetchall(), key=repr)

        vectors = rows("SELECT hex(text_hash), model, vector FROM vector")
        return {
            "sources": rows("SELECT path, hash, why FROM source"),
            "documents": rows(
                "SELECT path, id, record, text, attributes FROM document "
                "JOIN source ON source.row = document.source"
            ),
            "chunks": rows(
                "SELECT document.id, chunk.id, position, chunk.text, prefix, start, line, "
                "heading_path, tokens, defines, hex(text_hash) FROM chunk "
                "JOIN document ON document.row = chunk.document"
            ),
            "vectors": [(h, model, hashlib.sha256(v).hexdigest()) for h, model, v in vectors],
        }


def problems(
    engine: Engine,
    workspace: Path,
    folder: Path,
    *,
    before: State,
    after: State,
    ever: Iterable[str],
) -> list[Problem]:
    """What is wrong with a workspace that stands at ``before``, at ``after`` or in between.

    Args:
        before: what was acknowledged.
        after: where the move led that was under way; the same where there was none.
        ever: every own term that any state had.
    """
    held = record(workspace, folder)
    found = [*_wrong_in_record(held, before, after)]
    at_home = dict(held)
    found += _wrong_in_lexical(engine, at_home, ever)
    acknowledged = {key for key, text in at_home.items() if before.get(key) == text}
    found += _wrong_in_dense(engine, at_home, acknowledged)
    return found


def _wrong_in_record(held: list[tuple[str, str]], before: State, after: State) -> Iterator[Problem]:
    for key, count in Counter(key for key, _ in held).items():
        if count > 1:
            yield Problem("doubled", f"record: {key} is there {count} times")
    texts = Counter(text for _, text in held)
    for key, text in held:
        if text not in (before.get(key), after.get(key)):
            yield Problem("ghost", f"record: {key} holds what it should not")
        if texts[text] > 1:
            yield Problem("doubled", f"record: the text of {key} is there {texts[text]} times")
    for text in set(before.values()) & set(after.values()):
        if text not in texts:
            yield Problem("lost", f"record: {text[:20]!r}")
    for key in set(before) & set(after):  # changed: the one or the other version
        if key not in dict(held):
            yield Problem("lost", f"record: {key}")


def _wrong_in_lexical(engine: Engine, held: State, ever: Iterable[str]) -> Iterator[Problem]:
    """Every term that ever was is asked for: found once where it must be, else not at all."""
    home = {term: text for text in held.values() for term in own_terms(text)}
    for term in ever:
        hits = engine.search(term, mode="lexical", limit=20)
        with_term = [hit for hit in hits if term in hit.text.split()]
        if len({hit.id for hit in hits}) != len(hits):
            yield Problem("doubled", f"lexical: {term} finds a chunk twice")
        if len(with_term) != len(hits):
            yield Problem("other", f"lexical: {term} finds chunks without it")
        if term not in home and with_term:
            yield Problem("ghost", f"lexical: {term} is still found in {with_term[0].uri}")
        if term in home and not with_term:
            yield Problem("lost", f"lexical: {term} is not found")
        if len(with_term) > 1:
            yield Problem("doubled", f"lexical: {term} is found {len(with_term)} times")
        for hit in with_term:
            if term in home and hit.text not in home[term]:
                yield Problem("other", f"lexical: {term} finds another document's text")


def _wrong_in_dense(engine: Engine, held: State, acknowledged: set[str]) -> Iterator[Problem]:
    """The vector of every chunk is asked for by itself: the chunk comes first, and once.

    What was acknowledged must have a vector; what was under way may still lack one.
    """
    parts = engine._parts
    search = parts.dense()
    owner = {term: key for key, text in held.items() for term in own_terms(text)}
    missing = {term for term, key in owner.items() if key in acknowledged}
    if search is None:
        if missing:
            yield Problem("lost", "dense: no vectors are searched at all")
        return
    ids, vectors = parts.store.vectors(parts.scope, search.embedder.name)
    hits = parts.store.hits(parts.scope, ids)
    for chunk_id, vector in zip(ids, vectors, strict=True):
        found = search.index.search(vector, Query(text="any", scope=parts.scope), 10)
        names = [match.chunk_id for match in found]
        if len(set(names)) != len(names):
            yield Problem("doubled", f"dense: {chunk_id} finds a chunk twice")
        if not names or names[0] != chunk_id:
            yield Problem("lost", f"dense: the vector of {chunk_id} does not find it")
        for name in names:
            if name not in hits:
                yield Problem("ghost", f"dense: {name} is found and not in the record")
        missing.difference_update(own_terms(hits[chunk_id].text))
    for term in missing:
        yield Problem("lost", f"dense: the chunk of {term} has no vector")
