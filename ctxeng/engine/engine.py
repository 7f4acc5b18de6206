"""The front door: each verb hands over to the room that does the work."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import anyio

from ctxeng.context.trust import TrustPolicy
from ctxeng.engine import wiring
from ctxeng.engine.ask import answer, context, find
from ctxeng.engine.background import Background
from ctxeng.engine.blocking import plain, plain_stream
from ctxeng.engine.chat import Conversation
from ctxeng.engine.doctor import examine, status_of
from ctxeng.engine.index import (
    embed_missing,
    index_documents,
    index_paths,
    rechunk,
    remove_targets,
)
from ctxeng.errors import ConfigError, WorkspaceBusyError, WorkspaceError
from ctxeng.generation.named import ModelChoice
from ctxeng.protocols import (
    Chunker,
    Contextualizer,
    Delta,
    Embedder,
    Generator,
    OnProgress,
    Progress,
    Rewriter,
    Router,
    Stopped,
    TokenCounter,
)
from ctxeng.replay import Difference, diff, replay
from ctxeng.retrieval import DenseSearch
from ctxeng.settings import Settings, load_settings
from ctxeng.store import writer_lock
from ctxeng.trace.record import Trace, TraceSummary
from ctxeng.types import (
    Answer,
    Check,
    Context,
    Document,
    Filter,
    Hit,
    IndexReport,
    Scope,
    SearchMode,
    Status,
)

T = TypeVar("T")
Sources = str | Path | Document | Iterable[str | Path | Document]


def _silent(progress: Progress) -> None:
    """For callers who do not watch."""


def _by_terms_alone(*_: object, mode: SearchMode = "hybrid", **__: object) -> bool:
    return mode == "lexical"


class Engine:
    """A workspace and everything that reads and writes it.

    Every verb has an async form (``aindex`` …) and a plain one (``index`` …). Reads may run in
    parallel from many threads and processes; writes take turns within the engine, and another
    process that writes makes them raise ``WorkspaceBusyError`` (or wait, see ``open``).
    """

    def __init__(self, parts: wiring.Parts, *, wait_for_writer: bool = False) -> None:
        self._parts = parts
        self._wait_for_writer = wait_for_writer
        self._background = Background()
        self._writing = threading.Lock()
        self._closing = parts.closing

    @classmethod
    def open(
        cls,
        path: str | Path = ".ctxeng",
        *,
        settings: Settings | None = None,
        scope: Scope | None = None,
        chunker: Chunker | None = None,
        contextualizer: Contextualizer | None = None,
        embedders: Sequence[Embedder] | None = None,
        generator: Generator | None = None,
        counter: TokenCounter | None = None,
        router: Router | None = None,
        policy: TrustPolicy | None = None,
        rewriter: Rewriter | None = None,
        read_only: bool = False,
        wait_for_writer: bool = False,
        check: bool = True,
    ) -> Self:
        """Open a workspace, making it where there is none.

        Args:
            path: its folder, or ``":memory:"``.
            settings: None reads ``ctxeng.toml`` and the environment.
            scope: what every read and write of this engine is confined to.
            embedders: fastest first; searched is the last whose vectors are complete.
            router: chooses the sources of ``context``, ``ask`` and ``chat``; None: all are asked.
            policy: what may reach which section of their prompts; None: ``TrustPolicy()``.
            rewriter: makes questions of ``chat`` stand on their own; None: the model that the
                setting ``generation.steps.rewrite`` names, else rules.
            read_only: never writes; the workspace must exist.
            wait_for_writer: writes wait up to an hour for another process that writes, instead of
                raising ``WorkspaceBusyError``.
            check: False opens what was made with other settings, to ``reindex`` it.

        Raises:
            WorkspaceError: it cannot be opened, is damaged, or was made with other settings.
        """
        folder = None if str(path) == ":memory:" else Path(path)
        parts = wiring.open_parts(
            folder,
            settings=settings or load_settings(),
            scope=scope or Scope(),
            chunker=chunker,
            contextualizer=contextualizer,
            embedders=embedders,
            generator=generator,
            counter=counter,
            router=router,
            policy=policy,
            rewriter=rewriter,
            read_only=read_only,
        )
        try:
            if check:
                wiring.check_fingerprints(parts)
                wiring.catch_up_if_free(parts)
        except BaseException:
            parts.close()
            raise
        return cls(parts, wait_for_writer=wait_for_writer)

    @property
    def settings(self) -> Settings:
        """What it was opened with."""
        return self._parts.settings

    async def aindex(
        self,
        sources: Sources,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        fast: bool = False,
        wait: bool = False,
        on_progress: OnProgress = _silent,
    ) -> IndexReport:
        """Index files and folders (which the workspace then mirrors) or documents (by id).

        Returns once everything can be found by its terms and by the fastest vectors. Slower
        vectors follow in the background: ``wait`` waits for them, ``fast`` leaves them out.

        Raises:
            LoadError: a path does not exist. Files that cannot be read are in the report.
            WorkspaceBusyError: another process is writing.
        """
        paths, documents = _sorted_out(sources)
        if paths and documents:
            raise ConfigError("index takes paths or documents, not both in one call.")
        work = (
            partial(index_documents, documents=documents, on_progress=on_progress)
            if documents
            else partial(
                index_paths,
                paths=paths,
                include=include,
                exclude=exclude,
                on_progress=on_progress,
            )
        )
        report = await anyio.to_thread.run_sync(self._write, work, on_progress)
        if not fast:
            await self._follow_up(self._improve, on_progress, wait=wait)
        return report

    async def asearch(
        self,
        query: str,
        *,
        limit: int = 10,
        filter: Filter | None = None,
        mode: SearchMode = "hybrid",
    ) -> list[Hit]:
        """The best chunks for a query; an empty query finds nothing."""
        return await find(self._parts, query, limit=limit, filter=filter, mode=mode)

    async def acontext(
        self,
        query: str,
        *,
        budget: int | None = None,
        filter: Filter | None = None,
        mode: SearchMode = "hybrid",
    ) -> Context:
        """The prompt for a query, in at most ``budget`` tokens.

        Raises:
            BudgetError: the budget cannot hold even the question.
        """
        return await context(self._parts, query, budget=budget, filter=filter, mode=mode)

    async def aask(
        self,
        query: str,
        *,
        budget: int | None = None,
        filter: Filter | None = None,
        model: ModelChoice | None = None,
    ) -> Answer:
        """The answer to a question, every sentence with the place it comes from.

        Args:
            model: who writes it: ``extractive``, ``local`` or a name of ``[models.NAME]``, such a
                table itself, a generator, or what ``open_model`` returned; None: the setting
                ``generation.model``.

        Raises:
            BudgetError: the budget cannot hold even the question.
            BackendError: the model failed before it had said anything.
        """
        async for event in self.astream(query, budget=budget, filter=filter, model=model):
            if isinstance(event, Answer):
                return event
        raise AssertionError("a stream ends with its answer")

    def astream(
        self,
        query: str,
        *,
        budget: int | None = None,
        filter: Filter | None = None,
        model: ModelChoice | None = None,
    ) -> AsyncIterator[Delta | Answer]:
        """Deltas of the answer's text while it is written; last, the answer itself."""
        return answer(self._parts, query, budget=budget, filter=filter, model=model)

    def chat(
        self,
        session_id: str = "default",
        *,
        model: ModelChoice | None = None,
        window: int | None = None,
    ) -> Conversation:
        """Go on with a conversation, or begin it; it is kept in the workspace under its id.

        Args:
            model: who answers, as for ``ask``.
            window: tokens that a turn's prompt and its reply may take together; None: the setting
                ``context.window``.

        Raises:
            ConfigError: the id is empty, too long or not printable, or no model has this name.
        """
        return Conversation(self._parts, session_id, model=model, window=window)

    async def asessions(self) -> list[str]:
        """Ids of the conversations that are kept for this engine's scope, in order."""
        return await anyio.to_thread.run_sync(self._parts.store.sessions, self._parts.scope)

    async def aremove(self, *targets: str | Path) -> int:
        """Remove files, folders (by path) or documents (by id); returns how many documents went."""
        removed = await anyio.to_thread.run_sync(
            self._write, partial(remove_targets, targets=[str(t) for t in targets])
        )
        await self._follow_up(self._sync_dense, _silent, wait=False)
        return removed

    async def areindex(
        self, *, wait: bool = False, on_progress: OnProgress = _silent
    ) -> IndexReport:
        """Cut, count and index every stored document again, with the present settings.

        Slower vectors follow as after ``index``.
        """
        report = await anyio.to_thread.run_sync(
            self._write, partial(rechunk, on_progress=on_progress), on_progress
        )
        await self._follow_up(self._improve, on_progress, wait=wait)
        return report

    async def atraces(self, *, limit: int | None = None) -> list[TraceSummary]:
        """The recorded runs (``context`` and ``ask``) of this scope, newest first."""
        return await anyio.to_thread.run_sync(self._parts.runs.list, limit)

    async def atrace(self, trace_id: str) -> Trace:
        """The record of one run.

        Args:
            trace_id: its id or the beginning of it, or ``last``.

        Raises:
            ConfigError: there is no such run, or several.
            WorkspaceError: its record is damaged, or of a newer ctxeng.
        """
        return await anyio.to_thread.run_sync(self._parts.runs.get, trace_id)

    async def areplay(self, trace_id: str) -> Context:
        """The prompt of a recorded run, rebuilt byte for byte from its record; see ``replay``."""
        return replay(await self.atrace(trace_id))

    async def adiff(self, before: str, after: str) -> list[Difference]:
        """Why the prompts of two recorded runs differ; see ``diff``."""
        first, second = await self.atrace(before), await self.atrace(after)
        changed = await anyio.to_thread.run_sync(self._parts.changed_between, first, second)
        return diff(first, second, changed=changed)

    async def aremove_traces(self, *trace_ids: str) -> int:
        """Forget these runs, or all where none is named, and texts that only they held; returns how
        many went.
        """
        return await anyio.to_thread.run_sync(self._parts.runs.remove, trace_ids)

    async def astatus(self) -> Status:
        """What is in the workspace, and how far its vectors are."""
        return await anyio.to_thread.run_sync(status_of, self._parts)

    async def adoctor(self) -> list[Check]:
        """What is installed, whether the workspace is healthy, and what to do."""
        return await anyio.to_thread.run_sync(examine, self._parts)

    async def await_vectors(self) -> None:
        """Wait until the background has made all vectors."""
        await anyio.to_thread.run_sync(self._background.wait)

    async def aclose(self) -> None:
        """Stop background work, without loss, and close all files."""
        await anyio.to_thread.run_sync(self._close)

    index = plain(aindex)
    search = plain(asearch, here=_by_terms_alone)
    context = plain(acontext)
    ask = plain(aask)
    stream = plain_stream(astream)
    sessions = plain(asessions)
    remove = plain(aremove)
    reindex = plain(areindex)
    traces = plain(atraces)
    trace = plain(atrace)
    replay = plain(areplay)
    diff = plain(adiff)
    remove_traces = plain(aremove_traces)
    status = plain(astatus)
    doctor = plain(adoctor)
    wait_vectors = plain(await_vectors)
    close = plain(aclose)

    # -- what the verbs share; the plain functions run in worker threads

    async def _follow_up(
        self, work: Callable[[OnProgress, Stopped], None], on_progress: OnProgress, *, wait: bool
    ) -> None:
        # From a worker thread: the portal may not be called from its own loop.
        follow = partial(self._in_background, work, on_progress)
        await anyio.to_thread.run_sync(self._background.start, follow)
        if wait:
            await anyio.to_thread.run_sync(self._background.wait)

    def _write(self, work: Callable[..., T], on_progress: OnProgress = _silent) -> T:
        """Run ``work(parts, stopped=…)`` as the one writer, then make the instant vectors."""
        if self._parts.read_only:
            raise WorkspaceError(f"{self._parts.folder}: opened read-only; open it to write.")
        self._background.stop()
        closing = self._closing.is_set
        lock = writer_lock(self._parts.folder, wait=self._wait_for_writer, stopped=closing)
        with self._writing, lock:
            wiring.record_fingerprints(self._parts, first=True)
            result = work(self._parts, stopped=closing)
            self._embed(self._parts.instant_tiers(), on_progress, closing)
        return result

    def _in_background(
        self, work: Callable[[OnProgress, Stopped], None], on_progress: OnProgress, stopped: Stopped
    ) -> None:
        try:
            with self._writing, writer_lock(self._parts.folder, wait=False):
                work(on_progress, stopped)
        except WorkspaceBusyError:
            return  # that writer does what is left, ours included

    def _improve(self, on_progress: OnProgress, stopped: Stopped) -> None:
        """Slower vectors, then the index of those that are searched."""
        self._embed(self._parts.slow_tiers(), on_progress, stopped)
        self._sync_dense(on_progress, stopped)

    def _sync_dense(self, on_progress: OnProgress, stopped: Stopped) -> None:
        searched = self._parts.dense()
        if searched is not None and not stopped():
            searched.index.sync(stopped=stopped, on_progress=on_progress)

    def _embed(
        self, tiers: Sequence[DenseSearch], on_progress: OnProgress, stopped: Stopped
    ) -> None:
        for tier in tiers:
            embed_missing(
                self._parts.store,
                tier.embedder,
                batch_size=self._parts.settings.embedding.batch_size,
                on_progress=on_progress,
                stopped=stopped,
            )

    def _close(self) -> None:
        self._closing.set()
        self._background.stop()
        with self._writing:
            self._parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def _sorted_out(sources: Sources) -> tuple[list[Path], list[Document]]:
    """Paths and documents apart, whether one thing or many were handed in."""
    many = [sources] if isinstance(sources, str | Path | Document) else list(sources)
    paths = [Path(source) for source in many if not isinstance(source, Document)]
    return paths, [source for source in many if isinstance(source, Document)]
