"""The laws of ``Router``, one function each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from ctxeng.protocols import Router
from ctxeng.types import Query, Route, Scope

TIMEOUT = 60.0
QUERIES: Sequence[str] = (
    "How long is parental leave?",
    "Thank you!",
    "and who approves it?",
    "What was the revenue in 2024, and how does it compare with 2023?",
    "",
    " \n\t",
    "pump " * 20_000,
    "日本語ですか",
    "\x00\u202e` ; DROP TABLE sources",
)


def what_is_chosen_and_weighed_is_known(router: Router) -> None:
    known = set(router.sources)
    assert len(known) == len(router.sources)
    for text in QUERIES:
        chosen = _routed(router, text)
        assert set(chosen.sources) <= known
        assert set(chosen.scores) <= known


def a_source_is_chosen_once(router: Router) -> None:
    for text in QUERIES:
        chosen = _routed(router, text).sources
        assert len(set(chosen)) == len(chosen)


def scores_are_in_0_to_1(router: Router) -> None:
    for text in QUERIES:
        assert all(0 <= score <= 1 for score in _routed(router, text).scores.values())


def every_scope_and_filter_has_a_route(router: Router) -> None:
    for scope in (Scope(), Scope(tenant="nobody")):
        query = Query(text=QUERIES[0], scope=scope, filter={"shift": ("night",)})
        assert set(_routed(router, query).sources) <= set(router.sources)


def it_answers_after_one_was_given_up(router: Router) -> None:
    async def law() -> Route:
        with anyio.fail_after(TIMEOUT):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await router.route(Query(text=QUERIES[0]))
            return await router.route(Query(text=QUERIES[0]))

    assert set(anyio.run(law).sources) <= set(router.sources)


def _routed(router: Router, asked: str | Query) -> Route:
    async def route() -> Route:
        with anyio.fail_after(TIMEOUT):
            return await router.route(Query(text=asked) if isinstance(asked, str) else asked)

    return anyio.run(route)


ROUTER_LAWS: Sequence[Callable[[Router], None]] = (
    what_is_chosen_and_weighed_is_known,
    a_source_is_chosen_once,
    scores_are_in_0_to_1,
    every_scope_and_filter_has_a_route,
    it_answers_after_one_was_given_up,
)
"""All of them."""
