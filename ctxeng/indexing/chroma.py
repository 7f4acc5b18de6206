"""Approximate search by Chroma (HNSW) for large workspaces, beside exact search.

Chroma overwrites its files in place: a kill at the wrong moment wedges them for good, and damaged
ones end the process or lose vectors without a word. So they are derived and disposable, and
trusted only while they are, byte for byte, what Chroma last left behind: a flag in the record is
set around every moment in which it writes, and the files' hashes are kept beside it. What is not
trusted is thrown away and made anew from the vectors of the record, into a folder of a new name.
Until then, and in every other process (two in one folder lose vectors), exact search answers.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import urlsplit

import numpy as np
from filelock import FileLock, Timeout

from ctxeng.errors import BackendError, ConfigError, CtxengError, WorkspaceError
from ctxeng.indexing.dense import ExactIndex
from ctxeng.protocols import Match, OnProgress, Progress, Stopped, Store, Vectors
from ctxeng.types import Query, sha256

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.collection_configuration import CreateCollectionConfiguration
    from chromadb.api.models.Collection import Collection

logger = logging.getLogger(__name__)

BATCH = 500
HNSW = {"space": "cosine", "max_neighbors": 16, "ef_construction": 100, "ef_search": 100}
"""Recall .9997 of the exact ten best at 100,000 vectors of 384."""


@dataclass(frozen=True, slots=True)
class _State:
    """What the record remembers of one model's collections."""

    name: str
    """Of their folder, and the beginning of their own names."""
    change: int = 0
    version: int = 0
    dirty: bool = True
    """Chroma was writing, or could have been."""
    made_by: str = ""
    files: dict[str, str] = field(default_factory=dict)
    """Hash of each file as Chroma left it."""

    @property
    def reached(self) -> tuple[int, int]:
        return self.change, self.version


class Home(Protocol):
    """Where the collections live."""

    def claim(self) -> bool:
        """Whether this process may use them."""
        ...

    def connect(self, name: str) -> Client: ...
    def fingerprint(self, name: str) -> dict[str, str]:
        """Hash by file, of what must not change behind our back."""
        ...

    def discard(self, name: str) -> None:
        """Throw the collections of this name away."""
        ...

    def leave(self) -> None: ...


class Folder:
    """Files of the workspace, used by one process at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # Claimed by one thread, used and left by others.
        self._lock = FileLock(root / "owner.lock", timeout=0, thread_local=False)

    def claim(self) -> bool:
        if self._lock.is_locked:
            return True
        self._root.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            return False
        return True

    def connect(self, name: str) -> Client:
        import chromadb
        from chromadb.config import Settings

        settings = Settings(anonymized_telemetry=False)
        return cast("Client", chromadb.PersistentClient(str(self._root / name), settings=settings))

    def fingerprint(self, name: str) -> dict[str, str]:
        folder = self._root / name
        return {
            path.relative_to(folder).as_posix(): _digest(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def discard(self, name: str) -> None:
        if (self._root / name).exists():
            shutil.rmtree(self._root / name)

    def leave(self) -> None:
        self._lock.release()


class Server:
    """A Chroma server: it looks after its own files, and many processes may ask it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(f"indexing.chroma_url: {url!r} is no address like http://host:8000.")
        self._host = parts.hostname
        self._ssl = parts.scheme == "https"
        self._port = parts.port or (443 if self._ssl else 8000)

    def claim(self) -> bool:
        return True

    def connect(self, name: str) -> Client:
        import chromadb
        from chromadb.config import Settings

        settings = Settings(anonymized_telemetry=False)
        client = chromadb.HttpClient(self._host, self._port, ssl=self._ssl, settings=settings)
        return cast("Client", client)

    def fingerprint(self, name: str) -> dict[str, str]:
        return {}

    def discard(self, name: str) -> None:
        client = self.connect(name)
        for collection in client.list_collections():
            if collection.name.startswith(f"{name}-"):
                client.delete_collection(collection.name)

    def leave(self) -> None:
        """Nothing is held."""


