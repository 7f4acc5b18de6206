"""Data in a prompt: marks around it that nobody who writes it can know, and names on one line."""

from __future__ import annotations

from ctxeng.types import sha256

LENGTH = 8


def mark_for(*texts: str) -> str:
    """A hash of the texts that stands in none of them: the same prompt has the same bytes."""
    seed = sha256("\0".join(texts))
    texts = tuple(text.lower() for text in texts)  # a reader may take ABCDEF for abcdef
    while any(seed[:LENGTH] in text for text in texts):
        seed = sha256(seed)
    return seed[:LENGTH]


def one_line(text: str, limit: int) -> str:
    """Names come from anybody's files: no control characters, no line breaks, bounded length."""
    shown = text
    if not text.isprintable():
        shown = "".join(c if c.isprintable() else " " for c in text)
    shown = " ".join(shown.split())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
