"""Finds chunks: two indexes asked at once, their scores fused."""

from ctxeng.retrieval.fusion import convex_fusion, reciprocal_rank_fusion
from ctxeng.retrieval.hierarchy import ParentCosines
from ctxeng.retrieval.hybrid import DenseSearch, HybridRetriever

__all__ = [
    "DenseSearch",
    "HybridRetriever",
    "ParentCosines",
    "convex_fusion",
    "reciprocal_rank_fusion",
]
