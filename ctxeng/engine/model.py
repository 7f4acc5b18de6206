"""A model alone, without an engine: ``open_model(NAME).generate(messages)``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from pydantic import BaseModel

from ctxeng.engine.blocking import plain, plain_stream
from ctxeng.generation.messages import as_messages
from ctxeng.generation.named import ModelChoice, choose, open_generator
from ctxeng.generation.reply import collect
from ctxeng.generation.structured import schema_of, structured
from ctxeng.protocols import Delta, Generator
from ctxeng.settings import Settings, load_settings
from ctxeng.types import GenerationOptions, Message, Reply, Tool

Messages = str | Sequence[Message | Mapping[str, object]]
"""A question, or messages, ours or in the form of OpenAI's chat API."""
Schema = type[BaseModel] | Mapping[str, object]


class Model:
    """Writes replies. Every verb has a plain form and an async one (``agenerate``, ``astream``)."""

    def __init__(self, generator: Generator, settings: Settings) -> None:
        self._generator = generator
        self._settings = settings.generation

    @property
    def name(self) -> str:
        return self._generator.name

    @property
    def generator(self) -> Generator:
        """What it writes with, in its limits: for functions that ask several times, as those of
        ``ctxeng.generation.decoding``.
        """
        return self._generator

    def count(self, text: str) -> int:
        """Tokens of a text, as the model counts (or approximately: see the backend)."""
        return self._generator.counter.count(text)

    async def agenerate(
        self,
        messages: Messages,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
        tools: Sequence[Tool] = (),
        schema: Schema | None = None,
        retry_broken_streams: bool | None = None,
    ) -> Reply:
        """The whole reply.

        Args:
            max_tokens: None: the setting ``generation.max_tokens``; so with ``temperature``.
            schema: a pydantic model or JSON schema. The reply's ``value`` holds to it; where the
                model does not manage, it is told what is wrong, a bounded number of times.
            retry_broken_streams: None: as the model's table says.

        Raises:
            BackendError: the model or its server failed; ``kind`` says how.
            ConfigError: the messages are none.
        """
        options = self._options(
            max_tokens,
            temperature,
            top_p=top_p,
            seed=seed,
            stop=stop,
            tools=tools,
            retry_broken_streams=retry_broken_streams,
        )
        if schema is not None:
            return await structured(self._generator, as_messages(messages), options, schema)
        stream = self._generator.stream(as_messages(messages), options)
        return await collect(stream, options, model=self.name)

    def astream(
        self,
        messages: Messages,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
        tools: Sequence[Tool] = (),
        schema: Schema | None = None,
        retry_broken_streams: bool | None = None,
    ) -> AsyncIterator[Delta]:
        """Pieces of the reply as they come; the last one says what it took and why it ended.

        With a ``schema`` the text is not checked before it is handed on. With
        ``retry_broken_streams`` a piece may be a ``Restart``: what came before it is to be
        discarded.
        """
        options = self._options(
            max_tokens,
            temperature,
            top_p=top_p,
            seed=seed,
            stop=stop,
            tools=tools,
            schema=schema,
            retry_broken_streams=retry_broken_streams,
        )
        return self._generator.stream(as_messages(messages), options)

    generate = plain(agenerate)
    stream = plain_stream(astream)

    def _options(
        self,
        max_tokens: int | None,
        temperature: float | None,
        *,
        top_p: float,
        seed: int | None,
        stop: Sequence[str],
        tools: Sequence[Tool],
        schema: Schema | None = None,
        retry_broken_streams: bool | None = None,
    ) -> GenerationOptions:
        return GenerationOptions(
            max_tokens=max_tokens or self._settings.max_tokens,
            temperature=self._settings.temperature if temperature is None else temperature,
            top_p=top_p,
            seed=seed,
            stop=tuple(stop),
            tools=tuple(tools),
            json_schema=None if schema is None else schema_of(schema),
            retry_broken_streams=retry_broken_streams,
        )


def open_model(model: ModelChoice = "local", *, settings: Settings | None = None) -> Model:
    """A model by its name, or by its table.

    Args:
        model: ``local``, a name of ``[models.NAME]`` in the settings, such a table itself:
            ``{"backend": "openai", "model": "…", "base_url": "http://127.0.0.1:8080/v1"}``, or a
            generator of yours.
        settings: None reads ``ctxeng.toml`` and the environment. A limit ``spend_per_day`` in them
            holds for all that this user's processes spend without a workspace.

    Raises:
        ConfigError: there is no such model, or its table is wrong.
    """
    settings = settings or load_settings()
    chosen = choose(model, settings)
    generator = chosen.generator or open_generator(
        chosen.name, chosen.settings, idf=lambda _: 1.0, replies=None
    )
    return Model(generator, settings)
