"""All contracts on one page. An implementation is any object that fits: nothing to inherit.

What takes a batch and returns a batch is sync, may block, and is called from a worker thread.
What streams, fans out or must be cancellable is async. The laws in the docstrings are run by
``ctxeng.testing`` on every implementation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ctxeng.types import (
    DEFAULT_OPTIONS,
    Chunk,
    Claim,
    Document,
    GenerationOptions,
    Hit,
    Message,
    Query,
    Route,
    Scope,
    Segment,
    StopReason,
    Strings,
    ToolCall,
    Usage,
)

Vectors = NDArray[np.float32]
"""Shape (n, d), rows of length 1."""

TextKind = Literal["query", "document"]


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` units of one stage; ``total`` is None while unknown."""

    stage: str
    done: int
    total: int | None = None


OnProgress = Callable[[Progress], None]
Stopped = Callable[[], bool]
"""Turns true when the work is to end early; what is done by then is kept."""


class Loader(Protocol):
    """Turns the bytes of one source into documents.

    Laws: same bytes and uri, same id and hash; broken input raises ``LoadError`` with the uri;
    trust is set; no text is invented (marks such as ``#`` and ``|`` are not text).
    """

    def load(self, data: bytes, uri: str) -> Iterable[Document]: ...


class Chunker(Protocol):
    """Cuts a document.

    Laws: ``chunk.text == document.text[start:end]``; spans ascend without overlap; gaps hold only
    white space; ids depend on the document's id and the chunk's text (plus an ordinal among equal
    texts), so that an edit changes only the ids near it. ``name`` changes with every setting that
    changes the cut; it is recorded in the workspace.
    """

    @property
    def name(self) -> str: ...
    def chunk(self, document: Document) -> list[Chunk]: ...


class Contextualizer(Protocol):
    """Situates chunks. Law: changes ``prefix`` and nothing else."""

    @property
    def name(self) -> str: ...
    def contextualize(self, document: Document, chunks: Sequence[Chunk]) -> list[Chunk]: ...


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into unit vectors.

    Laws: shape (n, d) float32; row norms 1 ± 1e-5 (a text without any known token still gets a
    unit vector); finite; row i does not depend on the other rows (cosine 1 ± 1e-5); ``[]`` →
    (0, d); coverage in [0, 1]. ``name`` holds the model and its revision: equal names, equal
    vectors. Making one costs nothing: weights load when they are first used.
    """

    @property
    def name(self) -> str: ...
    @property
    def dimensions(self) -> int: ...
    def embed(self, texts: Sequence[str], kind: TextKind) -> Vectors: ...
    def coverage(self, text: str) -> float:
        """How much of the text the model's vocabulary knows: about 1 for a language that it was
        made for, about 0 for a script that falls apart into single characters; 1 where the
        embedder cannot tell. Cheap. A query's dense weight is multiplied by it.
        """
        ...


class TokenCounter(Protocol):
    """Laws: ``count("") == 0``; equals the named tokenizer's own count."""

    @property
    def name(self) -> str: ...
    def count(self, text: str) -> int: ...


@dataclass(frozen=True, slots=True)
class Change:
    """The current state of one chunk or document that changed at or before ``number``."""

    number: int
    kind: Literal["chunk", "document"]
    id: str
    scope: str
    """``Scope.key``."""
    document_id: str
    text: str | None
    """``Chunk.indexed_text``, or the document's title and text; None: it is gone."""
    defines: Sequence[str] = ()
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What a filter may ask for, as strings."""


class Match(NamedTuple):
    """One row of an index's answer. ``stages`` holds the parts of the score, by name."""

    chunk_id: str
    score: float
    stages: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What the store remembers of one file (or of one document handed in: then path = its uri)."""

    path: str
    hash: str
    """sha256 of the file's bytes, or the document's content hash."""
    document_ids: Sequence[str]
    why: str = ""
    """Why it could not be read; empty where it could."""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One source to be written: all its documents with their chunks, or why there are none."""

    path: str
    hash: str
    documents: Sequence[tuple[Document, Sequence[Chunk]]] = ()
    why: str = ""
    hint: str = ""
    renamed_from: str = ""
    """Path of a source whose documents (same ids) this one takes over."""


