"""Turns settings into objects, and checks that they fit the workspace."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from ctxeng.chunking import DeterministicContextualizer, ModelContextualizer, StructuredChunker
from ctxeng.context.trust import DEFAULT_POLICY, TrustPolicy
from ctxeng.embedding import StaticEmbedder, open_embedders
from ctxeng.engine.blocking import background_loop
from ctxeng.engine.runs import Runs
from ctxeng.errors import ConfigError, WorkspaceBusyError, WorkspaceError
from ctxeng.generation.limits import ProcessLedger
from ctxeng.generation.named import (
    Chosen,
    ModelChoice,
    check_name,
    choose,
    habits_of,
    open_generator,
)
from ctxeng.generation.packaged import Habits
from ctxeng.generation.profiles import known_window
from ctxeng.grounding import Answerability, ModelSupport, SupportVerifier, TermSupport
from ctxeng.indexing import ChromaIndex, ExactIndex, TantivyIndex, catch_up
from ctxeng.indexing.chroma import Folder, Server
from ctxeng.protocols import (
    Chunker,
    Contextualizer,
    DenseIndex,
    Embedder,
    Generator,
    Rewriter,
    Router,
    Store,
    TokenCounter,
    Verifier,
)
from ctxeng.retrieval import DenseSearch, ParentCosines
from ctxeng.rewriting import FollowUpRewriter, ModelRewriter
from ctxeng.settings import IndexingSettings, Settings
from ctxeng.store import SqliteStore, open_store, writer_lock
from ctxeng.text.terms import ANALYZER
from ctxeng.text.tokens import PackagedTokenCounter
from ctxeng.trace import Recorder
from ctxeng.trace.record import Surroundings, Trace
from ctxeng.types import GenerationOptions, Scope, sha256

logger = logging.getLogger(__name__)

Step = Literal["contextualise", "judge", "distil", "rewrite"]
"""Work beside the answer that a model of its own may do: the fields of ``StepSettings``."""

STATIC_WEIGHT = 0.3
MODEL_WEIGHT = 0.5


@dataclass(slots=True)
class Parts:
    """Everything that the verbs need."""

    folder: Path | None
    settings: Settings
    scope: Scope
    store: SqliteStore
    lexical: TantivyIndex
    tiers: Sequence[DenseSearch]
    """Fastest first; see ``dense`` for which one is searched."""
    chunker: Chunker
    contextualizer: Contextualizer
    counter: TokenCounter
    generator: Generator | None
    """Who writes answers; None: who the settings name."""
    policy: TrustPolicy
    """What may reach which section of a prompt."""
    router: Router | None
    """Who chooses the sources of a question; None: all are asked."""
    rewriter: Rewriter | None
    """Who makes a question of a conversation stand on its own; None: who the settings name."""
    answerability: Answerability
    verifier: Verifier
    read_only: bool
    runs: Runs
    completeness: dict[str, tuple[tuple[int, int], float]] = field(default_factory=dict)
    """By model: the state of its vectors, and the share of the chunks that had one in it."""
    generators: dict[str, Generator] = field(default_factory=dict)
    """Those asked for by name."""
    session: ProcessLedger = field(default_factory=ProcessLedger)
    """What all of them have spent since the engine was opened."""
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the engine is being closed: long work is to end."""

    def dense(self) -> DenseSearch | None:
        """The best tier whose vectors are complete. While none is (a writer is at work, or was
        killed), the one that has most: what was indexed before stays findable.
        """
        shares = [self._completeness(tier) for tier in self.tiers]
        best = max(range(len(shares)), key=lambda at: (shares[at], at), default=None)
        return None if best is None or not shares[best] else self.tiers[best]

    def _completeness(self, tier: DenseSearch) -> float:
        model = tier.embedder.name
        state = self.store.vector_state(model)
        known = self.completeness.get(model)
        if known is None or known[0] != state:
            done, total = self.store.vector_progress(self.scope, model)
            known = self.completeness[model] = (state, done / total if total else 0.0)
        return known[1]

    def instant_tiers(self) -> list[DenseSearch]:
        """Made while ``index`` is waited for: thousands of texts a second."""
        return [tier for tier in self.tiers if isinstance(tier.embedder, StaticEmbedder)]

    def slow_tiers(self) -> list[DenseSearch]:
        return [tier for tier in self.tiers if not isinstance(tier.embedder, StaticEmbedder)]

    def catch_up(self, *, verify: bool = False) -> None:
        done = catch_up(self.store, self.lexical, verify=verify)
        if done.rebuilt:
            logger.warning(
                "%s: the lexical index %s; it was made anew from the record (%d changes).",
                self.folder,
                done.rebuilt,
                done.changes,
            )

    def chosen(self, model: ModelChoice | None) -> Chosen:
        """The model that was asked for; None: the one of this engine.

        Raises:
            ConfigError: it is none.
        """
        own = self.settings.generation.model if self.generator is None else self.generator
        return choose(own if model is None else model, self.settings)

    def generator_of(self, model: ModelChoice | None) -> Generator:
        """A generator by name or table, made once; None: the one of this engine.

        Raises:
            ConfigError: no model has this name, or what it needs is not installed.
        """
        chosen = self.chosen(model)
        if chosen.generator is not None:
            return chosen.generator
        if chosen.key not in self.generators:
            replies = None if self.read_only else self.store.replies
            self.generators[chosen.key] = open_generator(
                chosen.name, chosen.settings, idf=self.idf, replies=replies, session=self.session
            )
        return self.generators[chosen.key]

    def window_of(self, model: ModelChoice | None) -> int | None:
        """Tokens that prompt and reply may take together, where that is known."""
        table = self.chosen(model).table
        return known_window(table) if table else None

    def habits_of(self, model: ModelChoice | None) -> Habits:
        """How the model that ``generator_of`` opens is asked best."""
        chosen = self.chosen(model)
        if chosen.generator is not None:
            return Habits()
        return habits_of(chosen.name, chosen.settings)

    def generator_of_step(self, step: Step) -> Generator | None:
        """The generator that does a step; None: no model is set for it.

        Raises:
            ConfigError: as ``generator_of``.
        """
        name: str = getattr(self.settings.generation.steps, step)
        return self.generator_of(name) if name else None

    def judge(self) -> ModelSupport | None:
        """Who checks one answer in the place of ``verifier``, and knows what that took."""
        generator = self.generator_of_step("judge")
        return None if generator is None else ModelSupport(generator, self.idf)

    def rewrites(self) -> Rewriter:
        """Who makes a question of a conversation stand on its own."""
        if self.rewriter is not None:
            return self.rewriter
        generator = self.generator_of_step("rewrite")
        return FollowUpRewriter() if generator is None else ModelRewriter(generator)

    def options(self, model: ModelChoice | None) -> GenerationOptions:
        """How answers of the model that ``generator_of`` opens are written."""
        settings = self.settings.generation
        return GenerationOptions(
            max_tokens=self.habits_of(model).max_tokens or settings.max_tokens,
            temperature=settings.temperature,
        )

    def idf(self, term: str) -> float:
        return self.lexical.idf(term)

    def record(self, recorder: Recorder) -> str:
        """Keep a run; its id, or empty where runs are not kept."""
        return self.runs.keep(recorder, self._around) if self.runs.kept else ""

    def _around(self, recorder: Recorder) -> Surroundings:
        """In what surroundings a run took place."""
        dense = self.dense()
        ids = list(dict.fromkeys(hit.document_id for hit in recorder.hits))
        return Surroundings(
            settings=self.settings,
            versions={
                **self.fingerprints(),
                "embedder": dense.embedder.name if dense else "",
                "tokenizer": recorder.context.tokenizer if recorder.context else "",
            },
            change=self.store.last_change(),
            hashes=self.store.source_hashes(self.scope, ids),
        )

    def changed_between(self, first: Trace, second: Trace) -> dict[str, bool]:
        """Documents that changed between two runs, and whether each is still there."""
        after, upto = sorted((first.change, second.change))
        return self.store.changed_documents(self.scope, after, upto)

    def fingerprints(self) -> dict[str, str]:
        """What a workspace remembers of how it was made."""
        return {
            "analyzer": ANALYZER,
            "chunker": f"{self.chunker.name} {self.contextualizer.name}",
        }

    def close(self) -> None:
        self.runs.write(wait=True)
        self.lexical.close()
        for tier in self.tiers:
            tier.index.close()
        self.store.close()


