"""One tantivy index on disk or in memory, which knows how far it is and whether it is whole.

The number of the last change that it took in, its row count and a checksum of its ids live in a
sentinel document of the same commit: an index that lost its ``meta.json`` opens as an empty one
without an error, and only they tell.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ctxeng.errors import WorkspaceError
from ctxeng.indexing.checksums import damaged_file, note_as_whole
from ctxeng.indexing.view import SENTINEL, State, View, translated
from ctxeng.protocols import Change
from ctxeng.text.terms import identifier, terms

if TYPE_CHECKING:
    import tantivy

HEAP_BYTES = 128_000_000
MAX_ATTRIBUTE = 500
"""Characters of a filterable value; longer ones are compared by their beginning."""


class Table:
    """Rows with a body of terms, filters, and for code the identifiers that they define."""

    def __init__(self, folder: Path | None, *, read_only: bool = False) -> None:
        self._folder = folder
        self._name = str(folder)
        self._meta = None if folder is None else folder / "meta.json"
        self._read_only = read_only
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        # Before tantivy opens them: over some it would panic, which prints a trace.
        self._open(damaged_file=self.damaged_file())

    def _open(self, *, damaged_file: str = "") -> None:
        self._stamp = self._meta_stamp()
        self._view, self.damage = self._opened(damaged_file)
        """What searches see, and why all must be rebuilt: empty while it is whole."""

    def _opened(self, damaged_file: str) -> tuple[View | None, str]:
        if damaged_file:
            return None, f"has a damaged file: {damaged_file}"
        try:
            with translated(self._name):
                self._index = self._make()
                self._index.reload()
            view = View(self._index, self._name)
        except (KeyError, TypeError, WorkspaceError) as error:
            return None, f"cannot be opened: {error.__cause__ or error}"
        if view.num_docs and view.num_docs != view.state.rows + 1:
            return view, f"has {view.num_docs - 1} rows, should have {view.state.rows}"
        return view, ""

    @property
    def state(self) -> State:
        return State() if self._view is None else self._view.state

    def damaged_file(self, *, read_all: bool = False) -> str:
        """Name of a file whose bytes are not those that were written; empty: there is none."""
        return "" if self._folder is None else damaged_file(self._folder, read_all=read_all)

    @property
    def view(self) -> View:
        """The last commit that was seen.

        Raises:
            WorkspaceError: the index is damaged.
        """
        if self.damage or self._view is None:
            raise WorkspaceError(
                f"{self._folder}: the lexical index {self.damage}. Nothing is lost: it is made "
                "anew from the record by the next `ctxeng index`, or by opening the workspace "
                "where it may be written."
            )
        return self._view

    def _make(self) -> tantivy.Index:
        import tantivy

        builder = tantivy.SchemaBuilder()
        # Bytes, and no more of them than answers need: a block of many rows is read at once.
        builder.add_bytes_field("id", stored=True, indexed=False)
        builder.add_unsigned_field("number", indexed=True)
        builder.add_unsigned_field("document", fast=True)
        for name in ("key", "scope", "defines", "attribute"):
            builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
        builder.add_text_field("body", tokenizer_name="terms", index_option="freq")
        builder.add_text_field("state", stored=True, tokenizer_name="raw", index_option="basic")
        schema = builder.build()
        place = self._place()
        index = tantivy.Index(schema) if place is None else tantivy.Index(schema, path=str(place))
        # It reloads when we say so. Left to itself, a thread of its own does, and makes lock files
        # in a folder that somebody may be removing.
        index.config_reader(reload_policy="manual")
        analyzer = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        index.register_tokenizer("terms", analyzer)
        return index

    def _place(self) -> Path | None:
        """Where tantivy opens the index. It writes a lock even to read: what may not be written
        is read from a copy.
        """
        if self._folder is None:
            return None
        if self._read_only and not (self._folder / "meta.json").exists():
            raise FileNotFoundError(f"{self._folder} holds no index")
        if self._read_only and not os.access(self._folder, os.W_OK):
            self.close()
            self._copy = tempfile.TemporaryDirectory(prefix="ctxeng-", ignore_cleanup_errors=True)
            for path in self._folder.iterdir():
                shutil.copyfile(path, Path(self._copy.name) / path.name)
            return Path(self._copy.name)
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def close(self) -> None:
        """Throw the copy away; what was read of it can still be searched."""
        if self._copy is not None:
            self._copy.cleanup()

    def apply(self, changes: Sequence[Change], upto: int) -> None:
        """Delete, then put, each changed row; commit them with the new state.

        Raises:
            WorkspaceError: tantivy could not write; what it held before is kept.
        """
        import tantivy

        before = self.view
        rows, checksum = before.state.rows, before.state.checksum
        with translated(self._name):
            writer = self._index.writer(heap_size=HEAP_BYTES, num_threads=1)
            try:
                # A kill between a .del file and meta.json wedges every later commit without this.
                writer.garbage_collect_files()
                for change in changes:
                    key = row_key(change.scope, change.id)
                    existed = before.find(key) is not None
                    if existed:
                        writer.delete_documents_by_term("key", key)
                    if change.text is not None:
                        writer.add_document(_row(change, change.text))
                    if existed != (change.text is not None):
                        rows += 1 if change.text is not None else -1
                        checksum ^= _hash(change.id)
                state = State(applied=upto, rows=rows, checksum=checksum)
                writer.delete_documents_by_term("key", SENTINEL)
                writer.add_document(tantivy.Document(key=SENTINEL, state=state.as_json()))
                writer.commit()
                writer.wait_merging_threads()
            finally:
                del writer  # it locks the index; the traceback of an error would keep it
            self.refresh()
            if self._folder is not None:
                note_as_whole(self._folder)

    def refresh(self) -> None:
        """See the last commit, whoever made it."""
        self._stamp = self._meta_stamp()
        self._index.reload()
        self._view = View(self._index, self._name)

    def refresh_if_changed(self) -> None:
        """Cheap: one stat. While a writer makes the index anew, what was seen last is kept."""
        stamp = self._meta_stamp()
        if stamp is not None and stamp != self._stamp:
            self._open()

    def _meta_stamp(self) -> tuple[int, int] | None:
        if self._meta is None:
            return None
        try:
            found = self._meta.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    def reset(self) -> None:
        """Throw everything away."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._open()
        if self.damage:
            raise WorkspaceError(f"{self._folder}: {self.damage}. Check the disk.")


