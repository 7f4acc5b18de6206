"""Says why the prompts of two runs differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from ctxeng.replay.difference import Cause, Difference
from ctxeng.replay.documents import Run, by_document
from ctxeng.trace.record import Trace
from ctxeng.types import Context


def diff(
    before: Trace, after: Trace, *, changed: Mapping[str, bool] | None = None
) -> list[Difference]:
    """Why the prompt of the second run is not that of the first.

    What was asked and set up comes first, then document by document in the order of the prompts.
    Each document gets the nearest cause alone. Where the prompts are the same, byte for byte, what
    was asked and set up otherwise is told all the same.

    Args:
        changed: documents that have been changed between the runs, by id, and whether each still
            exists. A record knows the candidates of its own run only: without this, what was
            removed has merely lost its rank.

    Raises:
        WorkspaceError: one of them cannot be replayed.
    """
    first, second = Run.of(before), Run.of(after)
    found = [*_asked(first, second), *_set_up(before, after)]
    if first.context.render() == second.context.render():
        return found
    documents = list(by_document(first, second, changed or {}))
    if not documents and all(one.cause != "query" for one in found):
        found += _around(first, second)
    return [*found, *documents]


# -- what was asked, and how it was set up


def _asked(first: Run, second: Run) -> Iterator[Difference]:
    one, two = first.trace.inputs, second.trace.inputs
    if one.get("query") != two.get("query"):
        yield _other("query", "query", one.get("query"), two.get("query"))
    elif _searched(first) != _searched(second):
        yield _other("query", "searched for", _searched(first), _searched(second))
    if "model" in one and "model" in two and one["model"] != two["model"]:
        yield _other("model", "model", one["model"], two["model"])
    if first.context.budget != second.context.budget:
        yield _other("setting", "budget", first.context.budget, second.context.budget)
    for name in sorted((one.keys() | two.keys()) - {"query", "model", "budget"}):
        if one.get(name) != two.get(name):
            yield _other("setting", name, one.get(name), two.get(name))
    if first.route != second.route:
        yield _other("router", "route", first.route, second.route)


def _searched(run: Run) -> str:
    """What was searched for in the place of a question that leans on others."""
    texts = run.last("rewrite").get("texts")
    return (
        " / ".join(map(str, texts)) if isinstance(texts, list) else str(run.trace.inputs["query"])
    )


def _set_up(before: Trace, after: Trace) -> Iterator[Difference]:
    one, two = _flat(before.settings), _flat(after.settings)
    for name in sorted(one.keys() | two.keys()):
        if one.get(name) != two.get(name):
            yield _other("setting", name, one.get(name), two.get(name))
    had = {**before.versions, "ctxeng": before.version}
    has = {**after.versions, "ctxeng": after.version}
    for name in sorted(had.keys() | has.keys()):
        if had.get(name) != has.get(name):
            yield _other("version", name, had.get(name), has.get(name))


def _flat(settings: Mapping[str, JsonValue], prefix: str = "") -> dict[str, JsonValue]:
    """``{"context": {"budget": 1}}`` → ``{"context.budget": 1}``."""
    found: dict[str, JsonValue] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _other(cause: Cause, what: str, before: JsonValue, after: JsonValue) -> Difference:
    why = f"{_shown(before)} → {_shown(after)}"
    return Difference(cause=cause, what=what, why=why, before=before, after=after)


def _shown(value: JsonValue) -> str:
    return "none" if value in (None, "", {}, []) else str(value)


# -- where the passages are the same


def _around(first: Run, second: Run) -> Iterator[Difference]:
    """The order of the passages, or the words around them."""
    before = [segment.text for segment in first.context.sources]
    after = [segment.text for segment in second.context.sources]
    if before != after and sorted(before) == sorted(after):
        yield Difference(cause="ranking", what="order", why="the same passages in another order")
        return
    one, two = _sections(first.context), _sections(second.context)
    for name in sorted(one.keys() | two.keys()):
        if one.get(name) != two.get(name):
            why = (
                "the words around the passages differ, such as the marker that fences them, which "
                "depends on all candidates"
                if name in one and name in two and before == after
                else "this section differs"
            )
            yield Difference(cause="prompt", what=name, why=why)


def _sections(context: Context) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for segment in context.segments:
        found.setdefault(segment.section, []).append(segment.text)
    return found
