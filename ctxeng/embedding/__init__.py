"""Embedding: texts to unit vectors, by packaged models, any other model, or an API."""

from __future__ import annotations

from ctxeng.embedding.packaged import MiniLMEmbedder, StaticEmbedder

__all__ = ["MiniLMEmbedder", "StaticEmbedder"]