def checksum_of(ids: Sequence[str]) -> int:
    """Of a set of ids, in any order."""
    checksum = 0
    for item_id in ids:
        checksum ^= _hash(item_id)
    return checksum


def _hash(item_id: str) -> int:
    data = item_id.encode("utf-8", "surrogatepass")
    return zlib.crc32(data) << 32 | zlib.crc32(data, 1)


def row_key(scope: str, item_id: str) -> str:
    """What a row is known by: two scopes may hold the same document, with the same chunk ids."""
    return f"{scope}\0{item_id}"


def row_number(scope: str, item_id: str) -> int:
    """Its key as a number, which is compared without reading the row: 63 bits of its sha256."""
    digest = hashlib.sha256(row_key(scope, item_id).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) >> 1


def attribute_term(key: str, value: str) -> str:
    return f"{key}\0{value}"[:MAX_ATTRIBUTE]


def _row(change: Change, text: str) -> tantivy.Document:
    import tantivy

    row = tantivy.Document()
    row.add_text("key", row_key(change.scope, change.id))
    row.add_text("scope", change.scope)
    row.add_bytes("id", change.id.encode())
    row.add_unsigned("number", row_number(change.scope, change.id))
    row.add_unsigned("document", row_number(change.scope, change.document_id))
    row.add_text("body", " ".join(terms(text)))
    for name in change.defines:
        row.add_text("defines", identifier(name))
    for key, values in change.attributes.items():
        for value in values:
            row.add_text("attribute", attribute_term(key, value))
    return row
