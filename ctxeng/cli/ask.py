"""``ask``: the answer, streamed, with the places that it rests on."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctxeng.cli import output
from ctxeng.cli.options import (
    DEFAULT_WORKSPACE,
    AsJson,
    Budget,
    Config,
    Filters,
    ModelName,
    WaitForWriter,
    Workspace,
    note_what_is_missing,
    open_engine,
    open_to_read,
    parse_filters,
)
from ctxeng.cli.search import QueryText

if TYPE_CHECKING:
    from ctxeng.engine import Engine
    from ctxeng.protocols import Delta
    from ctxeng.settings import Settings
    from ctxeng.types import Answer, Citation, Source

QUOTE = 200
"""Characters shown of a quoted place."""


def ask(
    query: QueryText,
    *,
    path: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            exists=True,
            help="Index this file or folder first; may be given again.",
            show_default=False,
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="With --path: wait for the slower vectors too.")
    ] = False,
    wait_for_writer: WaitForWriter = False,
    model: ModelName = None,
    budget: Budget = None,
    filter: Filters = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Answer a question from the indexed files; every sentence cites the place it comes from.

    Where nothing supports an answer it says so.

    For example:

      ctxeng ask 'How long is parental leave?' --path handbook

      ctxeng ask 'Who approves travel?' --model local

      ctxeng ask 'Who approves travel?' --json
    """
    wanted = parse_filters(filter)
    with (
        open_engine(workspace, config, create=True, wait_for_writer=wait_for_writer)
        if path
        else open_to_read(workspace, config)
    ) as engine:
        failed = _index(engine, path, wait=wait) if path else False
        if as_json:
            answer = engine.ask(query, budget=budget, filter=wanted, model=model)
            output.emit(answer.model_dump(mode="json"))
        else:
            answer = _stream(engine, query, budget, wanted, model)
        note_what_is_missing(engine)
    return output.SOME_FAILED if failed or answer.error else output.OK


def _index(engine: Engine, paths: list[Path], *, wait: bool) -> bool:
    """Whether some files could not be read, each of which is noted."""
    bars = output.Bars(lambda: engine.status().vectors)
    with bars:
        report = engine.index(paths, fast=not wait, wait=wait, on_progress=bars)
    for failure in report.failed:
        output.note(f"{output.place(failure.uri)}: {failure.why}. {failure.hint}".rstrip())
    return bool(report.failed)


def _stream(
    engine: Engine,
    query: str,
    budget: int | None,
    wanted: dict[str, list[str]],
    model: str | None,
) -> Answer:
    events = engine.stream(query, budget=budget, filter=wanted, model=model)
    try:
        answer = print_text(events, engine.settings)
    except KeyboardInterrupt:
        output.end_line()  # the shell's prompt is not to stand behind half an answer
        raise
    print_sources(answer)
    print_doubts(answer)
    return answer


def print_text(events: Iterable[Delta | Answer], settings: Settings) -> Answer:
    """Write the answer's text while it comes; the answer.

    A text that is begun again is seen on a terminal. Elsewhere nothing can be taken back: where
    that may happen, the text is written when it is whole.
    """
    from ctxeng.protocols import Restart
    from ctxeng.types import Answer

    retried = any(table.retry_broken_streams for table in settings.models.values())
    holds = retried and not sys.stdout.isatty()
    for event in events:
        if isinstance(event, Answer):
            output.write(f"{output.printable(event.text) if holds else ''}\n")
            return event
        if isinstance(event, Restart):
            if not holds:
                output.write("\n")
            output.note(f"Broken off, and begun again: {event.error}")
        if not holds:
            output.write(output.printable(event.text))
    raise AssertionError("a stream ends with its answer")


def print_doubts(answer: Answer) -> None:
    """What the reader should know of an answer, above all of one that a model wrote."""
    from ctxeng.generation import EXTRACTIVE
    from ctxeng.grounding import SUPPORTED

    if answer.error:
        output.note(f"The model broke off: {answer.error}")
    written = answer.model != EXTRACTIVE
    doubted = [claim.text for claim in answer.claims if written and claim.support < SUPPORTED]
    for said in dict.fromkeys(output.one_line(text, QUOTE) for text in doubted):
        output.note(f"No support found: {said}")
    if answer.repaired:
        output.note("The second version: sentences of the first had no support.")
    for note in answer.notes:
        output.note(note)
    if written or answer.usage.cost:
        output.note_usage(answer.usage)


def print_sources(answer: Answer) -> None:
    """Each cited place with what stands there."""
    if answer.citations:
        output.say()
    for citation in answer.citations:
        for place in _places(answer, citation):
            output.say(f"[{citation.number}] {output.place(place.location)}", style="bold")
            start = place.span.start - citation.source.span.start
            quote = citation.quote[start : start + len(place.span)]
            output.say(f"    {output.one_line(quote, QUOTE)}")


def _places(answer: Answer, citation: Citation) -> list[Source]:
    """Where in the cited source each sentence of the answer stands; the citation spans them all."""
    whole = citation.source
    places = {
        (source.span.start, source.span.end): source
        for claim in answer.claims
        for source in claim.sources
        if source.document_id == whole.document_id
        and whole.span.start <= source.span.start
        and source.span.end <= whole.span.end
    }
    return [places[span] for span in sorted(places)]
