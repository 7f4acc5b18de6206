"""Writes replies. The default one needs no model: it quotes the sentences that answer."""

from ctxeng.generation.extractive import EXTRACTIVE, NOT_FOUND, ExtractiveGenerator

__all__ = ["EXTRACTIVE", "NOT_FOUND", "ExtractiveGenerator"]