class ChromaIndex:
    """Cosines by HNSW for what is in Chroma and up to date, exact ones for everything else.

    A query with a filter is answered exactly: under one, HNSW may miss what it should find.
    """

    def __init__(self, store: Store, model: str, home: Home, *, above: int = 0) -> None:
        """``above``: workspaces of at most so many vectors are left to exact search."""
        self._store = store
        self._model = model
        self._home = home
        self._above = above
        self._exact = ExactIndex(store, model)
        self._key = f"chroma {model}"
        self._client: Client | None = None
        self._state: _State | None = None
        self._refused: _State | None = None
        """Collections that were not to be trusted: they are not tried again."""
        self._lock = threading.RLock()
        self.problem = ""
        """Why exact search answers; empty where Chroma does, or is not wanted."""

    @property
    def name(self) -> str:
        return "chroma" if self._ready(self._store.vector_state(self._model)) else "exact"

    def search(self, vector: Vectors, query: Query, limit: int) -> list[Match]:
        state = self._store.vector_state(self._model)
        if limit <= 0:
            return []
        if query.filter or not self._ready(state):
            return self._exact.search(vector, query, limit)
        try:
            return self._ask(vector, query, limit)
        except Exception as error:
            with self._lock:
                self._let_go(f"a search failed: {type(error).__name__}: {error}")
            return self._exact.search(vector, query, limit)

    def _ask(self, vector: Vectors, query: Query, limit: int) -> list[Match]:
        assert self._client is not None
        assert self._state is not None
        collection = self._collection(self._client, self._state, query.scope.key)
        found = collection.query(vector[np.newaxis], n_results=limit, include=["distances"])
        distances = (found["distances"] or [[]])[0]
        matches = [
            Match(chunk_id, 1 - float(distance), {})
            for chunk_id, distance in zip(found["ids"][0], distances, strict=True)
        ]
        return sorted(matches, key=lambda match: (-match.score, match.chunk_id))

    # -- following the store

    def sync(self, *, stopped: Stopped, on_progress: OnProgress) -> None:
        """Bring the collections up to the record; make them anew where they cannot be trusted.

        Stopped early, it throws its work away: exact search goes on.
        """
        with self._lock:
            if self._ready(self._store.vector_state(self._model)) or not self._wanted():
                return
            try:
                if not self._home.claim():
                    self.problem = "another process uses the dense index"
                    return
                self._bring_up(stopped, on_progress)
            except Exception as error:
                self._let_go(f"could not be written: {type(error).__name__}: {error}")

    def _wanted(self) -> bool:
        ids, _ = self._store.changed_vectors(self._model, (0, 0))
        return len(ids) > self._above

    def _bring_up(self, stopped: Stopped, on_progress: OnProgress) -> None:
        if self._client is None:
            stored = self._stored()
            if stored is None or not self._take_up(stored):
                self._begin_anew(stored)
        client, state = self._client, self._state
        assert client is not None
        assert state is not None
        changed, reached = self._store.changed_vectors(self._model, state.reached)
        state = self._save(replace(state, dirty=True))
        done = 0
        for scope, rows in groupby(changed, key=itemgetter(0)):
            collection = self._collection(client, state, scope)
            ids = (chunk_id for _, chunk_id in rows)
            while batch := list(islice(ids, BATCH)):
                if stopped():
                    self._let_go("its making was stopped")
                    return
                self._put(collection, scope, batch)
                done += len(batch)
                on_progress(Progress("dense index", done, len(changed)))
            _settle(collection)
        self._trust(state, reached)

    def _put(self, collection: Collection, scope: str, chunk_ids: Sequence[str]) -> None:
        """The present state of each chunk decides."""
        found, vectors = self._store.vectors_of(scope, self._model, chunk_ids)
        gone = set(chunk_ids).difference(found)
        if gone:
            collection.delete(sorted(gone))
        if found:
            collection.upsert(found, embeddings=vectors)

    def _collection(self, client: Client, state: _State, scope: str) -> Collection:
        configuration = cast("CreateCollectionConfiguration", {"hnsw": HNSW})
        return client.get_or_create_collection(
            f"{state.name}-{sha256(scope)[:24]}",
            configuration=configuration,
            embedding_function=None,  # the default one downloads a model
        )

    # -- whom to trust

    def _ready(self, state: tuple[int, int]) -> bool:
        """Whether Chroma holds just this state. Never waits for a sync that goes on."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._client is None:
                self._reopen(state)
            held = self._state
            return self._client is not None and held is not None and held.reached == state
        finally:
            self._lock.release()

    def _reopen(self, state: tuple[int, int]) -> None:
        """Take up what an earlier process left, where it is of this state and nobody uses it."""
        stored = self._stored()
        if stored is None or stored == self._refused or stored.reached != state:
            return
        try:
            if not self._home.claim() or self._take_up(stored):
                return
        except Exception as error:
            self._let_go(f"could not be opened: {type(error).__name__}: {error}")
        self._refused = self._stored()

    def _take_up(self, state: _State) -> bool:
        """Open the collections if they are, byte for byte, what Chroma left behind."""
        if state.dirty or state.made_by != version("chromadb"):
            self.problem = "is to be made anew: it was being written when its process ended"
            return False
        if state.files != self._home.fingerprint(state.name):
            self.problem = "is to be made anew: its files are damaged"
            return False
        # Should opening them end the process, the next one will not try again.
        self._state = self._save(replace(state, dirty=True))
        self._client = self._home.connect(state.name)
        for collection in self._client.list_collections(limit=1):
            _settle(collection)
        self._trust(self._state, state.reached)
        return True

    def _begin_anew(self, old: _State | None) -> None:
        if old is not None:
            self._home.discard(old.name)
        state = _State(name=secrets.token_hex(6), made_by=version("chromadb"))
        self._state = self._save(state)
        self._client = self._home.connect(state.name)

    def _trust(self, state: _State, reached: tuple[int, int]) -> None:
        change, vectors = reached
        files = self._home.fingerprint(state.name)
        self._state = self._save(
            replace(state, change=change, version=vectors, dirty=False, files=files)
        )
        self.problem = ""
        self._exact.close()  # its matrix is not needed meanwhile

    def _stored(self) -> _State | None:
        stored = self._store.get_meta(self._key)
        return None if stored is None else _State(**json.loads(stored))

    def _save(self, state: _State) -> _State:
        self._store.set_meta(self._key, json.dumps(asdict(state)))
        return state

    def _let_go(self, why: str) -> None:
        """Touch these files no more; by what the record says of them the next sync starts anew."""
        self.problem = why
        state = self._state
        self._disconnect()
        if state is None:
            return
        self._refused = replace(state, dirty=True)
        try:
            self._save(self._refused)
        except WorkspaceError as error:
            # A full disk must not keep exact search from answering; what was being written is
            # marked so already.
            logger.warning("%s", error)

    def _disconnect(self) -> None:
        client, self._client, self._state = self._client, None, None
        if client is not None:
            client.close()

    def close(self) -> None:
        with self._lock:
            self._disconnect()
            self._home.leave()
            self._exact.close()


@contextmanager
def _translated() -> Iterator[None]:
    """What Chroma and the way to its server raise, as ours; its panics are no ``Exception``."""
    try:
        yield
    except CtxengError:
        raise
    except BaseException as error:
        import httpx
        from chromadb.errors import ChromaError

        known = (ChromaError, httpx.HTTPError, OSError, ValueError, RuntimeError)
        if not isinstance(error, known) and type(error).__name__ != "PanicException":
            raise
        raise BackendError(f"{type(error).__name__}: {error}") from error


def _settle(collection: Collection) -> None:
    """A query makes Chroma do what it has put off."""
    some = collection.peek(limit=1)["embeddings"]
    if some is not None and len(some):
        collection.query(np.asarray(some)[:1], n_results=1, include=[])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
