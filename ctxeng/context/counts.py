"""Counts texts, and what a prompt costs beside its texts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ctxeng.errors import ConfigError, CtxengError
from ctxeng.generation.tool_text import TOOLS_PROMPT
from ctxeng.protocols import TokenCounter
from ctxeng.types import Tool

OVERHEAD = 8
"""Tokens that a chat template is taken to put around a message, where the counter does not say."""
CALL_OVERHEAD = 16
"""Around a tool's call or result."""
FILE_TOKENS = 1_600
"""What an image or a file is taken to cost: the most that one image costs at the large vendors."""
PIECE = 16_384
"""Characters; longer texts are counted piece by piece, and no further than matters."""
BROKEN_UP = 8
"""Tokens that it costs at most to break up a control token in a text, which local backends do."""
_CONTROL = re.compile(r"<\|[^|\s]{1,40}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>")

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Costs:
    """How what is no text is counted. Tokens."""

    first_message: int
    message: int
    file: int

    def template(self, messages: int) -> int:
        return self.first_message + (messages - 1) * self.message if messages else 0


class Counts:
    """Counts each text once; says which tokenizer could not be had."""

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._known: dict[str, int] = {"": 0}

    @property
    def name(self) -> str:
        return self._counter.name

    def __call__(self, text: str) -> int:
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = self._counted(self._counter.count, text)
        return known

    def learn(self, texts: Iterable[str]) -> None:
        """Count many at once, where the counter can."""
        batch = getattr(self._counter, "count_batch", None)
        new = [t for t in dict.fromkeys(texts) if t not in self._known and len(t) <= PIECE]
        if batch is not None and new:
            self._known.update(zip(new, self._counted(batch, new), strict=True))

    def up_to(self, text: str, limit: int) -> int:
        """The count, or some number over ``limit`` where that is reached: of a text of 10 MB only
        the beginning is counted.
        """
        if len(text) <= PIECE:
            return self(text)
        total = 0
        for at in range(0, len(text), PIECE):
            total += self._counted(self._counter.count, text[at : at + PIECE])
            if total > limit:
                break
        return total

    def _counted(self, count: Callable[[In], Out], what: In) -> Out:
        return counted(self._counter, count, what)


def counted(counter: TokenCounter, count: Callable[[In], Out], what: In) -> Out:
    """What a method of a counter, which is anybody's, says of something.

    Raises:
        ConfigError: it failed.
    """
    try:
        return count(what)
    except CtxengError:
        raise
    except Exception as error:
        name = getattr(counter, "name", type(counter).__name__)
        raise ConfigError(
            f"{name}: its tokenizer cannot be used: {type(error).__name__}: {error}. Hand in "
            "another counter."
        ) from error


def costs_of(counter: TokenCounter, chat_overhead: int | None, file_tokens: int) -> Costs:
    if chat_overhead is not None:
        return Costs(chat_overhead, chat_overhead, file_tokens)
    first = getattr(counter, "chat_overhead", None)
    each = getattr(counter, "message_overhead", first)
    if first is None or each is None:
        return Costs(2 * OVERHEAD, OVERHEAD, file_tokens)
    return Costs(int(first), int(each), file_tokens)


def tool_tokens(tools: Sequence[Tool], count: Counts) -> int:
    """Of their schemas, as JSON in OpenAI's form, with what introduces them to a local model."""
    if not tools:
        return 0
    size = count(TOOLS_PROMPT)
    for tool in tools:
        told = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        schema = json.dumps({"type": "function", "function": told}, ensure_ascii=False)
        size += count(schema) + OVERHEAD
    return size


def broken_up(text: str) -> int:
    """Tokens that a backend may add to a text by breaking up control tokens in it."""
    might = "<" in text or "[/" in text or "[I" in text
    return BROKEN_UP * len(_CONTROL.findall(text)) if might else 0
