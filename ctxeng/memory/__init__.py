"""What is remembered of a text after it has left the prompt."""

from ctxeng.memory.audit import atoms
from ctxeng.memory.distill import Distiller, Note, RuleDistiller

__all__ = ["Distiller", "Note", "RuleDistiller", "atoms"]
