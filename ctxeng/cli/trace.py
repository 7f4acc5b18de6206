"""``trace``, ``replay`` and ``diff``: what past runs saw, and why two of them saw otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ctxeng.cli import output
from ctxeng.cli.options import DEFAULT_WORKSPACE, AsJson, Config, Workspace, open_to_read
from ctxeng.errors import ConfigError

if TYPE_CHECKING:
    from ctxeng.trace.record import Trace

TraceId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="A run's id, or how it begins; `last`: the newest, `last-1`: the one before.",
    ),
]
SHOWN_ID = 12
"""Characters of an id in tables."""
SHOWN = 10
"""Candidates in a table."""
DAMAGED = "(damaged: `ctxeng trace remove ID` takes it away)"
LINE = 100
"""Characters of a query in a table."""

trace = typer.Typer(no_args_is_help=True)


@trace.callback()
def _traces() -> None:
    """List, show or forget the runs that are recorded in the workspace."""


@trace.command("list")
def list_traces(
    *,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many, newest first.")] = 20,
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """List the recorded runs, newest first.

    Runs that differ in nothing but time are one line.

    For example:

      ctxeng trace list

      ctxeng trace list --limit 100 --json
    """
    with open_to_read(workspace, config) as engine:
        found = engine.traces(limit=limit)
    if as_json:
        output.emit([one.model_dump(mode="json") for one in found])
        return output.OK
    if not found:
        output.say("No runs are recorded: each `ctxeng context`, `ask` and turn of a chat is one.")
        return output.OK
    output.table(
        ["id", "time (UTC)", "verb", "runs", "tokens", "model", "query"],
        [
            [
                one.id[:SHOWN_ID],
                f"{one.time:%Y-%m-%d %H:%M:%S}",
                one.verb,
                one.runs,
                one.tokens,
                one.model,
                DAMAGED if one.damaged else output.one_line(one.query, LINE),
            ]
            for one in found
        ],
    )
    return output.OK


@trace.command("show")
def show_trace(
    trace_id: TraceId,
    *,
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Show what a run took in, found and decided, and how long its stages took.

    For example:

      ctxeng trace show last

      ctxeng trace show 3f2a --json
    """
    with open_to_read(workspace, config) as engine:
        found = engine.trace(trace_id)
    if as_json:
        output.emit(found.model_dump(mode="json"))
        return output.OK
    _print_facts(found)
    _print_stages(found)
    _print_candidates(found)
    return output.OK


def _print_facts(found: Trace) -> None:
    rows: list[tuple[str, object]] = [
        ("id", found.id),
        ("verb", found.verb),
        ("time", f"{found.time:%Y-%m-%d %H:%M:%S} UTC{_times(found.runs)}"),
        *((name, output.one_line(str(value), LINE)) for name, value in found.inputs.items()
          if value not in (None, "", {})),
    ]  # fmt: skip
    if found.context is not None:
        tokens, budget = found.context["tokens"], found.context["budget"]
        rows.append(("prompt", f"{tokens} of {budget} tokens, sha256 {found.prompt[:SHOWN_ID]}…"))
    if found.answer is not None:
        rows.append(("answer", output.one_line(str(found.answer["text"]), LINE)))
    if found.error:
        rows.append(("error", output.one_line(found.error, LINE)))
    if found.redacted:
        rows.append(("redacted", f"{found.redacted} keys were left out of the record"))
    rows += [(name, version) for name, version in found.versions.items() if version]
    rows.append(("ctxeng", found.version))
    output.table(["", ""], rows)


def _times(runs: int) -> str:
    return f", the last of {runs} runs" if runs > 1 else ""


def _print_stages(found: Trace) -> None:
    output.say()
    output.table(
        ["stage", "seconds", "CPU", "what"],
        [
            [
                facts["stage"],
                facts.get("seconds"),
                facts.get("cpu_seconds"),
                ", ".join(
                    f"{name} {output.one_line(_shown(fact), 60)}"
                    for name, fact in facts.items()
                    if name not in ("stage", "seconds", "cpu_seconds", "at", "wait")
                    and fact not in (None, "", [], {})
                ),
            ]
            for facts in found.stages
        ],
    )


def _shown(fact: object) -> str:
    if isinstance(fact, list | tuple):
        return ", ".join(map(_shown, fact))
    if isinstance(fact, dict):
        return ", ".join(f"{name} {_shown(value)}" for name, value in fact.items())
    return f"{fact:.4g}" if isinstance(fact, float) else str(fact)


def _print_candidates(found: Trace) -> None:
    if not found.candidates:
        return
    output.say()
    output.table(
        ["#", "candidate", "span", "tokens", "score"],
        [
            [
                rank,
                output.short_place(_place(found, one.document_id)),
                f"[{one.start}, {one.end})",
                one.tokens,
                one.score,
            ]
            for rank, one in enumerate(found.candidates[:SHOWN], start=1)
        ],
    )
    if len(found.candidates) > SHOWN:
        output.note(f"and {len(found.candidates) - SHOWN} more; --json has them all.")


def _place(found: Trace, document_id: str) -> str:
    document = found.documents.get(document_id)
    return document.uri if document else document_id


@trace.command("remove")
def remove_traces(
    trace_ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID…", help="Runs to forget.", show_default=False)
    ] = None,
    *,
    all_of_them: Annotated[bool, typer.Option("--all", help="Forget all of them.")] = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Forget recorded runs, and the texts that only they held.

    For example:

      ctxeng trace remove 3f2a

      ctxeng trace remove --all
    """
    if bool(trace_ids) == all_of_them:
        raise ConfigError("name the runs to forget, or give --all.")
    with open_to_read(workspace, config) as engine:
        removed = engine.remove_traces(*(trace_ids or ()))
    if as_json:
        output.emit({"removed": removed})
    else:
        output.say(f"{removed} run{'' if removed == 1 else 's'} forgotten")
    return output.OK


def replay(
    trace_id: TraceId,
    *,
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Print the prompt of a recorded run once more, byte for byte.

    It comes from the record alone: whatever has been indexed, changed or removed since.

    For example:

      ctxeng replay last

      ctxeng replay 3f2a --json
    """
    with open_to_read(workspace, config) as engine:
        found = engine.trace(trace_id)
        built = engine.replay(found.id)
    if found.redacted:
        output.note(
            f"{found.redacted} keys were left out when it was recorded: there these bytes differ."
        )
    if as_json:
        value = built.model_dump(mode="json")
        exact = not found.redacted
        output.emit({**value, "text": built.text, "trace_id": found.id, "exact": exact})
    else:
        output.write(built.render())
        output.end_line()
    return output.OK


def diff(
    before: TraceId,
    after: TraceId,
    *,
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Say why the prompts of two recorded runs differ.

    A setting, a changed document, a rank that moved, another room: the nearest cause of each.

    For example:

      ctxeng diff 3f2a last

      ctxeng diff last-1 last
    """
    with open_to_read(workspace, config) as engine:
        first, second = engine.trace(before), engine.trace(after)
        found = engine.diff(first.id, second.id)
    if as_json:
        rows = [{**one.model_dump(mode="json"), "text": one.text} for one in found]
        same = first.prompt == second.prompt
        output.emit(
            {"before": first.id, "after": second.id, "same": same, "differences": list(rows)}
        )
        return output.OK
    if first.prompt == second.prompt:
        output.say("The prompts are the same, byte for byte.")
    if found:
        output.table(
            ["cause", "what", "why"],
            [[one.cause, output.short_place(one.what), one.why] for one in found],
        )
    return output.OK
