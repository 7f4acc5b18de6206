"""The way of a question: route → retrieve → assemble → generate → ground → record."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Protocol

import anyio

from ctxeng.context import Assembler
from ctxeng.engine.blocking import in_worker
from ctxeng.engine.draft import Draft, ground
from ctxeng.engine.rewrite import taken, why_not
from ctxeng.engine.route import DOCUMENTS, EVERYWHERE, route
from ctxeng.engine.wiring import Parts
from ctxeng.errors import BackendError, BudgetError, ConfigError, CtxengError
from ctxeng.generation import EXTRACTIVE, NOT_FOUND
from ctxeng.generation.named import ModelChoice
from ctxeng.generation.reply import closable
from ctxeng.grounding import unheld
from ctxeng.protocols import Delta, Generator, TokenCounter
from ctxeng.retrieval import HybridRetriever
from ctxeng.text.secrets import REDACTED, Redactor
from ctxeng.trace import Facts, Recorder, keep, recording, stage
from ctxeng.types import (
    Answer,
    Context,
    Filter,
    Hit,
    Query,
    Route,
    Scope,
    SearchMode,
    Span,
)


async def candidates(
    parts: Parts,
    text: str,
    *,
    filter: Filter | None,
    mode: SearchMode,
    beside: Sequence[str] = (),
) -> list[Hit]:
    """What the sources that the router chooses hold for a prompt.

    Args:
        beside: what is searched for too; a hit counts by its best score.

    Raises:
        ConfigError: it chose a source that there is not.
    """
    asked = Query(text=text, filter=as_strings(filter or {}), scope=parts.scope)
    chosen = await route(parts, asked)
    if DOCUMENTS not in chosen.sources:
        keep(hits=[])
        return []
    limit = chosen.depth or parts.settings.retrieval.candidates
    best: dict[str, Hit] = {}
    for one in dict.fromkeys((text, *beside)):
        for hit in await find(parts, one, limit=limit, filter=filter, mode=mode):
            best[hit.id] = max(hit, best.get(hit.id, hit), key=lambda hit: hit.score)
    hits = sorted(best.values(), key=lambda hit: -hit.score)[:limit] if beside else [*best.values()]
    keep(hits=hits)
    return hits


async def find(
    parts: Parts, text: str, *, limit: int, filter: Filter | None, mode: SearchMode
) -> list[Hit]:
    query = Query(text=text, filter=as_strings(filter or {}), scope=parts.scope)
    if any(not wanted for wanted in query.filter.values()):
        return []  # one of no values: nothing can match
    retriever = HybridRetriever(
        parts.store,
        parts.lexical,
        parts.dense,
        settings=parts.settings.retrieval,
        mode=mode,
        in_worker=in_worker,
    )
    with stage("retrieve") as facts:
        hits = await retriever.retrieve(query, limit)
        facts["hits"] = len(hits)
    keep(hits=hits)
    return hits


async def build_context(
    parts: Parts,
    text: str,
    *,
    budget: int | None,
    filter: Filter | None,
    mode: SearchMode,
    counter: TokenCounter | None = None,
    reminder: str = "",
) -> Context:
    """``counter``: of the model that will read it; None: the engine's own; ``reminder``: what that
    model is told after the question.
    """
    hits = await candidates(parts, text, filter=filter, mode=mode)
    assembler = assembler_of(parts, counter or parts.counter, reminder)
    with stage("assemble") as facts:
        built = await anyio.to_thread.run_sync(
            assembler.assemble, text, hits, budget or parts.settings.context.budget
        )
        facts["tokens"], facts["sources"] = built.tokens, len(built.sources)
    keep(context=built)
    return built


async def context(
    parts: Parts, text: str, *, budget: int | None, filter: Filter | None, mode: SearchMode
) -> Context:
    """The prompt of a question to the model that answers, recorded as a run of its own."""
    asked = Query(text=text, filter=as_strings(filter or {}))
    habits = parts.habits_of(None)
    recorder = Recorder("context", _inputs(asked, budget, mode))
    async with _recorded(parts, recorder):
        with recording(recorder):
            return await build_context(
                parts,
                asked.text,
                budget=budget or habits.budget,
                filter=filter,
                mode=mode,
                reminder=habits.reminder,
            )


async def answer(
    parts: Parts,
    text: str,
    *,
    budget: int | None,
    filter: Filter | None,
    model: ModelChoice | None,
    session: str = "",
    prepare: Prepare | None = None,
) -> AsyncIterator[Delta | Answer]:
    """Deltas of the answer's text while it is written, then the answer.

    With the setting ``generation.repair`` a model's text comes in one piece when it has been
    checked: what was handed on could not be taken back.

    Args:
        session: the conversation that it is a turn of.
        prepare: reads the turn; None: it is a question on its own.

    Raises:
        BackendError: the model failed before it had said anything.
        BudgetError: the prompt cannot hold the question beside the reply.
    """
    generator = parts.generator_of(model)
    quotes = generator.name == EXTRACTIVE
    judge = None if quotes else parts.judge()
    repairs = parts.settings.generation.repair and not quotes
    asked = Query(text=text, filter=as_strings(filter or {}), scope=parts.scope)
    inputs = {**_inputs(asked, budget, "hybrid"), "model": generator.name}
    if session:
        inputs["session"] = session
    recorder = Recorder("chat" if session else "ask", inputs)
    if prepare is None:
        budget = within_window(parts, model, budget)
        prepare = partial(_alone, parts, generator, filter, parts.habits_of(model).reminder)
    async with _recorded(parts, recorder):
        with recording(recorder):
            text, build = await prepare(asked)
            draft = Draft(await build(budget=budget), parts.options(model))
            with stage("answerable") as facts:
                chosen = recorder.route or EVERYWHERE
                score = await anyio.to_thread.run_sync(
                    answerability, parts, text, draft.context, chosen
                )
                facts["score"] = score
        if score < parts.answerability.threshold:
            draft.text = await anyio.to_thread.run_sync(not_found, parts, text, filter, chosen)
            yield Delta(text=draft.text)
        else:
            async with aclosing(_written(generator, draft, build, recorder)) as deltas:
                async for delta in deltas:
                    if not repairs:
                        yield delta
            with recording(recorder):
                await ground(parts, generator, draft, judge)
            if repairs:
                yield Delta(text=draft.text)
                yield Delta(usage=draft.usage, stop=draft.stop, error=draft.error)
        draft.notes = (*_notes(recorder), *draft.notes)
        draft.usage = draft.usage + taken(recorder)
        recorder.answer = draft.answer(generator.name)
    yield Answer(**{**dict(recorder.answer), "trace_id": recorder.trace_id})


def within_window(parts: Parts, model: ModelChoice | None, budget: int | None) -> int | None:
    """The budget that is wanted, else that the model works best with; it leaves the model room for
    its reply, where its window is known.

    Raises:
        BudgetError: the reply may take the whole window.
    """
    settings, window = parts.settings, parts.window_of(model)
    budget = budget or parts.habits_of(model).budget
    if window is None:
        return budget
    reply = parts.options(model).max_tokens
    room = window - reply
    if room <= 0:
        raise BudgetError(
            f"model {parts.chosen(model).name!r}: generation.max_tokens = {reply} leaves no room "
            f"for a prompt in its window of {window} tokens. Lower max_tokens."
        )
    return min(budget or settings.context.budget, room)


def _inputs(asked: Query, budget: int | None, mode: SearchMode) -> Facts:
    wanted: Facts = {key: [*values] for key, values in asked.filter.items()}
    return {"query": asked.text, "budget": budget, "filter": wanted, "mode": mode}


def _notes(recorder: Recorder) -> list[str]:
    """Of a router that failed or chose nothing, and models in whose place others were asked."""
    notes: list[str] = []
    for one in recorder.stages:
        if one["stage"] == "generate.fallback":
            notes.append(f"Another model was asked, because of this one: {one['why']}")
        elif one["stage"] == "route" and "failed" in one:
            notes.append(f"The router failed, and every source was asked: {one['failed']}")
        elif one["stage"] == "route" and not one["sources"]:
            notes.append(f"No source was asked: router {one['router']!r} chose none.")
    if failed := why_not(recorder):
        notes.append(f"What was searched for is told by rules: {failed}")
    return list(dict.fromkeys(notes))


@asynccontextmanager
async def _recorded(parts: Parts, recorder: Recorder) -> AsyncIterator[None]:
    """Keeps the run inside, also one that fails with an error of ours."""
    try:
        yield
    except CtxengError as error:
        recorder.error = f"{type(error).__name__}: {error}"
        await anyio.to_thread.run_sync(parts.record, recorder)
        recorder.spans.finish(error)
        raise
    except BaseException as error:
        recorder.spans.finish(error)  # given up by the caller
        raise
    recorder.trace_id = await anyio.to_thread.run_sync(parts.record, recorder)
    recorder.spans.finish(trace_id=recorder.trace_id)


class Build(Protocol):
    """Builds the context of a question once more."""

    async def __call__(self, *, budget: int | None) -> Context: ...


Prepare = Callable[[Query], Awaitable[tuple[str, Build]]]
"""Says what is searched for and answered in the place of a question, and who builds its prompt."""


async def _alone(
    parts: Parts, generator: Generator, filter: Filter | None, reminder: str, asked: Query
) -> tuple[str, Build]:
    return asked.text, partial(
        build_context,
        parts,
        asked.text,
        filter=filter,
        mode="hybrid",
        counter=generator.counter,
        reminder=reminder,
    )


async def _written(
    generator: Generator, draft: Draft, build: Build, recorder: Recorder
) -> AsyncGenerator[Delta]:
    """The generator's deltas, which the draft takes in."""
    for smaller in (False, True):
        if smaller:
            with recording(recorder):
                draft.context = await build(budget=draft.context.budget // 2)
        try:
            stream = _generated(generator, draft, recorder)
            async with aclosing(stream) as deltas:
                async for delta in deltas:
                    draft.take(delta)
                    yield delta
            break
        except BackendError as failure:
            # Its window is smaller than we know: once more with half of the context.
            if smaller or draft.text or failure.kind != "context_length":
                raise


async def _generated(
    generator: Generator, draft: Draft, recorder: Recorder
) -> AsyncGenerator[Delta]:
    """The generator's stream, each step of it under the recorder."""
    stream = generator.stream(draft.context.messages, draft.options)
    with recorder.generating(generator, draft.context.tokens, draft.options) as reply:
        async with aclosing(closable(stream)) as deltas:
            while True:
                with recording(recorder):  # a generator must not yield inside
                    try:
                        delta = await anext(deltas)
                    except StopAsyncIteration:
                        return
                reply.take(delta)
                yield delta


def answerability(parts: Parts, text: str, context: Context, chosen: Route) -> float:
    """The probability that what was found holds an answer."""
    dense = parts.dense()
    # Dense search returns whatever the filter lets through: fewer than it may means that is all.
    kept = sum(len(source.chunk_ids) for source in context.sources)
    seen = kept + sum(len(row.chunk_ids) for row in context.dropped)
    most = parts.settings.retrieval.candidates
    few = dense is not None and seen < min(chosen.depth or most, most)
    return parts.answerability.score(
        text,
        context.sources,
        searched=seen if few else None,
        embedder=dense.embedder if dense else None,
    )


def not_found(parts: Parts, text: str, filter: Filter | None, chosen: Route) -> str:
    """What is said in the place of an answer: which words of the question no source holds."""
    wanted = as_strings(filter or {})

    def is_held(word: str) -> bool:
        query = Query(text=word, filter=wanted, scope=parts.scope)
        return bool(parts.lexical.search(query, 1))

    shown = Redactor().redact(text)[0].replace(REDACTED, " ")  # no key is quoted
    missing = unheld(shown, is_held) if DOCUMENTS in chosen.sources else []
    words = "word" if len(missing) == 1 else "words"
    return f"{NOT_FOUND} No source has the {words}: {', '.join(missing)}." if missing else NOT_FOUND


def assembler_of(parts: Parts, counter: TokenCounter, reminder: str) -> Assembler:
    """Builds prompts from what is stored, as the policy allows."""
    return Assembler(counter, StoredText(parts), parts.idf, parts.policy, reminder)


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