def open_parts(
    folder: Path | None,
    *,
    settings: Settings,
    scope: Scope,
    chunker: Chunker | None,
    contextualizer: Contextualizer | None,
    embedders: Sequence[Embedder] | None,
    generator: Generator | None,
    counter: TokenCounter | None,
    router: Router | None,
    policy: TrustPolicy | None,
    rewriter: Rewriter | None,
    read_only: bool,
) -> Parts:
    check_steps(settings)
    store = open_store(folder, read_only=read_only)
    lexical = TantivyIndex(
        None if folder is None else folder / "lexical",
        parent_weight=settings.retrieval.parent_weight,
        definition_weight=settings.retrieval.definition_weight,
        candidates=settings.retrieval.candidates,
        read_only=read_only,
    )
    if embedders is None:
        embedders = open_embedders(settings.embedding)
    tiers = [
        DenseSearch(
            embedder,
            _dense_index(store, embedder.name, folder, settings.indexing, read_only=read_only),
            ParentCosines(store, embedder.name, weight=settings.retrieval.parent_weight),
            STATIC_WEIGHT if isinstance(embedder, StaticEmbedder) else MODEL_WEIGHT,
        )
        for embedder in embedders
    ]
    parts = Parts(
        folder=folder,
        settings=settings,
        scope=scope,
        store=store,
        lexical=lexical,
        tiers=tiers,
        chunker=chunker or StructuredChunker(settings.chunking),
        contextualizer=contextualizer or DeterministicContextualizer(),
        counter=counter or PackagedTokenCounter(),
        generator=generator,
        policy=policy or DEFAULT_POLICY,
        router=router,
        rewriter=rewriter,
        answerability=Answerability(lexical.idf),
        verifier=SupportVerifier(TermSupport(lexical.idf), lexical.idf),
        read_only=read_only,
        runs=Runs(store, scope, settings, kept=not read_only),
    )
    if contextualizer is None and settings.generation.steps.contextualise:
        parts.contextualizer = _situating(parts)
    return parts


