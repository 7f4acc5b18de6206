"""Declares what a prompt is made of, and builds it under one budget.

plan = rag(budget=4_000)
context = plan.build({"instructions": "Be brief.", "sources": hits, "question": question})
client.chat.completions.create(model=…, messages=context.render("openai"))
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, ValidationError, model_validator

from ctxeng.context import build as building
from ctxeng.context import render
from ctxeng.context.candidates import Candidate, Given
from ctxeng.context.counts import FILE_TOKENS
from ctxeng.context.section import Section
from ctxeng.context.trust import DEFAULT_POLICY, TrustPolicy
from ctxeng.errors import BudgetError, ConfigError
from ctxeng.protocols import Compressor, TokenCounter
from ctxeng.text.tokens import PackagedTokenCounter
from ctxeng.types import Context, Tool, Value

__all__ = ["Candidate", "ContextPlan", "Section", "agent", "chat", "code", "rag"]


def _as_tuple(value: object) -> object:
    """TOML and callers give lists."""
    return tuple(value) if isinstance(value, list) else value


class ContextPlan(Value):
    """The sections of a prompt, and the tokens that they share."""

    sections: Annotated[tuple[Section, ...], BeforeValidator(_as_tuple)]
    budget: int
    """Tokens of everything: texts, tool schemas, what the chat template adds, files, the reply."""
    reply: int = 0
    """Of the budget, kept free for the reply."""
    name: str = "plan"
    policy: TrustPolicy = DEFAULT_POLICY

    @model_validator(mode="after")
    def _can_be_built(self) -> ContextPlan:
        names = [section.name for section in self.sections]
        doubled = [name for name in names if names.count(name) > 1]
        if doubled:
            raise ValueError(f"two sections are called {doubled[0]!r}")
        unknown = [name for name in self.policy.sections if name not in names]
        if unknown:
            raise ValueError(f"the policy names a section {unknown[0]!r} that is not there")
        if self.budget <= 0:
            raise BudgetError(
                f"plan {self.name!r}: a budget of {self.budget} tokens holds nothing; give it a "
                "positive number."
            )
        if not 0 <= self.reply < self.budget:
            raise BudgetError(
                f"plan {self.name!r}: a budget of {self.budget} tokens cannot keep {self.reply} "
                "free for the reply and hold a prompt as well. Raise the budget, which a model's "
                "window limits, or keep less free (`reply`; in settings generation.max_tokens)."
            )
        return self

    def with_budget(self, budget: int, *, reply: int | None = None) -> ContextPlan:
        """The same plan with another budget.

        Raises:
            BudgetError: it holds nothing.
        """
        reply = self.reply if reply is None else reply
        return ContextPlan(**{**dict(self), "budget": budget, "reply": reply})

    def with_section(self, name: str, **changes: object) -> ContextPlan:
        """The same plan with fields of one section changed.

        Raises:
            ConfigError: no section has that name, or it has no such field or value.
        """
        if name not in [section.name for section in self.sections]:
            raise ConfigError(f"plan {self.name!r}: no section is called {name!r}.")
        try:
            sections = tuple(
                Section(**{**dict(one), **changes}) if one.name == name else one
                for one in self.sections
            )
        except ValidationError as error:
            raise ConfigError(f"section {name!r}: {_first(error, 'section')}") from error
        return ContextPlan(**{**dict(self), "sections": sections})

    def build(
        self,
        candidates: Mapping[str, Given],
        *,
        counter: TokenCounter | None = None,
        tools: Sequence[Tool] = (),
        query: str | None = None,
        chat_overhead: int | None = None,
        window: int | None = None,
        file_tokens: int = FILE_TOKENS,
        salt: str = "",
        compressor: Compressor | None = None,
    ) -> Context:
        """The prompt with the most value that the budget holds, minimums first.

        What is rendered and reserved never takes more than the budget by the counter's own count.
        The same candidates give the same bytes. Text that may not be believed (all but the system's
        and the user's) is cleaned (``trust.clean``) and stands between markers that no candidate
        holds. Every candidate that is not in is in ``dropped`` with the reason.

        Args:
            candidates: by a section's name: strings, hits, messages (ours or in OpenAI's form),
                segments, ``Candidate``s or dictionaries with their fields, a list of them, or a
                function that makes them.
            counter: counts as the model does; None: the packaged tokenizer. Where it has
                ``chat_overhead`` and ``message_overhead``, they are used.
            tools: whose schemas are sent beside the messages: they are inside the budget.
            query: what is asked; None: the text of the section ``question``.
            chat_overhead: tokens that the chat template puts around each message.
            window: of the model, in tokens.
            file_tokens: what each image or file is taken to cost.
            salt: makes markers differ where the texts are the same, such as a session's id.
            compressor: makes shorter forms for sections with ``shorten``; None: keeps the
                sentences that say most about the query.

        Raises:
            BudgetError: the minimums and what is required do not fit, and the message says who
                wants how much; or the budget is larger than the window.
            ConfigError: no section has that name; candidates cannot be read; the function of a
                section failed; the tokenizer cannot be had.
        """
        return building.build(
            self,
            candidates,
            counter=counter or PackagedTokenCounter(),
            tools=tools,
            query=query,
            chat_overhead=chat_overhead,
            window=window,
            file_tokens=file_tokens,
            salt=salt,
            compressor=compressor,
        )

    @classmethod
    def from_table(cls, table: Mapping[str, object], *, where: str = "plan") -> ContextPlan:
        """From what TOML gives: the fields as keys, ``sections`` as a list of tables.

        Raises:
            ConfigError: a key or a value is wrong; the message says which and where.
            BudgetError: the budget holds nothing.
        """
        try:
            return cls.model_validate(dict(table))
        except ValidationError as error:
            raise ConfigError(f"{where}: {_first(error, 'plan')}") from error

    @classmethod
    def from_toml(cls, source: str | Path, *, name: str | None = None) -> ContextPlan:
        """From a file, or from TOML text (a string with a line break or a ``=``).

        Args:
            name: of the table ``[context.plans.NAME]``, as settings have it; None: the whole is one
                plan.

        Raises:
            ConfigError: it cannot be read, is not TOML, or a key or a value is wrong.
            BudgetError: the budget holds nothing.
        """
        is_text = isinstance(source, str) and ("\n" in source or "=" in source)
        where = "the plan's text" if is_text else str(source)
        try:
            text = str(source) if is_text else Path(source).read_text("utf-8")
            table: object = tomllib.loads(text)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{where}: cannot be read as a plan: {error}") from error
        if name is not None:
            where = f"{where}: context.plans.{name}"
            for step in ("context", "plans", name):
                table = table.get(step) if isinstance(table, dict) else None
            if not isinstance(table, dict):
                raise ConfigError(f"{where}: there is no such table.")
            table = {"name": name, **table}
        assert isinstance(table, dict)
        return cls.from_table(table, where=where)


def _first(error: ValidationError, whole: str) -> str:
    """What is wrong, and where."""
    first = error.errors()[0]
    place = ".".join(str(step) for step in first["loc"])
    return f"{place or whole}: {first['msg']}."


INSTRUCTIONS = Section(
    name="instructions", role="system", trust="system", volatility="stable", required=True
)
QUESTION = Section(name="question", trust="user", required=True)
REMINDER = Section(name="reminder", trust="system", required=True, heading="\n")
"""What stands last: small models heed that, and forget over the sources what stood first."""
MEMORY = Section(name="memory", trust="memory", volatility="stable", minimum=0.1, maximum=0.1)
"""What is stable has all of its room reserved: a prompt without some of it would begin anew."""
HISTORY = Section(
    name="history", trust="user", volatility="growing", keep="last", minimum=0.1, maximum=0.5,
    each=0.2, step=0.5, decay=0.99, priority=3.0,
)  # fmt: skip
"""Its priority lets it fill its own room whatever else is found, so that it begins where it did in
the turn before; its step, that it goes on doing so for some turns."""
SOURCES = Section(
    name="sources", trust="document", floor=0.1, decay=0.98, order="edges", numbered=True
)


def rag(budget: int = 2_000, *, reply: int = 0) -> ContextPlan:
    """Instructions, numbered sources, the question, and where one is given a reminder: what
    ``Engine.ask`` builds by.
    """
    question = QUESTION.model_copy(update={"heading": render.QUESTION})
    sources = SOURCES.model_copy(update={"heading": ""})
    return ContextPlan(
        name="rag",
        sections=(INSTRUCTIONS, sources, question, REMINDER),
        budget=budget,
        reply=reply,
    )


def _share(reply: int | None, budget: int) -> int:
    """An eighth of the budget, where nothing is said."""
    return budget // 8 if reply is None else reply


def chat(budget: int = 8_000, *, reply: int | None = None) -> ContextPlan:
    """Instructions, what is remembered, the turns so far, sources, the question. Here and in the
    next two, ``reply=None`` keeps an eighth of the budget free.
    """
    return ContextPlan(
        name="chat",
        sections=(
            INSTRUCTIONS,
            MEMORY,
            HISTORY,
            SOURCES.model_copy(update={"minimum": 0.2, "maximum": 0.5}),
            QUESTION,
        ),
        budget=budget,
        reply=_share(reply, budget),
    )


def agent(budget: int = 32_000, *, reply: int | None = None) -> ContextPlan:
    """Instructions, what is remembered, the task, the steps so far with their calls and results,
    sources, and a note of where the work stands.
    """
    return ContextPlan(
        name="agent",
        sections=(
            INSTRUCTIONS,
            MEMORY,
            Section(name="task", trust="user", volatility="stable", required=True),
            HISTORY.model_copy(update={"maximum": 0.7, "each": 0.1}),
            SOURCES.model_copy(update={"minimum": 0.1, "maximum": 0.4}),
            Section(name="state", trust="user", maximum=0.1, priority=2.0),
        ),
        budget=budget,
        reply=_share(reply, budget),
    )


def code(budget: int = 16_000, *, reply: int | None = None) -> ContextPlan:
    """Instructions, a map of the repository, the turns so far, open files, what was found, what the
    tools say of it, the question.
    """
    return ContextPlan(
        name="code",
        sections=(
            INSTRUCTIONS,
            Section(name="map", trust="document", volatility="stable", minimum=0.15, maximum=0.15),
            HISTORY.model_copy(update={"maximum": 0.3}),
            Section(name="files", trust="document", priority=2.0, maximum=0.6),
            SOURCES.model_copy(update={"order": "ranked"}),
            Section(name="diagnostics", trust="tool", priority=1.5, maximum=0.15, each=0.05),
            QUESTION,
        ),
        budget=budget,
        reply=_share(reply, budget),
    )
