"""``search`` and ``context``: what is found, and what a model would see of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
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
    open_to_read,
    parse_filters,
)

if TYPE_CHECKING:
    from pydantic import JsonValue

    from ctxeng.types import Context, Hit, TextFormat

QueryText = Annotated[str, typer.Argument(metavar="QUERY", help="A question or some words.")]
EXCERPT = 240
"""Characters shown of a hit."""
LEAD = 100
"""Characters by which an excerpt may begin before the best place, to begin with its sentence."""
WORD = re.compile(r"\S+")


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

    There is no query syntax: every character of the query is text.

    For example:

      ctxeng search 'parental leave'

      ctxeng search get_user_name --mode lexical --explain

      ctxeng search holidays --filter media_type=application/pdf --json
    """
    with open_to_read(workspace, config) as engine:
        hits = engine.search(query, limit=limit, filter=parse_filters(filter), mode=mode)
        if mode != "lexical":
            note_what_is_missing(engine)
    if as_json:
        rows = [{**hit.model_dump(mode="json"), "location": hit.location} for hit in hits]
        output.emit({"query": query, "mode": mode, "hits": list(rows)})
        return output.OK
    if not hits:
        output.say("Nothing found.")
        if filter:
            output.note("Only what fits --filter was searched; a hit's --json shows its fields.")
    for rank, hit in enumerate(hits, start=1):
        _print_hit(rank, hit, query)
    if explain and hits:
        _print_stages(hits)
    return output.OK


def _print_hit(rank: int, hit: Hit, query: str) -> None:
    where = f"{output.place(hit.location)}  [{hit.start}, {hit.end})"
    output.say(f"{rank:>2}  {where}  {hit.score:.3f}", style="bold")
    trail = [step for step in hit.heading_path if step != PurePosixPath(hit.uri).name]
    if trail:
        output.say(f"    {output.one_line(' > '.join(trail), EXCERPT)}", style="cyan")
    output.say(f"    {excerpt(hit.text, query, hit.format)}")


def excerpt(text: str, query: str, text_format: TextFormat = "plain") -> str:
    """At most ``EXCERPT`` characters of the text, from where most of the query's terms stand
    together; from the start of that sentence, row or line of code where it is near. Headings are
    left out: a hit shows them apart.
    """
    from ctxeng.text.quotable import quotes
    from ctxeng.text.terms import terms

    lines: TextFormat = "table" if text_format == "code" else text_format
    units = [quote.span for quote in quotes(text, lines) if not quote.is_heading]
    wanted = set(terms(query))
    words = [word for unit in units for word in WORD.finditer(text, unit.start, unit.end)]
    held = {word.start(): wanted.intersection(terms(word[0])) for word in words}
    found = [start for start in held if held[start]]
    if not found:
        return output.one_line(text[units[0].start if units else 0 :], EXCERPT)

    def held_from(first: int) -> int:
        near = [held[start] for start in found if first <= start < first + EXCERPT - LEAD]
        return len(set().union(*near))

    best = max(found, key=held_from)
    start = next(unit.start for unit in units if unit.start <= best < unit.end)
    cut = best - start > LEAD
    return output.one_line("…" + text[best:] if cut else text[start:], EXCERPT)


def _print_stages(hits: Sequence[Hit]) -> None:
    stages = sorted({stage for hit in hits for stage in hit.stages})
    output.say()
    output.table(
        ["#", "where", *(stage.replace(".", "\n") for stage in stages)],
        [
            [rank, output.short_place(hit.location), *(hit.stages.get(stage) for stage in stages)]
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
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            dir_okay=False,
            help="Write one page that shows the prompt, where each piece is from, and what was "
            "left out, for any browser.",
            show_default=False,
        ),
    ] = None,
    filter: Filters = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Print the prompt that a model would get for a query, byte for byte.

    It never has more tokens than the budget.

    For example:

      ctxeng context 'How long is parental leave?' --budget 800

      ctxeng context 'How long is parental leave?' --manifest

      ctxeng context 'How long is parental leave?' --html prompt.html
    """
    with open_to_read(workspace, config) as engine:
        built = engine.context(query, budget=budget, filter=parse_filters(filter))
        note_what_is_missing(engine)
    if html is not None:
        write_page(built, html)
    if as_json:
        value = {**built.model_dump(mode="json"), "text": built.text}
        output.emit({**value, "manifest": list(built.manifest())} if manifest else value)
    elif manifest:
        output.table(
            ["kept", "#", "what", "span", "tokens", "score", "reason"],
            [_manifest_row(row) for row in built.manifest()],
        )
        output.say(f"{built.tokens} of {built.budget} tokens, counted by {built.tokenizer}")
    elif html is not None:
        output.say(f"{html}: {built.tokens} of {built.budget} tokens")
    else:
        output.write(built.render())
        output.end_line()
    return output.OK


def write_page(context: Context, file: Path) -> None:
    """Raises:
    ConfigError: the file cannot be written.
    """
    from ctxeng.context.page import context_page
    from ctxeng.errors import ConfigError

    try:
        file.write_text(context_page(context), "utf-8")
    except OSError as error:
        raise ConfigError(
            f"--html {file}: it cannot be written ({error.strerror}). Name a file in a folder that "
            "is there and may be written to."
        ) from error


def _manifest_row(row: Mapping[str, JsonValue]) -> list[object]:
    source, start, end = row["source"], row["start"], row["end"]
    return [
        "yes" if row["kept"] else "no",
        row["number"],
        output.short_place(str(source)) if source else row["section"],
        f"[{start}, {end})" if source else "",
        row["tokens"],
        row["score"],
        row["reason"],
    ]
