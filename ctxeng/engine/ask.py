"""The way of a question: retrieve → assemble under the budget → generate → ground → record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import anyio

from ctxeng.context import Assembler
from ctxeng.engine.wiring import Parts
from ctxeng.errors import ConfigError
from ctxeng.generation import NOT_FOUND
from ctxeng.grounding import cite
from ctxeng.protocols import Delta
from ctxeng.retrieval import HybridRetriever
from ctxeng.trace import Recorder, recording, stage
from ctxeng.types import Answer, Context, Filter, Hit, Query, Scope, SearchMode, Span, Usage


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
    parts: Parts, text: str, *, budget: int | None, filter: Filter | None, mode: SearchMode
) -> Context:
    hits = await find(
        parts, text, limit=parts.settings.retrieval.candidates, filter=filter, mode=mode
    )
    assembler = Assembler(parts.counter, StoredText(parts))
    with stage("assemble") as facts:
        built = await anyio.to_thread.run_sync(
            assembler.assemble, text, hits, budget or parts.settings.context.budget
        )
        facts["tokens"], facts["sources"] = built.tokens, len(built.sources)
    return built


async def answer(
    parts: Parts, text: str, *, budget: int | None, filter: Filter | None
) -> AsyncIterator[Delta | Answer]:
    """Deltas of the answer's text while it is written, then the answer."""
    recorder = Recorder("ask", {"query": text, "settings": parts.settings.model_dump(mode="json")})
    with recording(recorder):
        built = await build_context(parts, text, budget=budget, filter=filter, mode="hybrid")
        with stage("answerable") as facts:
            facts["score"] = score = parts.answerability.score(text, built.sources)
    written, usage = "", Usage()
    if score < parts.answerability.threshold:
        written = NOT_FOUND
        yield Delta(text=NOT_FOUND)
    else:
        async for delta in parts.generator.stream(built.messages):
            written += delta.text
            usage = delta.usage or usage
            yield delta
    with recording(recorder), stage("ground"):
        claims, citations = cite(written, built.sources, parts.idf)
    prompt = usage.prompt_tokens or built.tokens
    completion = usage.completion_tokens or parts.counter.count(written)
    trace_id, trace = recorder.record()
    parts.record(trace_id, trace)
    yield Answer(
        text=written,
        found=bool(citations),
        claims=claims if citations else (),
        citations=citations,
        context=built,
        usage=usage.model_copy(update={"prompt_tokens": prompt, "completion_tokens": completion}),
        trace_id=trace_id,
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