@dataclass(frozen=True, slots=True)
class Counts:
    sources: int
    failed: int
    documents: int
    chunks: int


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """One run as the store keeps it; what the texts mean, ``ctxeng.trace`` knows."""

    id: str
    """Hash of its content."""
    verb: str
    time: str
    """UTC, ISO 8601: of its last run."""
    summary: str
    """What a list of runs shows of it, as JSON."""
    payload: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Those that the payload names, by sha256 in hex; each is kept once, whoever names it."""
    runs: int = 1
    """How many have had this id."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What is let go of when a trace is written, within its scope. None: no limit."""

    runs: int | None = None
    """The newest so many stay."""
    since: str | None = None
    """UTC, ISO 8601: what is older goes."""


KEEP_ALL = Retention()


class Store(Protocol):
    """The system of record. Every read and write of content names its scope.

    Laws: a write is one transaction, durable when it returns, all or nothing after a kill; change
    numbers rise; a reader sees one state; what is unchanged makes no change; a document replaced or
    removed takes its chunks, and vectors that no chunk needs any longer, with it.
    """

    def get_meta(self, key: str) -> str | None: ...
    def set_meta(self, key: str, value: str) -> None: ...

    def put(self, scope: Scope, entries: Sequence[Entry]) -> None:
        """Write sources in one transaction; an entry replaces all that its path held before."""
        ...

    def remove(
        self, scope: Scope, *, paths: Sequence[str] = (), document_ids: Sequence[str] = ()
    ) -> int:
        """Remove sources or documents; returns how many documents went."""
        ...

    def sources(self, scope: Scope) -> dict[str, SourceRecord]: ...
    def counts(self, scope: Scope) -> Counts: ...
    def document_ids(self, scope: Scope) -> list[str]: ...
    def document(self, scope: Scope, document_id: str) -> Document | None: ...
    def hits(self, scope: Scope, chunk_ids: Sequence[str]) -> dict[str, Hit]:
        """Chunks as hits with score 0, by id; unknown ids are absent."""
        ...

    def hits_now(
        self, scope: Scope, chunk_ids: Sequence[str], *, after: int
    ) -> tuple[dict[str, Hit], list[Change]]:
        """``hits`` of what an index found that stands at the change ``after``, and the chunks that
        have come since in the documents of those that are gone; these have hits too. One state.
        """
        ...

    def neighbours(self, scope: Scope, document_id: str, first: int, last: int) -> list[Hit]:
        """The chunks of one document at positions [first, last], in order."""
        ...

    def last_change(self) -> int: ...
    def changes(self, after: int, limit: int) -> tuple[list[Change], int]:
        """Current states of the next ``limit`` logged changes, each thing once, and the number they
        reach; ([], after) at the end of the log.
        """
        ...

    def missing_vectors(self, model: str, limit: int) -> list[tuple[str, str]]:
        """(text hash, text) of embedded texts that have no vector of this model yet."""
        ...

    def put_vectors(self, model: str, hashes: Sequence[str], vectors: Vectors) -> None: ...
    def vectors(self, scope: Scope, model: str) -> tuple[list[str], Vectors]:
        """Ids of the scope's chunks that have one, and the matrix, shape (n, d)."""
        ...

    def vector_progress(self, scope: Scope, model: str) -> tuple[int, int]:
        """(chunks with a vector of this model, chunks)."""
        ...

    def vector_state(self, model: str) -> tuple[int, int]:
        """Last change, version of the model's vectors. Cheap; differs whenever chunks, or vectors
        of this model, have changed.
        """
        ...

    def changed_vectors(
        self, model: str, after: tuple[int, int]
    ) -> tuple[list[tuple[str, str]], tuple[int, int]]:
        """(scope key, id) of the chunks whose vector may have come, changed or gone since the state
        ``after``, and the state that they lead to. (0, 0): all that have one.
        """
        ...

    def vectors_of(
        self, scope_key: str, model: str, chunk_ids: Sequence[str]
    ) -> tuple[list[str], Vectors]:
        """Those of these chunks that have a vector, and the matrix."""
        ...

    def parents(self, scope: Scope, chunk_ids: Sequence[str]) -> dict[str, str]:
        """The id of each chunk's document; unknown ids are absent."""
        ...

    def document_vectors(
        self, scope: Scope, model: str, document_ids: Sequence[str]
    ) -> tuple[list[str], Vectors]:
        """Those of these documents of which a chunk has a vector, and the means of their chunks'
        vectors, scaled to length 1, shape (n, d).
        """
        ...

    def matching_chunks(self, scope: Scope, where: Mapping[str, Strings]) -> set[str]:
        """Ids of the chunks whose document has, for every key, one of the values."""
        ...

    def source_hashes(self, scope: Scope, document_ids: Sequence[str]) -> dict[str, str]:
        """The hash of the source of each of these documents; unknown ids are absent."""
        ...

    def changed_documents(self, scope: Scope, after: int, upto: int) -> dict[str, bool]:
        """Ids of the documents that changed with the numbers (after, upto], and whether each is
        still there.
        """
        ...

    def put_trace(self, scope: Scope, record: TraceRecord, keep: Retention = KEEP_ALL) -> None:
        """Keep a run. One whose id is there already is counted, and gets the new time.

        Raises:
            WorkspaceBusyError: another process is writing; it is not waited for.
        """
        ...

    def trace(self, scope: Scope, trace_id: str) -> TraceRecord | None: ...
    def traces(
        self, scope: Scope, *, limit: int | None = None, prefix: str = ""
    ) -> list[TraceRecord]:
        """Those whose id begins so, newest first, without payload and texts."""
        ...

    def remove_traces(self, scope: Scope, trace_ids: Sequence[str]) -> int:
        """Remove traces, and texts that no trace names any longer; returns how many traces went."""
        ...

    def turns(self, scope: Scope, session: str, *, after: int = 0) -> list[Message]:
        """The turns of a session in order, but for the first ``after``; [] where there is none."""
        ...

    def add_turns(self, scope: Scope, session: str, messages: Sequence[Message]) -> int:
        """Append turns in one transaction; returns how many the session has then."""
        ...

    def session_state(self, scope: Scope, session: str) -> str | None: ...
    def put_session_state(self, scope: Scope, session: str, state: str) -> None: ...
    def change_session_state(
        self,
        scope: Scope,
        session: str,
        change: Callable[[str | None], str],
        *,
        archived: Mapping[str, str] = ...,
        forget_turns: bool = False,
    ) -> str:
        """Put what ``change`` makes of the state that there is, which nobody else can change
        meanwhile, and return it; an empty one is none. If ``change`` raises, nothing is written.

        Args:
            archived: by id, records to keep beside the turns, in the same transaction.
            forget_turns: the session's turns and earlier records go, in the same transaction.
        """
        ...

    def archived(self, scope: Scope, session: str, name: str) -> str | None:
        """The record that was put under an id."""
        ...

    def sessions(self, scope: Scope) -> list[str]:
        """Ids of the sessions that have turns or a state, in order."""
        ...

    def remove_session(self, scope: Scope, session: str) -> bool:
        """Forget its turns and its state; whether there were any."""
        ...

    def close(self) -> None: ...


