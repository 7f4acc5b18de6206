"""Cuts documents into chunks, and situates each chunk in its document."""

from ctxeng.chunking.chunker import StructuredChunker, chunk
from ctxeng.chunking.prefix import DeterministicContextualizer
from ctxeng.chunking.situated import ModelContextualizer

__all__ = ["DeterministicContextualizer", "ModelContextualizer", "StructuredChunker", "chunk"]
