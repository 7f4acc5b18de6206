"""Language models in GGUF files, by llama.cpp in this process (extra ``llama``)."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import cached_property
from math import ceil

from anyio.to_thread import run_sync

from ctxeng.errors import ConfigError
from ctxeng.generation.exchange import Api
from ctxeng.generation.http import Client
from ctxeng.generation.llama_server import LlamaServer, llama_server
from ctxeng.generation.llama_tools import asked_in_text, with_calls
from ctxeng.generation.openai import request_body
from ctxeng.generation.openai_reading import ChatReading
from ctxeng.generation.pace import pace_of
from ctxeng.generation.sources import llama_source
from ctxeng.generation.tool_text import told_in_text
from ctxeng.protocols import Delta
from ctxeng.settings import ModelSettings
from ctxeng.types import (
    DEFAULT_OPTIONS,
    Attachment,
    GenerationOptions,
    Image,
    Message,
    Segment,
)

INVISIBLE = "\u200b"
CONTROL = re.compile(r"<[^<>\s]{1,40}>|\[/?[A-Z_]{2,24}\]")
"""What control tokens look like; the model's own vocabulary decides."""


class LlamaGenerator:
    """One model file. llama.cpp is asked as any server is, over a socket inside this process: so
    streaming, cancelling, time limits, tools and schemas are those of ``OpenAIGenerator``.

    It is loaded when the first reply or count is asked for, once per process, and keeps what it
    has read for prompts that begin alike. Who closes a stream ends its work within one token, or
    within ``BATCH`` tokens of a prompt. Control tokens in the texts of messages are broken up by
    an invisible character, so that no text can end its own message.
    """

    def __init__(self, settings: ModelSettings) -> None:
        """Nothing is loaded yet.

        Args:
            settings: ``model`` is a GGUF file, or a name that `ctxeng models` lists.

        Raises:
            ConfigError: there is no such model, or the extra ``llama`` is not installed.
        """
        if settings.adapter:
            raise ConfigError(
                f'adapter {settings.adapter!r}: backend "llama" takes none. Merge it into the '
                'model, or use backend = "transformers".'
            )
        self._settings = settings
        self._source = llama_source(settings.model)
        self.name = f"{self._source.name} on llama.cpp"

    def __repr__(self) -> str:
        return f"LlamaGenerator({self.name})"

    @cached_property
    def counter(self) -> LlamaCounter:
        return LlamaCounter(self)

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Delta]:
        """Raises:
        BackendError: as ``OpenAIGenerator`` does.
        """
        tools = options.tools if options.tool_choice != "none" else ()
        # llama.cpp does not hold every model to a call that is required.
        required = options.tool_choice == "required"
        told = bool(tools) and (required or not await run_sync(lambda: self.server.takes_tools))
        if told:
            messages = told_in_text(messages, tools)
        api, plain = await run_sync(self._begin, messages)
        deltas = api.stream(plain, asked_in_text(options) if told else options)
        if told:
            deltas = with_calls(self.name, deltas, options)
        async with aclosing(deltas):
            async for delta in deltas:
                yield delta

    @cached_property
    def server(self) -> LlamaServer:
        """Started when it is first asked for."""
        return llama_server(self._source.path(), self._settings.context_window)

    @cached_property
    def _api(self) -> Api:
        table = ModelSettings(
            backend="openai",
            model=self._source.name,
            base_url="http://localhost/v1",
            profile="llama.cpp",
            timeout=self._settings.timeout,
            max_concurrent=self._settings.max_concurrent,
            requests_per_minute=self._settings.requests_per_minute,
        )
        server = self.server
        api = Api(table, request_body, ChatReading, first_pause=0.1, pace=pace_of(server.socket))
        api.client = Client(socket=server.socket, connected=server.connections.add)
        return api

    def _begin(self, messages: Sequence[Message]) -> tuple[Api, list[Message]]:
        return self._api, [self._plain(message) for message in messages]

    def _plain(self, message: Message) -> Message:
        content = message.content
        parts = [content] if isinstance(content, str) else list(content)
        made = tuple(self._broken_up(part) for part in parts)
        return Message(**{**dict(message), "content": made})

    def _broken_up(self, part: str | Segment | Image | Attachment) -> str | Image | Attachment:
        if isinstance(part, Image | Attachment):
            return part
        text = part if isinstance(part, str) else part.text
        return CONTROL.sub(self._broken, text)

    def _broken(self, found: re.Match[str]) -> str:
        piece = found.group()
        return piece[0] + INVISIBLE + piece[1:] if self.server.is_control(piece) else piece


class LlamaCounter:
    """Counts as the model does; loads it when it first counts."""

    def __init__(self, generator: LlamaGenerator) -> None:
        self._generator = generator
        self.name = generator.name

    def count(self, text: str) -> int:
        text = text.encode("utf-8", "replace").decode("utf-8")
        return self._generator.server.count(text) if text else 0

    @cached_property
    def chat_overhead(self) -> int:
        """Tokens that the chat template puts around a prompt of one message."""
        return self._generator.server.count_empty("user")

    @cached_property
    def message_overhead(self) -> int:
        """Tokens that it puts around each further message, with a margin of two."""
        more = self._generator.server.count_empty("user", "assistant", "user")
        return max(0, ceil((more - self.chat_overhead) / 2)) + 2
