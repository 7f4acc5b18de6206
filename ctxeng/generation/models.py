"""Which models there are by name, which of them can be used now; to add one, or to remove it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio

from ctxeng.errors import ConfigError, CtxengError
from ctxeng.generation.extras import LLAMA, LOCAL, missing
from ctxeng.generation.packaged import (
    PACKAGED,
    SMOLLM2,
    PackagedModel,
    fetch,
    require_folder,
    take_away,
)
from ctxeng.generation.registry import Registered, forget, kind_of, registered, remember
from ctxeng.generation.sources import adapter_folder
from ctxeng.protocols import Generator, OnProgress
from ctxeng.settings import ModelSettings, Settings

OF_OURS = frozenset({"extractive", "local"})
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

LocalBackend = Literal["llama", "transformers"]
RUNS = {"llama": "llama.cpp", "transformers": "transformers"}


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One line of `ctxeng models`."""

    name: str
    backend: str
    model: str
    usable: bool
    why: str = ""
    """What it is, or why it is not usable."""
    advice: str = ""


def add_model(name: str, where: str = "", *, on_progress: OnProgress) -> ModelStatus:
    """Fetch a packaged model, or register another one by a name.

    Args:
        name: ``smollm2``; or, with ``where``, any other name.
        where: a model's folder, an adapter's folder, a GGUF file or a hub name; of a packaged
            model its wheel or file, where it cannot be downloaded.

    Raises:
        ConfigError: there is no such model, or it cannot be used.
        BackendError: it cannot be downloaded, or is not the known one.
    """
    if name in PACKAGED:
        model = PACKAGED[name]
        fetch(model, on_progress=on_progress, source=Path(where).expanduser() if where else None)
        if _backend() == "transformers":
            require_folder(model, on_progress)
        return _packaged_status(model)
    if not where:
        raise ConfigError(
            f"{name}: no packaged model; there is {', '.join(PACKAGED)}. To register another, say "
            "where it is: `ctxeng models add NAME FOLDER_OR_HUB_NAME`."
        )
    if name in OF_OURS or not NAME.fullmatch(name):
        raise ConfigError(f"{name!r}: choose another name, of letters, digits, '.', '-', '_'.")
    kind = kind_of(where)
    place = where if kind == "hub" else str(Path(where).expanduser().resolve())
    made = Registered(name, kind, place)
    remember(made)
    return _registered_status(made)


@dataclass(frozen=True, slots=True)
class Removed:
    """What ``remove_model`` did."""

    name: str
    kind: Literal["packaged", "folder", "gguf", "adapter", "hub"]
    deleted: tuple[str, ...]
    """Files and folders in ctxeng's own cache; never what a user made."""
    bytes: int
    """That these had."""
    left: str
    """Where a registered model still is; empty: nowhere."""


def remove_model(name: str, settings: Settings) -> Removed:
    """Delete a packaged model from the cache, or take a registered one's name away: the files of
    that one are the user's, and stay.

    Args:
        settings: whose tables name models too, for the message.

    Raises:
        ConfigError: there is no such model here, or another process is at it.
    """
    known = registered()
    if name in PACKAGED:
        deleted, size = take_away(PACKAGED[name])
        if deleted:
            return Removed(name, "packaged", tuple(str(path) for path in deleted), size, "")
    elif name in known and (one := forget(name)) is not None:
        return Removed(name, one.kind, (), 0, one.where)
    here = [model.name for model in PACKAGED.values() if model.gguf.exists()] + [*known]
    there_is = f"to remove there is: {', '.join(here) or 'nothing'}"
    if name in PACKAGED:
        raise ConfigError(f"{name}: is not here; {there_is}.")
    if name in settings.models:
        raise ConfigError(
            f"{name}: stands in ctxeng.toml: delete its table [models.{name}]; {there_is}."
        )
    if name == "local":
        raise ConfigError(f"local: is another name of {SMOLLM2.name}; {there_is}.")
    raise ConfigError(f"no model is called {name!r}; {there_is}.")


def resolve_local() -> Generator:
    """The packaged model on whatever can run it: llama.cpp where it is installed, which makes
    twice as many tokens with the same work, else transformers.

    Raises:
        ConfigError: it was not fetched, or nothing that runs it is installed.
    """
    backend = _backend()
    if backend is None:
        raise ConfigError(
            f"nothing is installed that runs {SMOLLM2.name}. Run `pip install 'ctxeng[llama]'` "
            "(small) or `pip install 'ctxeng[local]'`."
        )
    return _generator(ModelSettings(backend=backend, model=SMOLLM2.name))


