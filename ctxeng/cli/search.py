"""``search`` and ``context``: what is found, and what a model would see of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ctxeng.cli import output
from ctxeng.cli.options import (
    DEFAULT_WORKSPACE,
    AsJson,
    Budget,
    Config,
    Filters,
    Workspace,
    note_what_is_missing,
    open_engine,
    parse_filters,
)

if TYPE_CHECKING:
    from ctxeng.types import Hit

QueryText = Annotated[str, typer.Argument(metavar="QUERY", help="A question or some words.")]
EXCERPT = 240
"""Characters shown of a hit."""
LEAD = 80
"""Characters before the best place among which an excerpt may begin."""
WORD = re.compile(r"\S+")
BORDERS = ("\n", ". ", "? ", "! ", "。")


def search(
    query: QueryText,
    *,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many hits.")] = 10,
    filter: Filters = None,
    mode: Annotated[
        Literal["lexical", "dense", "hybrid"],
        typer.Option(help="By terms, by vectors, or by both."),
    ] = "hybrid",
    explain: Annotated[
        bool, typer.Option("--explain", help="Also the score that each stage gave.")
    ] = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Find the passages that fit a query best.

    For example:

      ctxeng search 'parental leave'

      ctxeng search get_user_name --mode lexical --explain

      ctxeng search holidays --filter media_type=application/pdf --json
    """
    with open_engine(workspace, config) as engine:
        hits = engine.search(query, limit=limit, filter=parse_filters(filter), mode=mode)
        if mode != "lexical":
            note_what_is_missing(engine)
    if as_json:
        rows = [{**hit.model_dump(mode="json"), "location": hit.location} for hit in hits]
        output.emit({"query": query, "mode": mode, "hits": list(rows)})
        return output.OK
    if not hits:
        output.say("Nothing found.")
    for rank, hit in enumerate(hits, start=1):
        _print_hit(rank, hit, query)
    if explain and hits:
        _print_stages(hits)
    return output.OK


def _print_hit(rank: int, hit: Hit, query: str) -> None:
    where = f"{output.place(hit.location)}  [{hit.start}, {hit.end})"
    output.say(f"{rank:>2}  {where}  {hit.score:.3f}", style="bold")
    output.say(f"    {excerpt(hit.text, query)}")


def excerpt(text: str, query: str) -> str:
    """At most ``EXCERPT`` characters of the text, from where most of the query's terms stand
    together; from the start of that line or sentence where it is near.
    """
    from ctxeng.text.terms import terms

    wanted = set(terms(query))
    words = [(word.start(), wanted.intersection(terms(word[0]))) for word in WORD.finditer(text)]
    found = [(start, held) for start, held in words if held]
    if not found:
        return output.one_line(text, EXCERPT)

    def held_from(first: int) -> int:
        near = [held for start, held in found if first <= start < first + EXCERPT - LEAD]
        return len(set().union(*near))

    best = max((start for start, _ in found), key=held_from)
    border = max(text.rfind(mark, max(0, best - LEAD), best) + len(mark) for mark in BORDERS)
    if border > best - LEAD or best <= LEAD:
        return output.one_line(text[max(0, border) if border > best - LEAD else 0 :], EXCERPT)
    return output.one_line("…" + text[best:], EXCERPT)


def _print_stages(hits: Sequence[Hit]) -> None:
    stages = sorted({stage for hit in hits for stage in hit.stages})
    output.say()
    output.table(
        ["#", "where", *stages],
        [
            [rank, output.place(hit.location), *(hit.stages.get(stage) for stage in stages)]
            for rank, hit in enumerate(hits, start=1)
        ],
    )


def context(
    query: QueryText,
    *,
    budget: Budget = None,
    manifest: Annotated[
        bool,
        typer.Option("--manifest", help="Every kept and dropped piece with the reason, instead."),
    ] = False,
    filter: Filters = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Print the prompt that a model would get for a query, byte for byte.

    For example:

      ctxeng context 'How long is parental leave?' --budget 800

      ctxeng context 'How long is parental leave?' --manifest
    """
    from ctxeng.context.manifest import manifest as rows_of

    with open_engine(workspace, config) as engine:
        built = engine.context(query, budget=budget, filter=parse_filters(filter))
        note_what_is_missing(engine)
    if as_json:
        value = {**built.model_dump(mode="json"), "text": built.text}
        output.emit({**value, "manifest": list(rows_of(built))} if manifest else value)
    elif manifest:
        rows = rows_of(built)
        names = ["kept", "number", "section", "source", "start", "end", "tokens", "score", "reason"]
        output.table(names, [[_shown(name, row[name]) for name in names] for row in rows])
        output.say(f"{built.tokens} of {built.budget} tokens ({built.tokenizer})")
    else:
        output.write(built.render())
    return output.OK


def _shown(name: str, value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return output.place(str(value)) if name == "source" else value
