"""A model's folder, read without loading it: is it one, and which."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ctxeng.errors import ConfigError

PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
"""Loading them can run code of whoever made them."""
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
MAX_HEADER = 100_000_000
"""Bytes that safetensors allows."""
SAMPLES, SAMPLE = 16, 65_536
"""Places of a file that a fingerprint reads, and the bytes of each."""
CONFIGS = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")


def check_model_folder(folder: Path) -> None:
    """Raises:
    ConfigError: it cannot be loaded as a language model: something is missing, cut off or of a
        kind that is not read; the message says what to do.
    """
    if (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        raise ConfigError(
            f"{folder}: is an adapter. Name the model that it was made for as model, and this "
            "folder as adapter."
        )
    if not (folder / "config.json").exists():
        raise ConfigError(
            f"{folder}: no model's folder: config.json is missing. Name the folder that holds "
            "config.json, a tokenizer and *.safetensors, as save_pretrained writes it."
        )
    config = _json(folder / "config.json", "its config.json")
    weights = weight_files(folder)
    for file in weights:
        tensor_shapes(file)
    tokenizer = next((folder / name for name in TOKENIZERS if (folder / name).exists()), None)
    if tokenizer is None:
        raise ConfigError(
            f"{folder}: has no tokenizer ({', '.join(TOKENIZERS)}). Copy that of the base model "
            "into it."
        )
    if config.get("auto_map"):
        raise ConfigError(
            f"{folder}: needs code of its author (auto_map in config.json), which is not run. "
            "Choose a model whose architecture transformers knows."
        )
    rows = config.get("vocab_size")
    if tokenizer.name == "tokenizer.json" and isinstance(rows, int):
        check_vocabulary(folder, _vocabulary(tokenizer), rows)


def check_vocabulary(folder: Path, tokens: int, rows: int) -> None:
    """Raises:
    ConfigError: the tokenizer has tokens that the model has no embedding of.
    """
    if tokens > rows:
        raise ConfigError(
            f"{folder}: a wrong tokenizer: it has {tokens:,} tokens and the model embeds "
            f"{rows:,}. Copy the tokenizer that the model was trained with into the folder."
        )


def weight_files(folder: Path) -> list[Path]:
    """Raises:
    ConfigError: there are none, or only pickled ones, or some of them are missing.
    """
    index = folder / "model.safetensors.index.json"
    if index.exists():
        names = sorted(set(_json(index, "its index").get("weight_map", {}).values()))
        files = [folder / Path(name).name for name in names]
    else:
        files = [f for f in [folder / "model.safetensors"] if f.exists()]
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise ConfigError(
            f"{folder}: {missing[0]} is missing, of {len(files)} files with weights. Copy the "
            "folder again."
        )
    if files:
        return files
    pickled = sorted(f.name for f in folder.iterdir() if f.suffix in PICKLED)
    if pickled:
        raise ConfigError(
            f"{folder}: has only pickled weights ({pickled[0]}), which can run code when they are "
            "loaded: refused. Save the model with safetensors, or choose another one."
        )
    raise ConfigError(f"{folder}: has no weights (model.safetensors). Copy them into the folder.")


def tensor_shapes(file: Path) -> dict[str, list[int]]:
    """Name → shape of what a safetensors file holds.

    Raises:
        ConfigError: it is none, or is cut off.
    """
    size = file.stat().st_size
    with file.open("rb") as data:
        (length,) = struct.unpack("<Q", data.read(8).ljust(8, b"\0"))
        try:
            if not 0 < length <= min(MAX_HEADER, size - 8):
                raise ValueError("no header")
            header = json.loads(data.read(length))
            header.pop("__metadata__", None)
            shapes = {name: list(about["shape"]) for name, about in header.items()}
            end = max(about["data_offsets"][1] for about in header.values())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigError(
                f"{file}: is no safetensors file ({error}). Copy it again."
            ) from error
    if size != 8 + length + end:
        raise ConfigError(
            f"{file}: is damaged: {size:,} bytes, where its header says {8 + length + end:,}. "
            "Copy it again."
        )
    return shapes


def fingerprint(folder: Path) -> str:
    """Names the model's content: its settings and tokenizer in full, and its weights at sixteen
    places of each file, so that it takes no time that grows with them.
    """
    digest = hashlib.sha256()
    for file in [folder / name for name in CONFIGS] + weight_files(folder):
        if file.exists():
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            for piece in _pieces(file):
                digest.update(piece)
    return digest.hexdigest()[:12]


def _pieces(file: Path) -> Iterator[bytes]:
    size = file.stat().st_size
    with file.open("rb") as data:
        if file.suffix != ".safetensors" or size <= SAMPLES * SAMPLE:
            yield data.read()
            return
        for at in range(SAMPLES):
            data.seek(at * (size - SAMPLE) // (SAMPLES - 1))
            yield data.read(SAMPLE)


def _vocabulary(tokenizer: Path) -> int:
    """One more than the largest token."""
    from tokenizers import Tokenizer

    try:
        made = Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # that package raises bare Exceptions
        raise ConfigError(f"{tokenizer}: is no tokenizer: {error}. Copy it again.") from error
    return 1 + max(made.get_vocab(with_added_tokens=True).values(), default=-1)


def _json(file: Path, what: str) -> Mapping[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(f"{file.parent}: {what} is missing.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}.") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{file}: cannot be read: it is no JSON object.")
    return value
