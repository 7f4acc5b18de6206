"""LoRA adapters of a model in memory: loaded, switched and merged by their folder's name.

Source: Hu et al. 2021, arXiv:2106.09685.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.extras import require
from ctxeng.generation.folders import PICKLED, tensor_shapes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
KINDS = ("lora_A.weight", "lora_B.weight", "lora_embedding_A", "lora_embedding_B")


class Adapters:
    """The adapters of one model. ``used`` switches, and belongs to the model's turn: whoever calls
    it makes sure that nobody else runs the model meanwhile.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model: Any = model
        self._shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
        self._names: dict[Path, str] = {}
        self._active: str | None = None

    def load(self, folder: Path) -> str:
        """The name of the adapter in this folder, by which ``used`` takes it.

        Raises:
            ConfigError: the folder holds no adapter, or one for another model, or the package
                peft is not installed.
            BackendError: it cannot be loaded.
        """
        folder = folder.expanduser().resolve()
        if folder not in self._names:
            check_adapter(folder, self._shapes)
            require("peft", "finetune")
            name = f"adapter_{fingerprint(folder)}"
            if name not in self._names.values():
                try:
                    self._model.load_adapter(str(folder), name)
                except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
                    raise BackendError(
                        f"{folder}: the adapter cannot be loaded: {error}"
                    ) from error
                self._model.eval()
                self._active = None
            self._names[folder] = name
        return self._names[folder]

    @contextmanager
    def used(self, name: str) -> Iterator[None]:
        """The model with this adapter inside; empty: as it is without any."""
        if self._names and name != self._active:
            if name:
                self._model.enable_adapters()
                self._model.set_adapter(name)
            else:
                self._model.disable_adapters()
            self._active = name
        yield


def fingerprint(folder: Path) -> str:
    """Names the adapter's content."""
    digest = hashlib.sha256()
    for name in ("adapter_config.json", WEIGHTS):
        with (folder / name).open("rb") as data:
            digest.update(hashlib.file_digest(data, "sha256").digest())
    return digest.hexdigest()[:12]


def adapter_config(folder: Path) -> Mapping[str, Any]:
    """What the folder says of its adapter.

    Raises:
        ConfigError: it holds none that is read.
    """
    try:
        value = json.loads((folder / "adapter_config.json").read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(
            f"{folder}: holds no adapter (adapter_config.json). An adapter is what training with "
            "peft saves."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{folder}/adapter_config.json: cannot be read: {error}.") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{folder}/adapter_config.json: is no JSON object.")
    if not (folder / WEIGHTS).exists():
        pickled = sorted(f.name for f in folder.iterdir() if f.suffix in PICKLED)
        what = f"only pickled weights ({pickled[0]}): refused" if pickled else "no weights"
        raise ConfigError(f"{folder}: has {what}. Save the adapter as {WEIGHTS}.")
    if value.get("peft_type") != "LORA":
        raise ConfigError(
            f"{folder}: is an adapter of kind {value.get('peft_type')!r}; LORA is what is read."
        )
    return value


def check_adapter(folder: Path, model: Mapping[str, tuple[int, ...]]) -> None:
    """Whether it is a LoRA adapter that fits a model.

    Args:
        model: shapes of the model's weights, by name.

    Raises:
        ConfigError: it is none, or was made for another model.
    """
    config = adapter_config(folder)
    base = config.get("base_model_name_or_path") or "another model"
    for name, shape in tensor_shapes(folder / WEIGHTS).items():
        kind = next((k for k in KINDS if name.endswith(f".{k}")), "")
        layer = name.removeprefix(PREFIX).removesuffix(f".{kind}")
        if not kind:
            continue  # biases, magnitudes, whole modules: peft checks them
        found = next((s for s in _known(layer, model)), None)
        wrong = found is None or not _fits(kind, shape, found)
        if wrong:
            is_there = "has no such layer" if found is None else f"has {found} there"
            raise ConfigError(
                f"{folder}: this adapter was made for another model ({base}): it changes {layer} "
                f"with {tuple(shape)}, and this model {is_there}. Name that model, or train the "
                "adapter anew."
            )


def _known(layer: str, model: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    for name in (f"{layer}.weight", f"{layer}.base_layer.weight"):
        if name in model:
            yield model[name]


def _fits(kind: str, shape: list[int], weight: tuple[int, ...]) -> bool:
    """A has shape (rank, in), B (out, rank); of an embedding (rank, rows) and (width, rank). A
    layer's weight has (out, in) or, in some models, (in, out).
    """
    side = shape[-1] if kind.endswith(("A.weight", "_A")) else shape[0]
    return side in weight
