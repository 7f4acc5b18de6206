"""Models that the user has given a name.

They stand in one JSON file beside the weights in the user's cache: a model belongs to the machine,
serves every workspace and works without one, and the file holds only where it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from ctxeng.errors import ConfigError
from ctxeng.generation.folders import check_model_folder
from ctxeng.generation.hub import is_hub_name
from ctxeng.generation.packaged import models_cache

FILE = "registered.json"
GGUF = b"GGUF"
LOCK_SECONDS = 10.0

Kind = Literal["folder", "gguf", "adapter", "hub"]


@dataclass(frozen=True, slots=True)
class Registered:
    """A name that the user gave, and what it stands for."""

    name: str
    kind: Kind
    where: str


def registered() -> dict[str, Registered]:
    """By name.

    Raises:
        ConfigError: the file that holds them cannot be read.
    """
    file = models_cache() / FILE
    try:
        held = json.loads(file.read_bytes()) if file.exists() else {}
        return {
            name: Registered(name, cast("Kind", about["kind"]), about["where"])
            for name, about in held.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{file}: cannot be read: {error!r}. Delete it, and add the models again."
        ) from error


def remember(one: Registered) -> None:
    """Add it, or put it in the place of another of its name.

    Raises:
        ConfigError: another process is at it, or the file cannot be read.
    """
    with _changing() as held:
        held[one.name] = one


def forget(name: str) -> Registered | None:
    """Take a name away, and nothing that it stands for; returns what that is, None: no model had
    this name. Raises as ``remember``.
    """
    with _changing() as held:
        return held.pop(name, None)


@contextmanager
def _changing() -> Iterator[dict[str, Registered]]:
    """All there are, to be changed: they are written at the end."""
    from filelock import FileLock, Timeout

    file = models_cache() / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(file.with_suffix(".lock"), timeout=LOCK_SECONDS):
            held = registered()
            yield held
            told = {one.name: {"kind": one.kind, "where": one.where} for one in held.values()}
            part = file.with_suffix(".part")
            part.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
            part.replace(file)  # another process sees all of it or nothing
    except Timeout as error:
        raise ConfigError(f"{file}: another process is writing it. Try again.") from error


def kind_of(where: str) -> Kind:
    """What the user points at.

    Raises:
        ConfigError: nothing that can be used.
    """
    path = Path(where).expanduser()
    if path.is_dir():
        if (path / "adapter_config.json").exists() and not (path / "config.json").exists():
            return "adapter"
        check_model_folder(path)
        return "folder"
    if path.is_file():
        with path.open("rb") as data:
            if data.read(len(GGUF)) == GGUF:
                return "gguf"
        raise ConfigError(f"{where}: is no GGUF file. Name the model's folder, or a hub name.")
    if not is_hub_name(where) or where.startswith((".", "~", "/")):
        raise ConfigError(
            f"{where or 'model'}: there is no such folder or file, and it is no hub name "
            "(owner/name). Check the path; `ctxeng models` lists what there is."
        )
    return "hub"
