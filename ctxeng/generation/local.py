"""Language models on this machine's CPU or GPU, by transformers (extra ``local``)."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from anyio.to_thread import run_sync

from ctxeng.errors import BackendError
from ctxeng.generation.pace import pace_of, turn
from ctxeng.generation.sources import adapter_folder, transformers_source
from ctxeng.protocols import Delta
from ctxeng.settings import ModelSettings, TimeoutSettings
from ctxeng.trace import stage
from ctxeng.types import DEFAULT_OPTIONS, GenerationOptions, Message, Usage

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ctxeng.generation.chat_prompt import ChatPrompt
    from ctxeng.generation.loaded import LoadedModel
    from ctxeng.generation.local_reply import LocalReply


class TransformersGenerator:
    """Any causal language model of transformers, from a folder or by its name on the hub.

    Weights are read from safetensors only, and no code of the model's author is run. They are
    loaded when the first reply is asked for, once per process. A prompt that begins as an earlier
    one did is read from where they part. Every token is a step of its own, made while somebody
    waits for it: whoever stops listening stops the work. A step cannot be broken off, so a time
    limit may be passed by one.
    """

    def __init__(self, settings: ModelSettings) -> None:
        """Nothing is loaded yet.

        Args:
            settings: ``model`` is a folder, a name that `ctxeng models` lists, or a hub name;
                ``adapter`` the folder or name of a LoRA adapter.

        Raises:
            ConfigError: there is no such model or adapter, or it cannot be used.
        """
        self._settings = settings
        self._source = transformers_source(settings.model)
        self._pace = pace_of("transformers", self._source.name)
        self._adapter = adapter_folder(settings.adapter) if settings.adapter else None
        self.name = f"{self._source.name} on transformers"
        if self._adapter is not None:
            from ctxeng.generation.adapters import fingerprint

            self.name += f" with {self._adapter.name}@{fingerprint(self._adapter)}"

    def __repr__(self) -> str:
        return f"TransformersGenerator({self.name})"

    @cached_property
    def counter(self) -> TokenizerCounter:
        """Loads the tokenizer when it first counts, and not the model."""
        return TokenizerCounter(self.name, self._source.path)

    def with_adapter(self, adapter: str) -> TransformersGenerator:
        """The same model, in memory once, with another adapter; ``""``: with none."""
        return TransformersGenerator(self._settings.model_copy(update={"adapter": adapter}))

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Delta]:
        """Raises:
        BackendError: whatever failed before the first delta; of kind ``bad_reply`` also at the
            end, where the reply does not hold to the schema.
        ConfigError: the folder is no model's, or a package is missing.
        """
        began = time.perf_counter()
        async with turn(self._pace, self.name, self._settings):
            waited = time.perf_counter() - began
            reply = await run_sync(self._begin, messages, options)
            first, error = 0.0, ""
            clock = _Clock(self.name, self._settings.timeouts, waited)
            try:
                while reply.stop is None:
                    text = await run_sync(reply.step)
                    passed = time.perf_counter() - began
                    first = first or (passed if reply.completion_tokens else 0.0)
                    if text:
                        yield Delta(text=text)
                    clock.check(reply)
                for call in await run_sync(reply.finish):
                    yield Delta(tool_call=call)
            except BackendError as failed:
                if failed.kind == "bad_reply" or not reply.text:
                    raise
                reply.stop, error = "interrupted", str(failed)
            finally:
                reply.close()
        usage = Usage(
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            cached_tokens=reply.cached_tokens,
            seconds=time.perf_counter() - began,
            first_token_seconds=first,
        )
        with stage("generate.local") as facts:
            facts["model"], facts["stop"], facts["error"] = self.name, reply.stop, error
            facts["prompt"], facts["read_before"] = reply.prompt_tokens, reply.cached_tokens
        yield Delta(usage=usage, stop=reply.stop, error=error)

    def _begin(self, messages: Sequence[Message], options: GenerationOptions) -> LocalReply:
        from ctxeng.generation.local_reply import LocalReply

        loaded, prompt = self._model
        return LocalReply(
            self.name,
            loaded,
            prompt.ids(messages, options),
            options,
            adapter=loaded.load_adapter(self._adapter) if self._adapter else "",
            stops=prompt.stops,
            window=self._settings.context_window,
        )

    @cached_property
    def _model(self) -> tuple[LoadedModel, ChatPrompt]:
        from ctxeng.generation.chat_prompt import ChatPrompt
        from ctxeng.generation.loaded import load_model

        loaded = load_model(self._source.path())
        return loaded, ChatPrompt(self.name, loaded.tokenizer)


class TokenizerCounter:
    """Counts as a model's own tokenizer does, without special tokens."""

    def __init__(self, name: str, folder: Callable[[], Path]) -> None:
        self.name = name
        self._folder = folder

    def count(self, text: str) -> int:
        from ctxeng.generation.loaded import encode

        return len(encode(self._tokenizer, text)) if text else 0

    @cached_property
    def chat_overhead(self) -> int:
        """Tokens that the chat template puts around a prompt of one message."""
        from ctxeng.generation.chat_prompt import ChatPrompt

        prompt = ChatPrompt(self.name, self._tokenizer)
        return len(prompt.ids([Message(role="user", content="")], DEFAULT_OPTIONS))

    @cached_property
    def message_overhead(self) -> int:
        """Tokens that it puts around each further message, with a margin of two."""
        from ctxeng.generation.chat_prompt import ChatPrompt

        prompt = ChatPrompt(self.name, self._tokenizer)
        asked, answered = Message(role="user"), Message(role="assistant")
        more = prompt.ids([asked, answered, asked], DEFAULT_OPTIONS)
        return max(0, math.ceil((len(more) - self.chat_overhead) / 2)) + 2

    @cached_property
    def _tokenizer(self) -> PreTrainedTokenizerBase:
        from ctxeng.generation.loaded import load_tokenizer

        return load_tokenizer(self._folder())


class _Clock:
    """The time limits of one reply; the total one spans the seconds that its turn took to come."""

    def __init__(self, name: str, limits: TimeoutSettings, waited: float) -> None:
        self._name = name
        self._limits = limits
        self._waited = waited
        self._began = self._last = time.monotonic()

    def check(self, reply: LocalReply) -> None:
        """Called after each step. Raises ``BackendError`` of kind ``timeout``."""
        now, limits = time.monotonic(), self._limits
        passed = ""
        if self._waited + now - self._began > limits.total:
            passed = f"no whole reply within {limits.total:g} s (timeout.total"
        elif not reply.completion_tokens and now - self._began > limits.first_token:
            passed = f"no token within {limits.first_token:g} s (timeout.first_token"
        elif reply.completion_tokens > 1 and now - self._last > limits.between_tokens:
            passed = f"no further token within {limits.between_tokens:g} s (timeout.between_tokens"
        self._last = now
        if passed and reply.stop is None:
            raise BackendError(
                f"{self._name}: {passed} in the model's table). A shorter prompt or a smaller "
                "model is faster.",
                kind="timeout",
                retryable=True,
            )
