"""Names of models → generators, wrapped in their limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from ctxeng.errors import ConfigError
from ctxeng.generation.cached import Cached
from ctxeng.generation.choice import Cascade, Fallback, likeness
from ctxeng.generation.extractive import ExtractiveGenerator
from ctxeng.generation.limits import Paced, Priced, ProcessLedger
from ctxeng.protocols import Generator
from ctxeng.settings import ModelSettings, PriceSettings, Settings
from ctxeng.store import Replies
from ctxeng.text.overlap import Idf

OF_OURS = ("extractive", "local")
"""Names that need no table."""
FREE = PriceSettings()


def open_generator(
    name: str,
    settings: Settings,
    *,
    idf: Idf,
    replies: Replies | None,
    session: ProcessLedger | None = None,
) -> Generator:
    """The generator of a name, with those that it falls back on and escalates to; nothing is loaded
    or called yet.

    Args:
        idf: rarity of terms, for the extractive one.
        replies: where replies and what they cost are kept; None: nowhere, and what was spent is
            known for this process only.
        session: what was spent by the models that share a session; None: a session of its own.

    Raises:
        ConfigError: no model has this name, its table is wrong, what it needs is not installed, or
            models escalate to each other in a circle.
    """
    return _Opening(settings, idf, replies, session or ProcessLedger()).chain(name)


def check_name(name: str, settings: Settings, *, named_by: str = "") -> None:
    """See that a name stands for a model; whether it can be used shows when it is opened.

    Args:
        named_by: the setting that names it, for the message.

    Raises:
        ConfigError: no model has this name.
    """
    if name in settings.models or name in OF_OURS:
        return
    from ctxeng.generation.packaged import PACKAGED
    from ctxeng.generation.registry import registered

    added = registered().get(name)
    if name in PACKAGED or (added is not None and added.kind != "adapter"):
        return
    known = ", ".join(dict.fromkeys((*OF_OURS, *settings.models)))
    raise ConfigError(
        f"{named_by and named_by + ': '}no model is called {name!r}; there are: {known}. Add a "
        f"table [models.{name}] with backend and model to ctxeng.toml; `ctxeng models` shows what "
        "can be used."
    )


@dataclass(frozen=True, slots=True)
class _Opening:
    """One call of ``open_generator``. ``path``: the names that escalated to where we are."""

    settings: Settings
    idf: Idf
    replies: Replies | None
    session: ProcessLedger

    def chain(self, name: str, path: tuple[str, ...] = (), named_by: str = "") -> Generator:
        """A model, and after it those that it falls back on, each once."""
        opened: dict[str, Generator] = {}
        while name and name not in opened:
            check_name(name, self.settings, named_by=named_by)
            opened[name] = self.cascade(name, path)
            named_by = f"[models.{name}] fallback"
            name = self.settings.models[name].fallback if name in self.settings.models else ""
        generators = list(opened.values())
        return generators[0] if len(generators) == 1 else Fallback(generators)

    def cascade(self, name: str, path: tuple[str, ...]) -> Generator:
        """A model, and the larger one for what it is not sure of. Where a larger one falls back on
        it, it is no longer asked how sure it is.
        """
        table = self.settings.models.get(name)
        if table is None or not table.escalate or name in path:
            return self.one(name)
        path = (*path, name)
        named_by = f"[models.{name}] escalate"
        if table.escalate in path:
            raise ConfigError(
                f"{named_by} = {table.escalate!r} goes round in a circle: "
                f"{' → '.join((*path, table.escalate))}. Take one of them out."
            )
        return Cascade(
            self.one(name),
            self.chain(table.escalate, path, named_by),
            confidence=likeness(),
            threshold=table.escalate_below,
        )

    def one(self, name: str) -> Generator:
        table = self.settings.models.get(name)
        if table is None and name != "extractive":
            return self._limited(_added(name), FREE)
        if table is None or table.backend == "extractive":
            return ExtractiveGenerator(self.idf)
        try:
            backend = _BACKENDS[table.backend](table)
        except ConfigError as error:
            raise ConfigError(f"model {name!r}: {error}") from error
        paced = Paced(
            backend,
            max_concurrent=table.max_concurrent,
            requests_per_minute=table.requests_per_minute,
        )
        return self._limited(paced, _prices(table))

    def _limited(self, generator: Generator, prices: PriceSettings | None) -> Generator:
        limits = self.settings.generation
        if prices is not None:
            generator = Priced(
                generator,
                prices,
                limits=limits,
                ledger=self.replies or self.session,
                session=self.session,
            )
        elif (limits.spend_per_call, limits.spend_per_session, limits.spend_per_day) != (None,) * 3:
            raise ConfigError(
                f"{generator.name}: a spend limit is set, but no price is known: give the model's "
                "table prices = {prompt = …, completion = …} (money for a million tokens)."
            )
        return Cached(generator, self.replies) if limits.cache and self.replies else generator


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


def _added(name: str) -> Generator:
    """A packaged or registered model."""
    from ctxeng.generation.models import resolve_local, resolve_registered

    added = resolve_local() if name == "local" else resolve_registered(name)
    if added is None:
        raise ConfigError(f"{name}: is gone; `ctxeng models` shows what can be used.")
    return added


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
