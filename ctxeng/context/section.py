"""One part of a prompt, as a plan declares it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ctxeng.types import Role, Trust, Value

Amount = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, le=1)]
"""A whole number: tokens. A number with a point, from 0.0 to 1.0: that share of the budget."""

Volatility = Literal["stable", "growing", "volatile"]
"""``stable``: the same from prompt to prompt; ``growing``: only gains at its end, such as a chat;
``volatile``: another one each time."""
_ORDER: tuple[Volatility, ...] = ("stable", "growing", "volatile")


class Section(Value):
    """One part of a prompt: who says it, how much room it may take, and what it is worth."""

    name: str = Field(min_length=1)
    role: Role = "user"
    """Of its texts; messages keep their own."""
    minimum: Amount = 0
    """Reserved for it: filled with its own best before sections compete. What it cannot use, the
    others get. Tokens are a demand, and there is no prompt where they do not fit; of a share counts
    only what the candidates can use."""
    maximum: Amount | None = None
    """None: whatever the budget has left."""
    priority: float = Field(default=1.0, gt=0)
    """How many times a candidate's relevance counts when sections compete."""
    volatility: Volatility = "volatile"
    """Decides the order: system sections first, then stable, growing and volatile ones, each as
    declared."""
    trust: Trust = "web"
    """How far its texts may be believed, where they do not say so themselves."""
    required: bool = False
    """All its candidates must be in, or there is no prompt."""
    floor: float = Field(default=0.0, ge=0, le=1)
    """Candidates that score below this share of the section's best are left out."""
    decay: float = Field(default=1.0, gt=0, le=1)
    """What each further candidate, best first, is worth of the one before: the quality curve."""
    keep: Literal["best", "last"] = "best"
    """``last``: the newest, without a gap, as of a chat."""
    step: float = Field(default=0.0, ge=0, le=1)
    """Of a section that keeps the last: the share of its room that is let go at once when it is
    full. So the prompt's start stays the same for many turns, which prompt caches like."""
    each: Amount | None = None
    """The most that one text may have; a longer one is cut at the end of a line or a sentence."""
    shorten: bool = False
    """What does not fit whole comes in a shorter form while there is room: whole sentences, rows
    and definitions of it, or what the compressor that ``build`` is handed makes of it."""
    order: Literal["given", "ranked", "edges"] = "given"
    """``ranked``: best first; ``edges``: best first, second best last."""
    numbered: bool = False
    """Its texts are sources that an answer cites by number."""
    heading: str | None = None
    """Written before its first text. None: of texts that may not be believed, a line that says that
    they are data."""

    @field_validator("minimum", "maximum", "each", mode="before")
    @classmethod
    def _in_one_unit(cls, value: object) -> object:
        if isinstance(value, bool) or (isinstance(value, float) and not 0 <= value <= 1):
            raise ValueError(
                f"{value!r}: a whole number of tokens (300) or a share of the budget (0.25) is "
                "wanted"
            )
        return value

    @field_validator("role")
    @classmethod
    def _whose_text(cls, value: Role) -> Role:
        if value == "tool":
            raise ValueError(
                "a tool's result belongs to a call: give both as messages, or a text as the "
                "user's with trust = 'tool'"
            )
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Section:
        low, high = self.minimum, self.maximum
        if high is not None and isinstance(low, int) == isinstance(high, int) and low > high:
            raise ValueError(f"{self.name!r}: its minimum ({low}) is over its maximum ({high})")
        if self.step and self.keep != "last":
            raise ValueError(f"{self.name!r}: only a section that keeps the last has a step")
        if self.shorten and self.keep == "last":
            raise ValueError(
                f"{self.name!r}: what keeps the last is a chat; use ctxeng.compact to shorten it"
            )
        return self

    @property
    def place(self) -> tuple[bool, int]:
        """What sections are ordered by."""
        return self.role != "system", _ORDER.index(self.volatility)


def tokens_of(amount: Amount | None, budget: int) -> int:
    """The amount in tokens; None: the whole budget."""
    if amount is None:
        return budget
    return amount if isinstance(amount, int) else int(amount * budget)


def least_of(section: Section, budget: int) -> int:
    """Its minimum in tokens; no more than its maximum, which may be in the other unit."""
    return min(tokens_of(section.minimum, budget), tokens_of(section.maximum, budget))
