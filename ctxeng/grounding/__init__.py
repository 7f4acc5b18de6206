"""Checks an answer against its sources: what each sentence cites, and whether it is there."""

from ctxeng.grounding.answerable import Answerability, unheld
from ctxeng.grounding.asked import ModelSupport
from ctxeng.grounding.citations import cite
from ctxeng.grounding.repair import Checked, repair
from ctxeng.grounding.support import (
    SUPPORTED,
    CombinedSupport,
    CosineSupport,
    SupportVerifier,
    TermSupport,
)

__all__ = [
    "SUPPORTED",
    "Answerability",
    "Checked",
    "CombinedSupport",
    "CosineSupport",
    "ModelSupport",
    "SupportVerifier",
    "TermSupport",
    "cite",
    "repair",
    "unheld",
]
