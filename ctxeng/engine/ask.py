"""The way of a question: retrieve → assemble under the budget → generate → ground → record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing

import anyio

from ctxeng.context import Assembler
from ctxeng.engine.wiring import Parts
from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation import EXTRACTIVE, NOT_FOUND
from ctxeng.generation.reply import closable
from ctxeng.grounding import SUPPORTED, cite
from ctxeng.protocols import Delta, Generator, TokenCounter
from ctxeng.retrieval import HybridRetriever
from ctxeng.trace import Facts, Recorder, recording, stage
from ctxeng.types import (
    Answer,
    Context,
    Filter,
    GenerationOptions,
    Hit,
    Query,
    Scope,
    SearchMode,
    Span,
    Usage,
)


async def find(
    parts: Parts, text: str, *, limit: int, filter: Filter | None, mode: SearchMode
) -> list[Hit]:
    query = Query(text=text, filter=as_strings(filter or {}), scope=parts.scope)
    if any(not wanted for wanted in query.filter.values()):
        return []  # one of no values: nothing can match
    retriever = HybridRetriever(
        parts.store, parts.lexical, parts.dense, settings=parts.settings.retrieval, mode=mode
    )
    with stage("retrieve") as facts:
        hits = await retriever.retrieve(query, limit)
        facts["hits"] = [hit.id for hit in hits]
    return hits


async def build_context(
    parts: Parts,
    text: str,
    *,
    budget: int | None,
    filter: Filter | None,
    mode: SearchMode,
    counter: TokenCounter | None = None,
) -> Context:
    """``counter``: of the model that will read it; None: the engine's own."""
    hits = await find(
        parts, text, limit=parts.settings.retrieval.candidates, filter=filter, mode=mode
    )
    assembler = Assembler(counter or parts.counter, StoredText(parts), parts.idf)
    with stage("assemble") as facts:
        built = await anyio.to_thread.run_sync(
            assembler.assemble, text, hits, budget or parts.settings.context.budget
        )
        facts["tokens"], facts["sources"] = built.tokens, len(built.sources)
    return built


async def answer(
    parts: Parts, text: str, *, budget: int | None, filter: Filter | None, model: str | None
) -> AsyncIterator[Delta | Answer]:
    """Deltas of the answer's text while it is written, then the answer.

    Raises:
        BackendError: the model failed before it had said anything.
    """
    generator = parts.generator_of(model)
    inputs: Facts = {
        "query": text,
        "model": generator.name,
        "settings": parts.settings.model_dump(mode="json"),
    }
    recorder = Recorder("ask", inputs)
    with recording(recorder):
        built = await build_context(
            parts,
            text,
            budget=budget,
            filter=filter,
            mode="hybrid",
            counter=generator.counter,
        )
        with stage("answerable") as facts:
            score = await anyio.to_thread.run_sync(answerability, parts, text, built)
            facts["score"] = score
    written, usage, error = "", Usage(), ""
    if score < parts.answerability.threshold:
        written = NOT_FOUND
        yield Delta(text=NOT_FOUND)
    else:
        for smaller in (False, True):
            if smaller:
                built = await build_context(
                    parts,
                    text,
                    budget=built.budget // 2,
                    filter=filter,
                    mode="hybrid",
                    counter=generator.counter,
                )
            try:
                async for delta in _generated(parts, generator, built, recorder):
                    written += delta.text
                    usage = delta.usage or usage
                    error = delta.error or error
                    yield delta
                break
            except BackendError as failure:
                # Its window is smaller than we know: once more with half of the context.
                if smaller or written or failure.kind != "context_length":
                    raise
    with recording(recorder), stage("ground") as facts:
        claims, citations = cite(written, built.sources, parts.idf)
        if generator.name != EXTRACTIVE and written != NOT_FOUND:
            claims = tuple(await parts.verifier.verify(written, built.sources))
        found = bool(citations) or any(claim.support >= SUPPORTED for claim in claims)
        facts["claims"] = [round(claim.support, 4) for claim in claims]
    prompt = usage.prompt_tokens or built.tokens
    completion = usage.completion_tokens or generator.counter.count(written)
    trace_id, trace = recorder.record()
    parts.record(trace_id, trace)
    yield Answer(
        text=written,
        found=found,
        claims=claims if found else (),
        citations=citations,
        context=built,
        usage=usage.model_copy(update={"prompt_tokens": prompt, "completion_tokens": completion}),
        trace_id=trace_id,
        model=generator.name,
        error=error,
    )


async def _generated(
    parts: Parts, generator: Generator, built: Context, recorder: Recorder
) -> AsyncIterator[Delta]:
    """The generator's stream, each step of it under the recorder."""
    settings = parts.settings.generation
    options = GenerationOptions(max_tokens=settings.max_tokens, temperature=settings.temperature)
    async with aclosing(closable(generator.stream(built.messages, options))) as deltas:
        while True:
            with recording(recorder):  # a generator must not yield inside
                try:
                    delta = await anext(deltas)
                except StopAsyncIteration:
                    return
            yield delta


def answerability(parts: Parts, text: str, context: Context) -> float:
    """The probability that what was found holds an answer."""
    dense = parts.dense()
    # Dense search returns whatever the filter lets through: fewer than it may means that is all.
    kept = sum(len(source.chunk_ids) for source in context.sources)
    seen = kept + sum(len(row.chunk_ids) for row in context.dropped)
    few = dense is not None and seen < parts.settings.retrieval.candidates
    return parts.answerability.score(
        text,
        context.sources,
        searched=seen if few else None,
        embedder=dense.embedder if dense else None,
    )


class StoredText:
    """The assembler's view of the store, within one scope."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._scope: Scope = parts.scope

    def neighbours(self, document_id: str, first: int, last: int) -> list[Hit]:
        return self._store.neighbours(self._scope, document_id, first, last)

    def slice(self, document_id: str, span: Span) -> str:
        document = self._store.document(self._scope, document_id)
        return document.text[span.start : span.end] if document else ""


def as_strings(filter: Filter) -> dict[str, tuple[str, ...]]:
    """Filter values as the store compares them.

    Raises:
        ConfigError: a value is not a string, number, bool or a list of those.
    """
    wanted: dict[str, tuple[str, ...]] = {}
    for key, value in filter.items():
        values: Sequence[object] = value if isinstance(value, list | tuple) else [value]
        for one in values:
            if one is None or isinstance(one, Mapping | list | tuple):
                raise ConfigError(
                    f"filter {key!r}: {one!r} is not a value to compare with; use a string, a "
                    "number, a bool or a list of them."
                )
        wanted[key] = tuple(
            str(one).lower() if isinstance(one, bool) else str(one) for one in values
        )
    return wanted
