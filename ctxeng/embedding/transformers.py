"""Any sentence-transformers model, from a folder or by its name on the hub."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ctxeng.embedding.packaged import unit_rows
from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.resting_threads import import_torch
from ctxeng.protocols import TextKind, Vectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

WEIGHTS = "*.safetensors"
NEEDED_FILES = (WEIGHTS, "*.json", "*.txt", "*.model")


class TransformersEmbedder:
    """Runs a model with the library sentence-transformers (extra ``local``).

    The model's own files say how it pools, which prompts it wants for queries and documents and
    how much of a text it reads. Weights are read from safetensors only, and no code of the model's
    author is run.

    Args:
        model: a folder, which never touches the network, or a hub name (``owner/name`` or
            ``owner/name@revision``), which is downloaded once and then read from the hub's cache.
        batch_size: texts in one call.

    Source: Reimers & Gurevych 2019, arXiv:1908.10084.
    """

    def __init__(self, model: str, *, batch_size: int = 32) -> None:
        self._wanted = model
        self._batch_size = batch_size

    @cached_property
    def name(self) -> str:
        """With a hash of all of its files, which takes a second for each gigabyte or two."""
        digest = hashlib.sha256()
        for file in sorted(self._folder.rglob("*")):
            if file.is_file() and file.suffix in {".safetensors", ".json", ".txt", ".model"}:
                digest.update(file.relative_to(self._folder).as_posix().encode())
                with file.open("rb") as data:
                    digest.update(hashlib.file_digest(data, "sha256").digest())
        short = Path(self._wanted).name if Path(self._wanted).is_dir() else self._wanted
        return f"{short}@{digest.hexdigest()[:12]}"

    @cached_property
    def dimensions(self) -> int:
        return int(self._model.encode([""], show_progress_bar=False).shape[1])

    def embed(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        """Raises:
        ConfigError: the extra is not installed, or there is no such model.
        BackendError: the model cannot be loaded or failed.
        """
        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        encode = self._model.encode_query if kind == "query" else self._model.encode_document
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        rows = encode(
            clean,
            batch_size=self._batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        rows = np.asarray(rows, np.float32)
        if not np.isfinite(rows).all():
            raise BackendError(f"{self.name}: a vector holds values that are no numbers")
        return unit_rows(rows)

    def coverage(self, text: str) -> float:
        """1: which languages a model was made for is not in its files."""
        return 1.0

    @cached_property
    def _folder(self) -> Path:
        """Where the model's files are; downloads them where only a hub name is known."""
        folder = Path(self._wanted).expanduser()
        if not folder.is_dir():
            folder = _from_hub(self._wanted)
        if not any(folder.rglob(WEIGHTS)):
            raise ConfigError(
                f"{self._wanted}: has no .safetensors file. Weights in other formats can run code "
                "when they are loaded; save the model with safetensors, or choose another one."
            )
        return folder

    @cached_property
    def _model(self) -> SentenceTransformer:
        _require("sentence_transformers")
        folder = self._folder
        import_torch()
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer

        try:
            return SentenceTransformer(
                str(folder),
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise BackendError(f"{self._wanted}: cannot be loaded as a model: {error}") from error


def _require(package: str) -> None:
    if find_spec(package) is None:
        raise ConfigError(
            f"The package {package} is not installed. Run `pip install 'ctxeng[local]'`, or set "
            'embedding.model = "static".'
        )


def _from_hub(model: str) -> Path:
    """The model's snapshot in the hub's cache, downloaded where it is not there yet."""
    _require("huggingface_hub")
    import httpx
    from huggingface_hub import errors, snapshot_download

    name, _, revision = model.partition("@")

    def snapshot(*, cached: bool) -> Path:
        return Path(
            snapshot_download(
                name,
                revision=revision or None,
                allow_patterns=list(NEEDED_FILES),
                local_files_only=cached,
            )
        )

    try:
        try:
            return snapshot(cached=True)
        except errors.LocalEntryNotFoundError:
            return snapshot(cached=False)
    except (errors.HFValidationError, errors.RepositoryNotFoundError) as error:
        raise ConfigError(
            f"{model}: neither a folder nor a model on the hub. Set embedding.model to auto, "
            "static, minilm, none, a folder, or a hub name such as BAAI/bge-small-en-v1.5."
        ) from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, httpx.HTTPError) as error:
        raise BackendError(
            f"{model}: cannot be downloaded from the hub: {error}. A folder needs no network.",
            retryable=True,
        ) from error
