"""One tantivy index on disk or in memory, which knows how far it is and whether it is whole.

The number of the last change that it took in, its row count and a checksum of its ids live in a
sentinel document of the same commit: an index that lost its ``meta.json`` opens as an empty one
without an error, and only they tell.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ctxeng.errors import WorkspaceError
from ctxeng.indexing.checksums import damaged_file, note_as_whole
from ctxeng.protocols import Change
from ctxeng.text.terms import ANALYZER, identifier, terms

if TYPE_CHECKING:
    import tantivy

Places = Sequence["tantivy.DocAddress"]

SENTINEL = "\0state"
HEAP_BYTES = 128_000_000
MAX_ATTRIBUTE = 500
"""Characters of a filterable value; longer ones are compared by their beginning."""


@dataclass(frozen=True, slots=True)
class State:
    applied: int = 0
    rows: int = 0
    checksum: int = 0


class Table:
    """Rows with a body of terms, filters, and for code the identifiers that they define."""

    def __init__(self, folder: Path | None, *, read_only: bool = False) -> None:
        self._folder = folder
        self._read_only = read_only
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        # Before tantivy opens them: over some it would panic, which prints a trace.
        self._open(damaged_file=self.damaged_file())

    def _open(self, *, damaged_file: str = "") -> None:
        self._stamp = self._meta_stamp()
        self.state = State()
        self.damage = f"has a damaged file: {damaged_file}" if damaged_file else ""
        """Why it must be rebuilt; empty while it is whole."""
        if self.damage:
            return
        try:
            with self._translated():
                self._index = self._make()
                self._index.reload()
                self._searcher = self._index.searcher()
                self.state = self._read_state()
        except (KeyError, TypeError, WorkspaceError) as error:
            self.damage = f"cannot be opened: {error.__cause__ or error}"
            return
        if self._searcher.num_docs and self._searcher.num_docs != self.state.rows + 1:
            self.damage = f"has {self._searcher.num_docs - 1} rows, should have {self.state.rows}"

    def damaged_file(self, *, read_all: bool = False) -> str:
        """Name of a file whose bytes are not those that were written; empty: there is none."""
        return "" if self._folder is None else damaged_file(self._folder, read_all=read_all)

    @property
    def searcher(self) -> tantivy.Searcher:
        """Of the last commit that was seen.

        Raises:
            WorkspaceError: the index is damaged.
        """
        if self.damage:
            raise WorkspaceError(
                f"{self._folder}: the lexical index {self.damage}. Nothing is lost: it is made "
                "anew from the record by the next `ctxeng index`, or by opening the workspace "
                "where it may be written."
            )
        return self._searcher

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

    @property
    def schema(self) -> tantivy.Schema:
        return self._index.schema

    def _read_state(self) -> State:
        found = self._find(SENTINEL)
        if found is None:
            return State()
        values = json.loads(str(found["state"][0]))
        if values.pop("analyzer") != ANALYZER:
            raise ValueError("was made by another analyzer")
        return State(**values)

    def search(self, query: tantivy.Query, limit: int) -> tuple[list[float], list[int], Places]:
        """Scores of the best rows, numbers of their documents, and where the rows are.

        Raises:
            WorkspaceError: the files are damaged.
        """
        with self._translated():
            hits = self._searcher.search(query, max(1, limit), count=False).hits
            places = [place for _, place in hits]
            documents = self._searcher.fast_field_values("document", places)
        return [float(score) for score, _ in hits], cast("list[int]", documents), places

    def ids(self, places: Places) -> list[str]:
        """Ids of rows. Raises as ``search``."""
        with self._translated():
            return [self._searcher.doc(place)["id"][0].decode() for place in places]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Tantivy's errors as ours; its panics are no ``Exception`` and would end event loops."""
        try:
            yield
        except BaseException as error:
            if type(error).__name__ != "PanicException" and not isinstance(
                error, ValueError | OSError
            ):
                raise
            raise WorkspaceError(
                f"{self._folder}: the lexical index failed: {error}. Nothing is lost: free space "
                "or check the disk, then run `ctxeng index` or `ctxeng reindex`."
            ) from error

    def _find(self, key: str) -> Mapping[str, list[object]] | None:
        import tantivy

        wanted = tantivy.Query.term_query(self.schema, "key", key)
        with self._translated():
            hits = self._searcher.search(wanted, 1, count=False).hits
            return self._searcher.doc(hits[0][1]).to_dict() if hits else None

    def apply(self, changes: Sequence[Change], upto: int) -> None:
        """Delete, then put, each changed row; commit them with the new state.

        Raises:
            WorkspaceError: tantivy could not write; what it held before is kept.
        """
        import tantivy

        rows, checksum = self.state.rows, self.state.checksum
        with self._translated():
            writer = self._index.writer(heap_size=HEAP_BYTES, num_threads=1)
            try:
                # A kill between a .del file and meta.json wedges every later commit without this.
                writer.garbage_collect_files()
                for change in changes:
                    key = row_key(change.scope, change.id)
                    existed = self._find(key) is not None
                    if existed:
                        writer.delete_documents_by_term("key", key)
                    if change.text is not None:
                        writer.add_document(_row(change, change.text))
                    if existed != (change.text is not None):
                        rows += 1 if change.text is not None else -1
                        checksum ^= _hash(change.id)
                state = State(applied=upto, rows=rows, checksum=checksum)
                writer.delete_documents_by_term("key", SENTINEL)
                shown = {**_as_dict(state), "analyzer": ANALYZER}
                writer.add_document(tantivy.Document(key=SENTINEL, state=json.dumps(shown)))
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
        self._searcher = self._index.searcher()
        self.state = self._read_state()

    def refresh_if_changed(self) -> None:
        """Cheap: one stat. While a writer makes the index anew, what was seen last is kept."""
        stamp = self._meta_stamp()
        if stamp is not None and stamp != self._stamp:
            self._open()

    def _meta_stamp(self) -> tuple[int, int] | None:
        if self._folder is None:
            return None
        try:
            found = (self._folder / "meta.json").stat()
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


def _as_dict(state: State) -> dict[str, int]:
    return {"applied": state.applied, "rows": state.rows, "checksum": state.checksum}


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
