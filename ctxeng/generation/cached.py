"""Keeps replies: the same model, options and messages get the same reply without a call."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

import anyio

from ctxeng.generation.reply import closable
from ctxeng.protocols import Delta, Generator, Restart, TokenCounter
from ctxeng.trace import stage
from ctxeng.types import (
    DEFAULT_OPTIONS,
    Attachment,
    GenerationOptions,
    Image,
    Message,
    Reply,
    ToolCall,
    Usage,
    sha256,
)


class ReplyStore(Protocol):
    def get_reply(self, key: str) -> str | None: ...
    def put_reply(self, key: str, payload: str) -> None: ...


class Cached:
    """A wrapper that fits ``Generator``.

    Asked twice, it answers from the store, at no cost. A sampled reply without a seed is never
    kept: whoever asks for one wants another each time. Nor is one that was interrupted.
    """

    def __init__(self, generator: Generator, replies: ReplyStore) -> None:
        self._generator = generator
        self._replies = replies
        self.name = generator.name

    @property
    def counter(self) -> TokenCounter:
        return self._generator.counter

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Delta]:
        began = time.perf_counter()
        key = None if _varies(options) else cache_key(self.name, messages, options)
        with stage("generate.cache") as facts:
            kept = None if key is None else await self._get(key)
            facts["hit"] = kept is not None
        if kept is not None:
            for delta in _deltas(kept, time.perf_counter() - began):
                yield delta
            return
        text, calls = "", list[ToolCall]()
        stream = closable(self._generator.stream(messages, options))
        async with aclosing(stream) as deltas:
            async for delta in deltas:
                if isinstance(delta, Restart):
                    text, calls = "", []
                text += delta.text
                calls += [delta.tool_call] if delta.tool_call else []
                if key is not None and delta.stop is not None and delta.stop != "interrupted":
                    reply = Reply(
                        text=text,
                        tool_calls=tuple(calls),
                        usage=delta.usage or Usage(),
                        stop=delta.stop,
                        model=self.name,
                    )
                    await anyio.to_thread.run_sync(
                        self._replies.put_reply, key, reply.model_dump_json()
                    )
                yield delta

    async def _get(self, key: str) -> Reply | None:
        payload = await anyio.to_thread.run_sync(self._replies.get_reply, key)
        return None if payload is None else Reply.model_validate_json(payload)


def _varies(options: GenerationOptions) -> bool:
    return options.temperature > 0 and options.seed is None


def cache_key(model: str, messages: Sequence[Message], options: GenerationOptions) -> str:
    """Of what the model sees: the rendered texts, and not where they come from."""
    seen = [
        [
            message.role,
            message.text,
            message.tool_call_id,
            [call.model_dump() for call in message.tool_calls],
            [part.model_dump() for part in message.content if isinstance(part, Image | Attachment)],
        ]
        for message in messages
    ]
    asked = options.model_dump(mode="json", exclude={"retry_broken_streams"})
    return sha256(json.dumps([model, asked, seen], sort_keys=True))


def _deltas(reply: Reply, seconds: float) -> list[Delta]:
    usage = reply.usage.model_copy(
        update={
            "cost": 0.0,
            "cached_tokens": reply.usage.prompt_tokens,
            "cache_write_tokens": 0,
            "seconds": seconds,
            "first_token_seconds": seconds,
        }
    )
    return [
        *([Delta(text=reply.text)] if reply.text else []),
        *(Delta(tool_call=call) for call in reply.tool_calls),
        Delta(usage=usage, stop=reply.stop),
    ]
