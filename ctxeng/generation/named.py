"""Names of models → generators, wrapped in their limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from ctxeng.errors import ConfigError
from ctxeng.generation.cached import Cached
from ctxeng.generation.choice import Cascade, Fallback, likeness
from ctxeng.generation.extractive import ExtractiveGenerator
from ctxeng.generation.limits import Ledger, Priced, ProcessLedger, user_ledger
from ctxeng.protocols import Generator
from ctxeng.settings import ModelSettings, PriceSettings, Settings, what_is_wrong
from ctxeng.store import Replies
from ctxeng.text.overlap import Idf

if TYPE_CHECKING:
    from ctxeng.generation.packaged import Habits

OF_OURS = ("extractive", "local")
"""Names that need no table."""
FREE = PriceSettings()
GIVEN = "(table)"
"""Name of a table that was handed in."""

ModelChoice = str | Mapping[str, object] | ModelSettings | Generator
"""Who replies: the name of a model, its table, or whatever writes."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model that was asked for."""

    name: str
    settings: Settings
    """They hold its table, where it has one."""
    generator: Generator | None = None
    """What was handed in to write: it has no name and no table here."""

    @property
    def table(self) -> ModelSettings | None:
        return None if self.generator is not None else self.settings.models.get(self.name)

    @property
    def key(self) -> str:
        """The same for the same model."""
        handed_in = self.table if self.name == GIVEN else None
        return self.name if handed_in is None else handed_in.model_dump_json()


def choose(model: object, settings: Settings) -> Chosen:
    """What ``model=`` means.

    Args:
        model: a ``ModelChoice``, or what ``open_model`` returned.

    Raises:
        ConfigError: it is none, or its table is wrong. Whether a name stands for a model shows when
            it is opened.
    """
    if isinstance(model, str):
        return Chosen(model, settings)
    if isinstance(model, ModelSettings | Mapping):
        table = model if isinstance(model, ModelSettings) else model_settings(model)
        return Chosen(
            GIVEN, settings.model_copy(update={"models": {**settings.models, GIVEN: table}})
        )
    model = getattr(model, "generator", model)
    writes = hasattr(model, "stream") and hasattr(model, "counter") and hasattr(model, "name")
    if isinstance(model, type) or not writes:
        raise ConfigError(
            f"model: a {type(model).__name__} is no model. Name one (`ctxeng models` shows which), "
            'or hand in its table ({"backend": …, "model": …}), a generator, or what open_model '
            "returned."
        )
    return Chosen("", settings, cast("Generator", model))


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
        replies: where replies and what they cost are kept; None: no replies are, and a day's
            spending is counted as ``user_ledger`` says, where it is limited.
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

    added = registered()
    models = [one.name for one in added.values() if one.kind != "adapter"]
    if name in PACKAGED or name in models:
        return
    if name in added:
        raise ConfigError(
            f"{named_by and named_by + ': '}{name!r} is an adapter: name it as adapter in a table "
            "[models.NAME] of ctxeng.toml, beside the model that it was made for."
        )
    known = ", ".join(dict.fromkeys((*OF_OURS, *settings.models, *models)))
    raise ConfigError(
        f"{named_by and named_by + ': '}no model is called {name!r}; there are: {known}. Add a "
        f"table [models.{name}] with backend and model to ctxeng.toml; `ctxeng models` shows what "
        "can be used."
    )


def habits_of(name: str, settings: Settings) -> Habits:
    """How a model is asked best: what its table says, else of a packaged one what is known."""
    from ctxeng.generation.packaged import PACKAGED, SMOLLM2, Habits

    table = settings.models.get(name)
    model = SMOLLM2.name if name == "local" else name
    packaged = PACKAGED.get(table.model if table else model)
    known = packaged.habits if packaged else Habits()
    budget = known.budget and min(known.budget, settings.context.budget)
    most = known.max_tokens and min(known.max_tokens, settings.generation.max_tokens)
    if table is None:
        return Habits(budget, known.reminder, most)
    return Habits(
        table.budget or budget,
        known.reminder if table.reminder is None else table.reminder,
        table.max_tokens or most,
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
        return self._limited(backend, _prices(table))

    def _ledger(self) -> Ledger:
        """Where a day's spending is counted."""
        shared: Ledger | None = self.replies
        if shared is None and self.settings.generation.spend_per_day is not None:
            shared = user_ledger()
        return shared or self.session

    def _limited(self, generator: Generator, prices: PriceSettings | None) -> Generator:
        limits = self.settings.generation
        if prices is not None:
            generator = Priced(
                generator,
                prices,
                limits=limits,
                ledger=self._ledger(),
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
        steps, wrong = what_is_wrong(error)
        where = f"{'.'.join(steps)}: " if steps else ""
        raise ConfigError(f"model table: {where}{wrong}.") from error


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
