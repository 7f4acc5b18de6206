"""An adapter worked into the weights of its base: a model of its own, checked before it is kept."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.loaded import LoadedModel, encode, read_model
from ctxeng.generation.sources import adapter_folder, transformers_source

if TYPE_CHECKING:
    import torch

PROBES = (
    "Every parent may take 20 weeks of parental leave.",
    "def net_salary(gross: int) -> int:\n    return gross - gross // 4\n",
    '{"name": "Ines Roth", "approved": true, "limit": 500}',
)
TOLERANCE = 1e-3
"""Largest difference of two scores, as a share of the largest score. Single precision alone makes
1e-6 to 1e-5.
"""


def merge_adapter(model: str, adapter: str, into: Path) -> float:
    """Write a model's folder whose replies are those of the model with its adapter.

    It is written in single precision, so that nothing of the adapter is rounded away. Then it is
    read again, and its scores are compared with those of model and adapter on the same texts.

    Args:
        model: folder or name of a model of backend ``transformers``.
        adapter: folder or name of a LoRA adapter that was made for it.
        into: a folder that does not exist yet.

    Returns:
        The largest difference of two scores, as a share of the largest score.

    Raises:
        ConfigError: there is no such model or adapter, they do not fit, or ``into`` exists.
        BackendError: the merged model does not score as the two do; nothing is left of it.
    """
    into = into.expanduser().resolve()
    if into.exists():
        raise ConfigError(f"{into}: exists. Name a folder that does not.")
    source = transformers_source(model).path()
    wanted = _merge(source, adapter_folder(adapter), part := _beside(into))
    try:
        difference = _difference(wanted, _scores(read_model(part, device="cpu"), ""))
        if not difference <= TOLERANCE:
            raise BackendError(
                f"{into}: not written: the merged model scores otherwise than {model} with "
                f"{adapter} (by {difference:.2%} of the largest score). Use the adapter unmerged."
            )
        part.rename(into)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return difference


def _merge(source: Path, adapter: Path, into: Path) -> torch.Tensor:
    """Write the merged model; returns the scores of model and adapter."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from safetensors.torch import save_file

    loaded = read_model(source, device="cpu")
    name = loaded.load_adapter(adapter)
    wanted = _scores(loaded, name)
    with loaded.adapters.used(name):
        for module in loaded.model.modules():
            if isinstance(module, BaseTunerLayer):
                module.merge(safe_merge=True)
    weights = {
        key.replace(".base_layer.", "."): tensor.contiguous()
        for key, tensor in loaded.model.state_dict().items()
        if ".lora_" not in key
    }
    config = loaded.model.config
    if config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    into.mkdir(parents=True)
    save_file(weights, into / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(str(into))
    loaded.model.generation_config.save_pretrained(str(into))
    loaded.tokenizer.save_pretrained(str(into))
    return wanted


def _scores(loaded: LoadedModel, adapter: str) -> torch.Tensor:
    import torch

    ids = [encode(loaded.tokenizer, text) for text in PROBES]
    return torch.cat([loaded.scores(one, adapter) for one in ids])


def _difference(wanted: torch.Tensor, found: torch.Tensor) -> float:
    if wanted.shape != found.shape:
        return float("inf")
    return float((wanted - found).abs().max() / wanted.abs().max())


def _beside(target: Path) -> Path:
    return target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
