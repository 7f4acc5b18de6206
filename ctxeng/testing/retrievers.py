"""The laws of ``Retriever``, one function each.

Each takes a function that makes a retriever over documents, each in the scope that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from ctxeng.protocols import Retriever
from ctxeng.types import Document, Hit, Query, Scope

MakeRetriever = Callable[[Sequence[Document]], Retriever]

HERE, THERE = Scope(), Scope(tenant="acme")
TIMEOUT = 60.0
HARD_QUERIES: Sequence[str] = (
    'AND ( ^ ~ " OR NOT * : [ ] { } \\ /',
    "the of and",
    "\ud800\x00",
    "pump " * 20_000,
    "日本語ですか",
)

DOCUMENTS: Sequence[Document] = tuple(
    Document(
        id=f"{scope.tenant}-{number}",
        text=f"The pump seal number {number} is checked by {name}. It lasts {number} weeks.",
        metadata={"shift": name},
        scope=scope,
    )
    for scope, names in ((HERE, ["ann", "bob"]), (THERE, ["eve", "mallory"]))
    for number, name in enumerate(names * 6)
)


def hits_come_best_first_and_at_most_the_limit(make: MakeRetriever) -> None:
    retriever = make(DOCUMENTS)
    for limit in (1, 3, 12, 100):
        hits = _ask(retriever, "which pump seal does bob check?", limit)
        assert 0 < len(hits) <= limit
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
    for limit in (0, -1):
        assert _ask(retriever, "pump", limit) == []


def ids_are_unique(make: MakeRetriever) -> None:
    hits = _ask(make(DOCUMENTS), "pump seal pump", 100)
    assert len({hit.id for hit in hits}) == len(hits)


def a_hit_says_where_it_is(make: MakeRetriever) -> None:
    texts = {document.id: document.text for document in DOCUMENTS}
    for hit in _ask(make(DOCUMENTS), "pump seal", 100):
        assert texts[hit.document_id][hit.start : hit.end] == hit.text
        assert hit.uri
        assert hit.stages


def no_search_crosses_its_scope(make: MakeRetriever) -> None:
    retriever = make(DOCUMENTS)
    for scope in (HERE, THERE):
        for text in ("pump seal", "eve mallory ann bob"):
            hits = _ask(retriever, text, 100, scope=scope)
            assert hits
            assert {hit.document_id.partition("-")[0] for hit in hits} == {scope.tenant}
    assert _ask(retriever, "pump", 100, scope=Scope(tenant="nobody")) == []


def filters_come_before_the_limit(make: MakeRetriever) -> None:
    retriever = make(DOCUMENTS)
    hits = _ask(retriever, "pump seal of ann", 6, shift=("bob",))
    assert len(hits) == 6
    assert {hit.metadata["shift"] for hit in hits} == {"bob"}
    assert _ask(retriever, "pump", 6, shift=("nobody",)) == []
    assert _ask(retriever, "pump", 6, shift=("eve",)) == []  # of another scope


def the_same_question_has_the_same_answer(make: MakeRetriever) -> None:
    retriever = make(DOCUMENTS)
    first = _ask(retriever, "who checks seal number 3?", 10)
    assert _ask(retriever, "who checks seal number 3?", 10) == first


def nothing_is_found_for_nothing_and_in_nothing(make: MakeRetriever) -> None:
    retriever = make(DOCUMENTS)
    for text in ("", " \n\t"):
        assert _ask(retriever, text, 10) == []
    assert _ask(make([]), "pump", 10) == []


def any_query_is_answered(make: MakeRetriever) -> None:
    retriever = make(DOCUMENTS)
    for text in HARD_QUERIES:
        assert len(_ask(retriever, text, 5)) <= 5


def it_can_be_cancelled(make: MakeRetriever) -> None:
    """And answers the next one."""
    retriever = make(DOCUMENTS)

    async def law() -> list[Hit]:
        with anyio.fail_after(TIMEOUT):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await retriever.retrieve(Query(text="pump"), 10)
            assert scope.cancelled_caught
            return await retriever.retrieve(Query(text="pump"), 10)

    assert anyio.run(law)


def many_may_ask_at_once(make: MakeRetriever) -> None:
    retriever = make(DOCUMENTS)
    expected = {scope.key: _ask(retriever, "pump seal", 10, scope=scope) for scope in (HERE, THERE)}

    async def law() -> None:
        async def ask(scope: Scope) -> None:
            hits = await retriever.retrieve(Query(text="pump seal", scope=scope), 10)
            assert hits == expected[scope.key]

        with anyio.fail_after(TIMEOUT):
            async with anyio.create_task_group() as group:
                for scope in (HERE, THERE) * 8:
                    group.start_soon(ask, scope)

    anyio.run(law)


def _ask(
    retriever: Retriever,
    text: str,
    limit: int,
    *,
    scope: Scope = HERE,
    **where: tuple[str, ...],
) -> list[Hit]:
    async def ask() -> list[Hit]:
        with anyio.fail_after(TIMEOUT):
            query = Query(text=text, scope=scope, filter=dict(where))
            return await retriever.retrieve(query, limit)

    return anyio.run(ask)


RETRIEVER_LAWS: Sequence[Callable[[MakeRetriever], None]] = (
    hits_come_best_first_and_at_most_the_limit,
    ids_are_unique,
    a_hit_says_where_it_is,
    no_search_crosses_its_scope,
    filters_come_before_the_limit,
    the_same_question_has_the_same_answer,
    nothing_is_found_for_nothing_and_in_nothing,
    any_query_is_answered,
    it_can_be_cancelled,
    many_may_ask_at_once,
)
