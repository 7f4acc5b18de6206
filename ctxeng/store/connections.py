"""SQLite connections: many readers, one writer, and errors that say what to do."""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ctxeng.errors import WorkspaceBusyError, WorkspaceError
from ctxeng.store.schema import prepare, require

BUSY_MS = 10_000
"""How long a write waits for another process's."""
IMPATIENT_MS = 20
"""How long one waits that can be made later."""


class Connections:
    """Lends connections to threads.

    A file is read through a pool, so that readers run beside the writer (WAL). A workspace in
    memory has one connection, which its users take in turns.
    """

    def __init__(self, file: Path | None, *, read_only: bool) -> None:
        self._file = file
        self.read_only = read_only
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._turn = threading.RLock()
        self._closed = False
        self._opened: os.stat_result | None = None
        with self._translated():
            self._writer = self._connect(make=not read_only)
            self._opened = None if file is None else file.stat()
            try:
                prepare(self._writer, self.name, read_only=read_only)
                if not read_only:
                    _write_ahead(self._writer)
            except BaseException:
                self._writer.close()
                raise

    @property
    def name(self) -> str:
        return str(self._file) if self._file else ":memory:"

    @contextmanager
    def read(self, *, since: int = 1) -> Iterator[sqlite3.Connection]:
        """A connection inside one read transaction: everything read is of one state.

        Args:
            since: version of the schema that what is read came with.
        """
        with self._translated():
            if self._file is None:
                with self._turn:
                    self._refuse_closed()
                    yield self._writer
                return
            connection = self._borrow()
            try:
                connection.execute("BEGIN")
                if self.read_only and since > 1:
                    require(connection, self.name, since)
                yield connection
            finally:
                connection.rollback()
                if self._closed or self._frozen():  # closed since it was lent
                    connection.close()
                else:
                    self._idle.put(connection)

    @contextmanager
    def write(self, *, wait: bool = True) -> Iterator[sqlite3.Connection]:
        """A connection inside one write transaction: committed at the end, or rolled back whole.

        Args:
            wait: for who is writing: for threads of ours until they are done, for other processes
                ten seconds.

        Raises:
            WorkspaceBusyError: waited in vain.
        """
        with self._translated(), self._my_turn(wait):
            self._refuse_closed()
            self._refuse_moved()
            self._begin_writing(wait)
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def _my_turn(self, wait: bool) -> Iterator[None]:
        if not self._turn.acquire(timeout=-1 if wait else IMPATIENT_MS / 1_000):
            raise WorkspaceBusyError(f"{self.name}: another thread is writing it.")
        try:
            yield
        finally:
            self._turn.release()

    def _begin_writing(self, wait: bool) -> None:
        if wait:
            self._writer.execute("BEGIN IMMEDIATE")
            return
        self._writer.execute(f"PRAGMA busy_timeout = {IMPATIENT_MS}")
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        finally:
            self._writer.execute(f"PRAGMA busy_timeout = {BUSY_MS}")

    def close(self) -> None:
        with self._turn:
            self._closed = True
            while not self._idle.empty():
                self._idle.get_nowait().close()
            self._writer.close()

    def _borrow(self) -> sqlite3.Connection:
        self._refuse_closed()
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return self._connect()

    def _frozen(self) -> bool:
        """Whether the file can only be read as it lies there: SQLite writes beside it even to
        read, and here it may not. Such a connection would not notice a writer, so it serves once.
        """
        if self._file is None or not self.read_only or os.access(self._file.parent, os.W_OK):
            return False
        return not self._file.with_name(f"{self._file.name}-wal").exists()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise WorkspaceError(f"{self.name}: the engine is closed; open it again.")

    def _refuse_moved(self) -> None:
        """What is written to a file that has been deleted is written to nowhere."""
        if self._file is None or self._opened is None:
            return
        try:
            same = os.path.samestat(self._opened, self._file.stat())
        except FileNotFoundError:
            same = False
        if not same:
            raise WorkspaceError(
                f"{self.name}: was deleted or replaced while it was open. Open the workspace again."
            )

    def _connect(self, *, make: bool = False) -> sqlite3.Connection:
        if self._file is None:
            target = ":memory:"
        else:
            mode = "rwc" if make else "ro" if self.read_only else "rw"
            mode += "&immutable=1" if self._frozen() else ""
            target = f"{self._file.resolve().as_uri()}?mode={mode}"
        connection = sqlite3.connect(
            target,
            uri=self._file is not None,
            timeout=BUSY_MS / 1_000,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA foreign_keys = ON")
        if not self.read_only:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """SQLite's errors as ours."""
        try:
            yield
        except UnicodeEncodeError as error:
            raise WorkspaceError(
                f"{self.name}: {error.object!a} cannot be stored or looked up: it holds a lone "
                "surrogate, which is no text."
            ) from error
        except sqlite3.Error as error:
            message = str(error)
            if "locked" in message:
                raise WorkspaceBusyError(f"{self.name}: another process is writing it.") from error
            if "full" in message or "I/O" in message:
                raise WorkspaceError(
                    f"{self.name}: {message}. What was written before is kept; free space or check "
                    "the disk, then run the command again."
                ) from error
            if "readonly" in message or "unable to open" in message:
                raise WorkspaceError(
                    f"{self.name}: {message}. Check the permissions and the space on the disk, or "
                    "open it read-only."
                ) from error
            if "Could not decode" in message:  # it goes on with the whole text
                raise WorkspaceError(damaged(self.name, "a text is not UTF-8")) from error
            if isinstance(error, sqlite3.DatabaseError) and (
                "malformed" in message or "not a database" in message
            ):
                raise WorkspaceError(damaged(self.name, message)) from error
            if isinstance(error, sqlite3.OperationalError):
                raise WorkspaceError(
                    f"{self.name}: SQLite: {message}. Run `ctxeng doctor`, which reads all of it."
                ) from error
            raise


def damaged(name: str, why: str) -> str:
    return (
        f"{name}: damaged: {why}. Nothing was overwritten. Restore the file from a backup, or "
        "delete the workspace folder and index again."
    )


def _write_ahead(connection: sqlite3.Connection) -> None:
    """WAL, which the file remembers: readers run beside the writer."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        # Another process that opens the new file at this moment switches it.
        if "locked" not in str(error):
            raise


def quick_check(connections: Connections) -> str:
    """``ok``, or what SQLite finds wrong; reads the whole file."""
    with connections.read() as connection, closing(connection.cursor()) as cursor:
        rows = cursor.execute("PRAGMA quick_check(5)").fetchall()
    return "; ".join(" ".join(str(row[0]).split()) for row in rows)  # a finding may have lines