def resolve_registered(name: str) -> Generator | None:
    """The generator of a packaged or registered model; None: there is none of this name.

    Raises:
        ConfigError: there is, but it cannot be used.
    """
    if name == SMOLLM2.name:
        return resolve_local()
    known = registered().get(name)
    if known is None or known.kind == "adapter":
        return None
    backend: LocalBackend = "llama" if known.kind == "gguf" else "transformers"
    return _generator(ModelSettings(backend=backend, model=name))


def model_statuses(settings: Settings) -> list[ModelStatus]:
    """Every model that a name stands for, and whether it can be used now. Asks no server."""
    made = [ModelStatus("extractive", "extractive", "", True, "quotes the sources; needs nothing")]
    made.append(_local_status())
    made += [_packaged_status(model) for model in PACKAGED.values()]
    made += [_registered_status(one) for one in registered().values()]
    made += [_named_status(name, settings) for name in settings.models]
    return made


def _local_status() -> ModelStatus:
    status = _packaged_status(SMOLLM2)
    why = f"{SMOLLM2.name} on {RUNS[status.backend]}" if status.usable else status.why
    return ModelStatus("local", status.backend, SMOLLM2.name, status.usable, why, status.advice)


def _packaged_status(model: PackagedModel) -> ModelStatus:
    backend = _backend()
    here = model.gguf.exists() or (backend == "transformers" and model.folder.exists())
    why, advice = f"{model.title}; {model.license}", ""
    if not here:
        why, advice = "not fetched yet", f"Run `ctxeng models add {model.name}`."
    elif backend is None:
        why = "nothing that runs it is installed"
        advice = "Run `pip install 'ctxeng[llama]'`, or 'ctxeng[local]'."
    usable = here and backend is not None
    return ModelStatus(model.name, backend or "llama", model.package, usable, why, advice)


def _registered_status(one: Registered) -> ModelStatus:
    if one.kind == "adapter":
        return _adapter_status(one)
    backend: LocalBackend = "llama" if one.kind == "gguf" else "transformers"
    status = _table_status(one.name, ModelSettings(backend=backend, model=one.name))
    why = status.why
    if status.usable and one.kind == "hub":
        why = "downloaded when it is first used, unless it is in the hub's cache"
    return ModelStatus(one.name, backend, one.where, status.usable, why, status.advice)


def _adapter_status(one: Registered) -> ModelStatus:
    try:
        adapter_folder(one.name)
    except ConfigError as error:
        return ModelStatus(one.name, "transformers", one.where, False, str(error))
    why = "a LoRA adapter: name it as adapter in a model's table"
    return ModelStatus(one.name, "transformers", one.where, True, why)


def _named_status(name: str, settings: Settings) -> ModelStatus:
    """Of a table in the settings, with the models that it falls back on or escalates to, and with
    the spend limits.
    """
    from ctxeng.generation.named import open_generator

    table = settings.models[name]
    status = _table_status(name, table)
    if not status.usable:
        return status
    try:
        open_generator(name, settings, idf=lambda _: 1.0, replies=None)
    except CtxengError as error:
        return _unusable(name, table, error)
    return status


def _table_status(name: str, table: ModelSettings) -> ModelStatus:
    try:
        why = _usable_because(table)
    except CtxengError as error:
        return _unusable(name, table, error)
    return ModelStatus(name, table.backend, table.model, True, why)


def _unusable(name: str, table: ModelSettings, error: CtxengError) -> ModelStatus:
    what, _, advice = str(error).partition(". ")
    return ModelStatus(name, table.backend, table.model, False, what, advice)


def _usable_because(table: ModelSettings) -> str:
    """Raises:
    ConfigError: it cannot be used; why, and after the first full stop what to do.
    """
    match table.backend:
        case "extractive":
            return "quotes the sources; needs nothing"
        case "transformers" | "llama":
            return _generator(table).name
    from ctxeng.generation.faults import TryError
    from ctxeng.generation.http import server_of
    from ctxeng.generation.keys import read_key

    server = server_of(table)

    async def key() -> bool:
        return bool(await read_key(server.key_env, needed=server.needs_key))

    try:
        found = anyio.run(key)
    except TryError as error:
        raise ConfigError(f"{error.what}. {error.advice}") from error
    return f"{server.place}, {'with a key' if found else 'without a key'}; not asked"


def _generator(table: ModelSettings) -> Generator:
    if table.backend == "llama":
        from ctxeng.generation.llama import LlamaGenerator

        return LlamaGenerator(table)
    from ctxeng.generation.local import TransformersGenerator

    return TransformersGenerator(table)


def _backend() -> LocalBackend | None:
    """What the packaged model runs on here."""
    if not missing(LLAMA):
        return "llama"
    return None if missing(LOCAL) else "transformers"