def check_steps(settings: Settings) -> None:
    """See that each model that is set for a step has a name that stands for one that writes.

    Raises:
        ConfigError: names the setting.
    """
    for step, name in settings.generation.steps:
        if not name:
            continue
        named_by = f"generation.steps.{step} = {name!r}"
        check_name(name, settings, named_by=named_by)
        table = settings.models.get(name)
        if (table.backend if table else name) == "extractive":
            raise ConfigError(f"{named_by}: extractive only quotes; name a model that writes.")


def _situating(parts: Parts) -> ModelContextualizer:
    """Opened when it is first needed: who only searches needs nothing of the model but its name."""
    name = parts.settings.generation.steps.contextualise
    table = parts.settings.models.get(name)
    model = ":".join(filter(None, (table.backend, table.model, table.adapter))) if table else name
    return ModelContextualizer(
        partial(parts.generator_of, name),
        model=model,
        base=parts.contextualizer,
        run=lambda work: background_loop().call(work),
        stopped=parts.closing.is_set,
    )


def _dense_index(
    store: Store, model: str, folder: Path | None, settings: IndexingSettings, *, read_only: bool
) -> DenseIndex:
    """Exact search, or Chroma beside it. Who may not write cannot say that Chroma writes."""
    if read_only or (settings.dense == "exact" and not settings.chroma_url):
        return ExactIndex(store, model)
    if settings.chroma_url:
        return ChromaIndex(store, model, Server(settings.chroma_url))
    above = settings.exact_limit if settings.dense == "auto" else 0
    if folder is None:
        if settings.dense == "auto":
            return ExactIndex(store, model)
        raise ConfigError(
            "indexing.dense = 'chroma' needs a workspace on disk, or indexing.chroma_url."
        )
    return ChromaIndex(store, model, Folder(folder / "dense" / sha256(model)[:12]), above=above)


def check_fingerprints(parts: Parts) -> None:
    """Refuse a workspace that was made with another analyzer or chunker.

    Raises:
        WorkspaceError: names what differs and the way out.
    """
    for key, configured in parts.fingerprints().items():
        stored = parts.store.get_meta(key)
        if stored is not None and stored != configured:
            raise WorkspaceError(
                f"{parts.folder}: this workspace was made with {key} {stored!r}, but {configured!r}"
                " is configured. Run `ctxeng reindex`, or restore that setting."
            )
    stored_models = (parts.store.get_meta("embedders") or "").split("\n")
    configured_models = [tier.embedder.name for tier in parts.tiers]
    if any(stored_models) and configured_models and not set(stored_models) & set(configured_models):
        raise WorkspaceError(
            f"{parts.folder}: vectors were made by {', '.join(stored_models)}, but "
            f"{', '.join(configured_models)} is configured. Run `ctxeng reindex`, or set "
            "embedding.model back."
        )


def record_fingerprints(parts: Parts, *, first: bool = False) -> None:
    """Remember how the workspace is made; ``first``: only what it does not say yet."""
    for key, value in parts.fingerprints().items():
        if not first or parts.store.get_meta(key) is None:
            parts.store.set_meta(key, value)
    parts.store.set_meta("embedders", "\n".join(tier.embedder.name for tier in parts.tiers))


def catch_up_if_free(parts: Parts) -> None:
    """Bring derived indexes up to the store, unless another process is at it already."""
    if parts.read_only:
        return
    try:
        with writer_lock(parts.folder, wait=False):
            parts.catch_up(verify=parts.store.left_open)
    except WorkspaceBusyError:
        return  # the writer catches up itself; until then this reader is one batch behind