class LexicalIndex(Protocol):
    """Finds chunks by their terms. Derived from the store, and disposable.

    Laws: applying twice is applying once; any split of the changes gives the same index; what is
    deleted is never returned; scope and filter come first, then the limit; ties in fixed order;
    rebuilt from the store it answers alike.
    """

    @property
    def applied(self) -> int:
        """Number of the last change in it; kept in the same commit as its rows."""
        ...

    def apply(self, changes: Sequence[Change], *, upto: int) -> None:
        """Apply and commit; ``upto`` is the number that the index then stands at."""
        ...

    def search(self, query: Query, limit: int) -> list[Match]: ...
    def score(self, query: Query, changes: Sequence[Change]) -> list[Match]:
        """What chunks that it may not have taken in yet would score about, in no order; those that
        the scope or the filter excludes, or that share nothing with the query, are left out.
        """
        ...

    def close(self) -> None: ...


class DenseIndex(Protocol):
    """Finds chunks by the cosine of their vectors with the query's. Laws as for LexicalIndex."""

    @property
    def name(self) -> str:
        """Of what answers now: ``exact``, ``chroma``."""
        ...

    def sync(self, *, stopped: Stopped, on_progress: OnProgress) -> None:
        """Take in what has changed in the store; called by the one writer. An index that is behind
        must answer all the same, and rightly.
        """
        ...

    def search(self, vector: Vectors, query: Query, limit: int) -> list[Match]:
        """``vector`` has shape (d,). Scores are cosines in [-1, 1]."""
        ...

    def close(self) -> None: ...


class Router(Protocol):
    """Chooses the sources that are asked.

    Laws: the chosen sources, each once, and those that have a score are among ``sources``; none may
    be chosen; every query has a route; scores are in [0, 1]; cancellable. What goes wrong is a
    ``BackendError``: then every source is asked.
    """

    @property
    def name(self) -> str: ...
    @property
    def sources(self) -> Sequence[str]:
        """Names of those that it knows."""
        ...

    async def route(self, query: Query) -> Route: ...


