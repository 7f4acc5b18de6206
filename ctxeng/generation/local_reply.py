"""One reply of a model in memory, step by step. Nothing waits here, and nothing is a thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ctxeng.errors import BackendError
from ctxeng.generation.constrained import constraint_of
from ctxeng.generation.detokenize import TextStream
from ctxeng.generation.holding import broken_rule
from ctxeng.generation.sampling import Sampler
from ctxeng.generation.tool_text import TOOL_CALL, calls_in
from ctxeng.types import GenerationOptions, StopReason, ToolCall

if TYPE_CHECKING:
    import torch

    from ctxeng.generation.loaded import LoadedModel


class LocalReply:
    """Call ``step`` until ``stop`` is set, then ``finish``, and ``close`` in any case."""

    def __init__(
        self,
        name: str,
        loaded: LoadedModel,
        ids: Sequence[int],
        options: GenerationOptions,
        *,
        adapter: str = "",
        stops: Sequence[str] = (),
        window: int | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            ids: the prompt.
            stops: strings that end the reply, beside those of the options.
            window: tokens that prompt and reply may have together; None: as many as the model was
                made for.

        Raises:
            BackendError: the prompt leaves no room for a reply, or the schema makes no grammar.
        """
        self.stop: StopReason | None = None
        self.text = ""
        self.prompt_tokens = len(ids)
        self.completion_tokens = 0
        self._name = name
        self._loaded = loaded
        self._options = options
        self._most = _room(name, len(ids), options.max_tokens, window or loaded.window)
        self._sampler = Sampler(options)
        self._constraint = constraint_of(loaded, options)
        self._tools = bool(options.tools) and options.tool_choice != "none"
        self._made: list[int] = []
        self._written = TextStream(
            lambda made: loaded.decode(made, special=self._tools),
            [*options.stop, *stops, *([TOOL_CALL] if self._tools else [])],
        )
        self._cache = loaded.prefixes.take(ids, adapter)
        self.cached_tokens = len(self._cache.ids)
        self._unread = list(ids[self.cached_tokens :])

    def step(self) -> str:
        """Read the next piece of the prompt, or make the next token. Returns the text that has
        become certain, often none.

        Raises:
            BackendError: the model failed, or no token fits the schema.
        """
        size = self._loaded.chunk
        piece, self._unread = self._unread[:size], self._unread[size:]
        scores = self._loaded.read(self._cache, piece)
        said = "" if self._unread else self._next(scores)
        self.text += said
        return said

    def finish(self) -> list[ToolCall]:
        """The tools that the reply asks for.

        Raises:
            BackendError: of kind ``bad_reply``: a call or the text does not hold to its schema.
        """
        if self._written.stopped == TOOL_CALL:
            self.stop = "tool_calls"
            whole = self._loaded.decode(self._made, special=True)
            return calls_in(self._name, whole, self._options.tools)
        schema = self._options.json_schema
        why = "" if schema is None else broken_rule(self.text, schema)
        if why and self.stop == "length":
            why = f"it was cut off at {self._most} tokens"
        if why:
            raise BackendError(
                f"{self._name}: the reply does not hold to the schema: {why}. Raise max_tokens, or "
                "ask for less at once.",
                kind="bad_reply",
                text=self.text,
                why=f"it does not hold to the schema: {why}.",
            )
        return []

    def close(self) -> None:
        """Leave what was read to the next prompt that begins alike."""
        self._loaded.prefixes.give_back(self._cache)

    def _next(self, scores: torch.Tensor) -> str:
        if self._constraint is not None:
            scores = self._constraint.fitting(scores)
        token = self._sampler.choose(scores)
        self.completion_tokens += 1
        if token in self._loaded.ends:
            return self._end("stop")
        if self._constraint is not None:
            self._constraint.take(token)
        self._made.append(token)
        said = self._written.add(token)
        if self._written.stopped not in {"", TOOL_CALL}:
            self.stop = "stop"
        elif self._constraint is not None and self._constraint.over:
            said += self._end("stop")
        elif self.completion_tokens >= self._most:
            said += self._end("length")
        else:
            self._unread = [token]
        return said

    def _end(self, stop: StopReason) -> str:
        self.stop = stop
        return self._written.end()


def _room(name: str, prompt: int, wanted: int, window: int | None) -> int:
    """Tokens that the reply may have."""
    if window is None or prompt + wanted <= window:
        return wanted
    if prompt >= window:
        raise BackendError(
            f"{name}: the prompt has {prompt:,} tokens and the model reads {window:,}. Lower the "
            "context's budget, or leave earlier turns out.",
            kind="context_length",
        )
    return window - prompt
