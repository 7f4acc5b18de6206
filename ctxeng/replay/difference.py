"""One reason why two prompts differ."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from ctxeng.types import Value

Cause = Literal[
    "query",
    "model",
    "setting",
    "version",
    "router",
    "document",
    "ranking",
    "budget",
    "selection",
    "prompt",
]
"""``query``, ``model``, ``setting``: what was asked (and how that was rewritten), who answered, and
how (arguments and settings); ``version``: what took part, such as the embedder; ``router``: other
sources were asked, or for more; ``document``: it changed, came or went; ``ranking``: it passed
others or they it, or its score moved; ``budget``: the room for it is another one; ``selection``:
the assembly decided otherwise, as of near-duplicates; ``prompt``: the same passages in other words
or another order."""


class Difference(Value):
    """One reason why two prompts differ."""

    cause: Cause
    what: str
    """The setting, part, document or section that it is about."""
    why: str
    before: JsonValue = None
    after: JsonValue = None
    """Values of a setting; of a document its ``rank``, ``score`` and the ``tokens`` it had in the
    prompt."""

    @property
    def text(self) -> str:
        """In one line."""
        return f"{self.what}: {self.why}"
