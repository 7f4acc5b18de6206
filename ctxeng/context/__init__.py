"""Builds the prompt: fills one token budget and keeps the manifest of what went in and why."""

from ctxeng.context.assemble import Assembler
from ctxeng.context.select import SourceText

__all__ = ["Assembler", "SourceText"]
