"""Checks an answer against its sources: what each sentence cites, and whether it is there."""

from ctxeng.grounding.answerable import Answerability
from ctxeng.grounding.citations import cite

__all__ = ["Answerability", "cite"]