class Retriever(Protocol):
    """Laws: at most ``limit`` hits, sorted, ids unique, scope respected, cancellable."""

    async def retrieve(self, query: Query, limit: int) -> list[Hit]: ...


class Reranker(Protocol):
    """Laws: a sorted permutation of ``hits``; stage scores kept, one added; ``[]`` → ``[]``."""

    @property
    def name(self) -> str: ...
    def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]: ...


class Rewriter(Protocol):
    """Makes a question stand on its own that leans on what was said before it.

    Laws: the query comes first, as it is, or what stands in its place (of kind ``rewritten``, with
    who ``made_by``); further ones are searched for beside it. Filter and scope are kept; no text is
    blank; where there is nothing to resolve (no history, a blank question) the query comes back
    alone. It does not fail because of what was said: who asks a model has another way.
    """

    @property
    def name(self) -> str: ...
    async def rewrite(self, query: Query, history: Sequence[Message]) -> list[Query]:
        """``history``: what was said before, the first first."""
        ...


class Compressor(Protocol):
    """Makes segments shorter, for a query.

    Laws: the kept texts have at most ``tokens`` tokens, added up and joined; a text that is kept
    stands in the text of its segment, where its source's span says, or is marked as transformed
    (``summarised``, ``resolved``) with who made it; order, source, trust, section and number are
    those of the segment; a whole segment comes back as it was. Nothing is cut inside a sentence, a
    table row, or a definition of code that fits. Same input, same output; ``[]`` → ``[]``; 0
    tokens → no text. A segment that carries calls or files is never lost, at most its text.
    """

    @property
    def name(self) -> str: ...
    def compress(self, query: str, segments: Sequence[Segment], tokens: int) -> list[Segment]: ...


@dataclass(frozen=True, slots=True)
class Delta:
    """One piece of a streamed reply. The last one carries ``usage`` and ``stop``."""

    text: str = ""
    tool_call: ToolCall | None = None
    """Whole, when all of its arguments have come."""
    usage: Usage | None = None
    stop: StopReason | None = None
    error: str = ""
    """With ``stop="interrupted"``: what went wrong."""


@dataclass(frozen=True, slots=True)
class Restart(Delta):
    """The stream broke, and the reply starts again: texts and tool calls that came before this are
    to be discarded. Comes only where ``retry_broken_streams`` is set; ``error`` says what happened.
    """

    took: Usage = field(default_factory=Usage)
    """By what is discarded; the last delta's ``usage`` counts it as well."""


class Generator(Protocol):
    """Writes a reply to messages.

    Laws: the joined texts of ``stream`` (since its last ``Restart``, which comes only when asked
    for) are the whole reply; the last delta, and only it, reports usage and the reason of the end;
    closing the iterator stops the work; every failure is a ``BackendError``, within the backend's
    time limits. A failure after the first text or tool call does not throw away what has come: the
    stream ends with ``stop="interrupted"``. With a
    ``json_schema`` the reply is JSON that holds to it, or ``BackendError`` of kind ``bad_reply``
    carries the text. A reply cites a segment by its number, ``[1]``.
    """

    @property
    def name(self) -> str: ...
    @property
    def counter(self) -> TokenCounter:
        """Counts as the model does, or by a declared approximation."""
        ...

    def stream(
        self, messages: Sequence[Message], options: GenerationOptions = DEFAULT_OPTIONS
    ) -> AsyncIterator[Delta]: ...


class Verifier(Protocol):
    """Says, for every sentence of an answer, whether support for it is found in its segments.

    Laws: the claims are the answer's sentences, in order; each names the segments that it was
    looked for in, or none, and then its support is 0; support is in [0, 1]; a reply of a model that
    cannot be used raises ``BackendError``, it is never a 0. No support found is all that a low
    score says; a high one is no proof.
    """

    @property
    def name(self) -> str: ...
    async def verify(self, answer: str, segments: Sequence[Segment]) -> list[Claim]:
        """``answer``: its text, with ``[1]`` markers."""
        ...


__all__ = [
    "KEEP_ALL",
    "Change",
    "Chunker",
    "Compressor",
    "Contextualizer",
    "Counts",
    "Delta",
    "DenseIndex",
    "Embedder",
    "Entry",
    "Generator",
    "LexicalIndex",
    "Loader",
    "Match",
    "OnProgress",
    "Progress",
    "Reranker",
    "Restart",
    "Retention",
    "Retriever",
    "Router",
    "Scope",
    "SourceRecord",
    "Stopped",
    "Store",
    "TextKind",
    "TokenCounter",
    "TraceRecord",
    "Vectors",
    "Verifier",
]
