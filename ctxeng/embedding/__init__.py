"""Embedding: texts to unit vectors, by packaged models, any other model, or an API."""

from __future__ import annotations

from ctxeng.embedding.api import ApiEmbedder
from ctxeng.embedding.packaged import MiniLMEmbedder, StaticEmbedder, missing_packages
from ctxeng.embedding.transformers import TransformersEmbedder
from ctxeng.protocols import Embedder
from ctxeng.settings import EmbeddingSettings
from ctxeng.types import Check

__all__ = [
    "ApiEmbedder",
    "MiniLMEmbedder",
    "StaticEmbedder",
    "TransformersEmbedder",
    "embedding_checks",
    "open_embedders",
]


def open_embedders(settings: EmbeddingSettings) -> list[Embedder]:
    """The embedders that the settings name, fastest first; none where none is wanted or at hand.

    Nothing is loaded, downloaded or asked until one is used.
    """
    minilm = MiniLMEmbedder(threads=settings.threads)
    match settings.model:
        case "none":
            return []
        case "static":
            return [StaticEmbedder()]
        case "minilm":
            return [minilm]
        case "auto":
            return [tier for tier in (StaticEmbedder(), minilm) if not missing_packages(tier)]
    if settings.base_url:
        return [
            ApiEmbedder(
                settings.model,
                base_url=settings.base_url,
                key_env=settings.key_env,
                batch_size=settings.batch_size,
                timeout=settings.timeout,
            )
        ]
    return [TransformersEmbedder(settings.model, batch_size=settings.batch_size)]


def embedding_checks(settings: EmbeddingSettings) -> list[Check]:
    """What ``doctor`` says of the packaged embedders and of the one that is configured.

    One that is missing is bad news only where the settings ask for it.
    """
    asked = {"auto": "static vectors", "static": "static vectors", "minilm": "MiniLM"}
    checks = []
    for label, embedder in (("static vectors", StaticEmbedder()), ("MiniLM", MiniLMEmbedder())):
        missing = missing_packages(embedder)
        needed = asked.get(settings.model) == label
        advice = "Run" if needed else "If you want it:"
        checks.append(
            Check(
                name=label,
                ok=not (missing and needed),
                found=f"missing: {', '.join(missing)}" if missing else embedder.name,
                advice=f"{advice} `pip install 'ctxeng[local]'`." if missing else "",
            )
        )
    if settings.model not in {"auto", "static", "minilm", "none"}:
        found = f"{settings.model} at {settings.base_url}" if settings.base_url else settings.model
        checks.append(Check(name="embedding.model", ok=True, found=found))
    return checks
