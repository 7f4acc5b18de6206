"""Turns settings into objects, and checks that they fit the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ctxeng.chunking import DeterministicContextualizer, StructuredChunker
from ctxeng.embedding import StaticEmbedder, open_embedders
from ctxeng.errors import WorkspaceBusyError, WorkspaceError
from ctxeng.generation import ExtractiveGenerator
from ctxeng.grounding import Answerability
from ctxeng.indexing import ExactIndex, TantivyIndex, catch_up
from ctxeng.protocols import Chunker, Contextualizer, Embedder, Generator, TokenCounter
from ctxeng.retrieval import DenseSearch
from ctxeng.settings import Settings
from ctxeng.store import SqliteStore, open_store, writer_lock
from ctxeng.text.terms import ANALYZER
from ctxeng.text.tokens import PackagedTokenCounter
from ctxeng.types import Scope

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
    """Fastest first; the last one whose vectors are complete is searched."""
    chunker: Chunker
    contextualizer: Contextualizer
    counter: TokenCounter
    generator: Generator
    answerability: Answerability
    read_only: bool
    completeness: dict[str, tuple[tuple[int, int], bool]] = field(default_factory=dict)
    """By model: the state of its vectors, and whether they were complete in it."""

    def dense(self) -> DenseSearch | None:
        """The best tier whose vectors are complete."""
        return next((tier for tier in reversed(self.tiers) if self._complete(tier)), None)

    def _complete(self, tier: DenseSearch) -> bool:
        model = tier.embedder.name
        state = self.store.vector_state(model)
        known = self.completeness.get(model)
        if known is None or known[0] != state:
            done, total = self.store.vector_progress(self.scope, model)
            known = self.completeness[model] = (state, done == total > 0)
        return known[1]

    def instant_tiers(self) -> list[DenseSearch]:
        """Made while ``index`` is waited for: thousands of texts a second."""
        return [tier for tier in self.tiers if isinstance(tier.embedder, StaticEmbedder)]

    def slow_tiers(self) -> list[DenseSearch]:
        return [tier for tier in self.tiers if not isinstance(tier.embedder, StaticEmbedder)]

    def catch_up(self) -> None:
        catch_up(self.store, self.lexical)

    def idf(self, term: str) -> float:
        return self.lexical.idf(term)

    def record(self, trace_id: str, trace: str) -> None:
        if not self.read_only:
            self.store.put_trace(trace_id, trace)

    def fingerprints(self) -> dict[str, str]:
        """What a workspace remembers of how it was made."""
        return {
            "analyzer": ANALYZER,
            "chunker": f"{self.chunker.name} {self.contextualizer.name}",
        }

    def close(self) -> None:
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
    read_only: bool,
) -> Parts:
    store = open_store(folder, read_only=read_only)
    lexical = TantivyIndex(
        None if folder is None else folder / "lexical",
        parent_weight=settings.retrieval.parent_weight,
        definition_weight=settings.retrieval.definition_weight,
    )
    if embedders is None:
        embedders = open_embedders(settings.embedding)
    tiers = [
        DenseSearch(
            embedder,
            ExactIndex(store, embedder.name),
            STATIC_WEIGHT if isinstance(embedder, StaticEmbedder) else MODEL_WEIGHT,
        )
        for embedder in embedders
    ]
    return Parts(
        folder=folder,
        settings=settings,
        scope=scope,
        store=store,
        lexical=lexical,
        tiers=tiers,
        chunker=chunker or StructuredChunker(settings.chunking),
        contextualizer=contextualizer or DeterministicContextualizer(),
        counter=counter or PackagedTokenCounter(),
        generator=generator or ExtractiveGenerator(lexical.idf),
        answerability=Answerability(lexical.idf),
        read_only=read_only,
    )


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


def record_fingerprints(parts: Parts) -> None:
    for key, value in parts.fingerprints().items():
        parts.store.set_meta(key, value)
    parts.store.set_meta("embedders", "\n".join(tier.embedder.name for tier in parts.tiers))


def catch_up_if_free(parts: Parts) -> None:
    """Bring derived indexes up to the store, unless another process is at it already."""
    if parts.read_only:
        return
    try:
        with writer_lock(parts.folder, wait=False):
            parts.catch_up()
    except WorkspaceBusyError:
        return  # the writer catches up itself; until then this reader is one batch behind
