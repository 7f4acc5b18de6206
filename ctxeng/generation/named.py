"""Names of models → generators, wrapped in their limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pydantic import ValidationError

from ctxeng.errors import ConfigError
from ctxeng.generation.cached import Cached
from ctxeng.generation.choice import Fallback
from ctxeng.generation.extractive import ExtractiveGenerator
from ctxeng.generation.limits import Paced, Priced, ProcessLedger
from ctxeng.protocols import Generator
from ctxeng.settings import GenerationSettings, ModelSettings, PriceSettings, Settings
from ctxeng.store import Replies
from ctxeng.text.overlap import Idf

OF_OURS = ("extractive", "local")
"""Names that need no table."""
FREE = PriceSettings()


def open_generator(
    name: str, settings: Settings, *, idf: Idf, replies: Replies | None
) -> Generator:
    """The generator of a name, with those that it falls back on; nothing is loaded or called yet.

    Args:
        idf: rarity of terms, for the extractive one.
        replies: where replies and what they cost are kept; None: nowhere, and what was spent is
            known for this process only.

    Raises:
        ConfigError: no model has this name, its table is wrong, or what it needs is not installed.
    """
    chain = list(_chain(name, settings))
    generators = [_open_one(one, settings, idf, replies) for one in chain]
    return generators[0] if len(generators) == 1 else Fallback(generators)


def _chain(name: str, settings: Settings) -> Iterator[str]:
    """The name, and the names that it falls back on, each once."""
    seen: set[str] = set()
    while name and name not in seen:
        seen.add(name)
        yield name
        name = settings.models[name].fallback if name in settings.models else ""


def _open_one(name: str, settings: Settings, idf: Idf, replies: Replies | None) -> Generator:
    if name not in settings.models:
        if name == "extractive":
            return ExtractiveGenerator(idf)
        from ctxeng.generation.models import resolve_local, resolve_registered

        added = resolve_local() if name == "local" else resolve_registered(name)
        if added is not None:
            return _limited(added, FREE, settings.generation, replies)
        known = ", ".join(dict.fromkeys((*OF_OURS, *settings.models)))
        raise ConfigError(
            f"no model is called {name!r}; there are: {known}. Add a table [models.{name}] with "
            "backend and model to ctxeng.toml; `ctxeng models` shows what can be used."
        )
    table = settings.models[name]
    if table.backend == "extractive":
        return ExtractiveGenerator(idf)
    paced = Paced(
        _BACKENDS[table.backend](table),
        max_concurrent=table.max_concurrent,
        requests_per_minute=table.requests_per_minute,
    )
    return _limited(paced, _prices(table), settings.generation, replies)


def model_settings(table: Mapping[str, object]) -> ModelSettings:
    """A table as a program hands it in.

    Raises:
        ConfigError: a name or value in it is wrong.
    """
    try:
        return ModelSettings.model_validate(dict(table))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ConfigError(f"model table: {where}: {first['msg']}.") from error


def _limited(
    generator: Generator,
    prices: PriceSettings | None,
    limits: GenerationSettings,
    replies: Replies | None,
) -> Generator:
    if prices is not None:
        ledger = replies or ProcessLedger()
        generator = Priced(generator, prices, limits=limits, ledger=ledger)
    elif (limits.spend_per_call, limits.spend_per_session, limits.spend_per_day) != (None,) * 3:
        raise ConfigError(
            f"{generator.name}: a spend limit is set, but no price is known: give the model's "
            "table prices = {prompt = …, completion = …} (money for a million tokens)."
        )
    return Cached(generator, replies) if limits.cache and replies is not None else generator


def _prices(table: ModelSettings) -> PriceSettings | None:
    if table.prices is not None or table.backend in {"transformers", "llama"}:
        return table.prices or FREE
    from ctxeng.generation.profiles import known_prices

    return known_prices(table)


def _openai(table: ModelSettings) -> Generator:
    from ctxeng.generation.openai import OpenAIGenerator

    return OpenAIGenerator(table)


def _anthropic(table: ModelSettings) -> Generator:
    from ctxeng.generation.anthropic import AnthropicGenerator

    return AnthropicGenerator(table)


def _transformers(table: ModelSettings) -> Generator:
    from ctxeng.generation.local import TransformersGenerator

    return TransformersGenerator(table)


def _llama(table: ModelSettings) -> Generator:
    from ctxeng.generation.llama import LlamaGenerator

    return LlamaGenerator(table)


_BACKENDS: Mapping[str, Callable[[ModelSettings], Generator]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "transformers": _transformers,
    "llama": _llama,
}
