"""Indexes derived from the store: disposable, rebuilt from it without reading or embedding."""

from ctxeng.indexing.catchup import CaughtUp, catch_up
from ctxeng.indexing.chroma import ChromaIndex
from ctxeng.indexing.dense import ExactIndex
from ctxeng.indexing.lexical import TantivyIndex

__all__ = ["CaughtUp", "ChromaIndex", "ExactIndex", "TantivyIndex", "catch_up"]
