"""What the name of a local model stands for: a file or folder with its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ctxeng.errors import ConfigError
from ctxeng.generation.adapters import adapter_config
from ctxeng.generation.extras import LLAMA, LOCAL, missing
from ctxeng.generation.folders import check_model_folder, fingerprint
from ctxeng.generation.hub import from_hub
from ctxeng.generation.packaged import PACKAGED, PackagedModel, require_folder, require_gguf
from ctxeng.generation.registry import kind_of, registered
from ctxeng.protocols import Progress
from ctxeng.types import sha256


@dataclass(frozen=True, slots=True)
class Source:
    """Where weights come from. ``name`` names their content; ``path`` may convert or download."""

    name: str
    path: Callable[[], Path]


def transformers_source(model: str) -> Source:
    """What ``model`` of a table with backend ``transformers`` stands for.

    Raises:
        ConfigError: nothing, or something that cannot be used.
    """
    _need(LOCAL, "transformers", "local")
    if model in PACKAGED:
        packaged = PACKAGED[model]
        if not packaged.folder.exists():
            require_gguf(packaged)
        return Source(_packaged_name(packaged), lambda: require_folder(packaged, _silent))
    known = registered().get(model)
    where = known.where if known else model
    if (known.kind if known else kind_of(where)) == "hub":
        return Source(where, lambda: from_hub(where))
    if where.endswith(".gguf"):
        raise ConfigError(f'{where}: a GGUF file is run by backend = "llama".')
    folder = Path(where).expanduser().resolve()
    check_model_folder(folder)
    return Source(f"{model if known else folder.name}@{fingerprint(folder)}", lambda: folder)


def llama_source(model: str) -> Source:
    """What ``model`` of a table with backend ``llama`` stands for. Raises as above."""
    _need(LLAMA, "llama", "llama")
    if model in PACKAGED:
        packaged = PACKAGED[model]
        require_gguf(packaged)
        return Source(_packaged_name(packaged), lambda: packaged.gguf)
    known = registered().get(model)
    where = known.where if known else model
    file = Path(where).expanduser().resolve()
    if kind_of(where) != "gguf":
        raise ConfigError(f"{where}: llama.cpp reads GGUF files; this is none.")
    return Source(f"{model if known else file.stem}@{_file_fingerprint(file)}", lambda: file)


def adapter_folder(adapter: str) -> Path:
    """The folder of an adapter, by its name or as it is.

    Raises:
        ConfigError: there is none, or it cannot be used.
    """
    known = registered().get(adapter)
    folder = Path(known.where if known else adapter).expanduser().resolve()
    if not (folder / "adapter_config.json").exists():
        names = [one.name for one in registered().values() if one.kind == "adapter"]
        raise ConfigError(
            f"adapter {adapter!r}: neither the folder of one nor the name of one that was added "
            f"({', '.join(names) or 'there are none'})."
        )
    adapter_config(folder)
    return folder


def _need(packages: tuple[str, ...], backend: str, extra: str) -> None:
    lacking = missing(packages)
    if lacking:
        raise ConfigError(
            f"backend {backend!r} needs the package {lacking[0]}. Run "
            f"`pip install 'ctxeng[{extra}]'`, or choose another model."
        )


def _packaged_name(model: PackagedModel) -> str:
    return f"{model.name}@{model.sha256[:8]}"


def _file_fingerprint(file: Path) -> str:
    """Of its size, its head (settings, tokenizer) and its end: weights follow in between."""
    size = file.stat().st_size
    with file.open("rb") as data:
        head = data.read(1 << 24)
        data.seek(max(0, size - (1 << 20)))
        return sha256(f"{size}".encode() + head + data.read())[:12]


def _silent(progress: Progress) -> None:
    """Nobody is shown it."""
