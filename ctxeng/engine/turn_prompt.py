"""The prompt of a turn: what stays the same from turn to turn stands first, then the sources, and
the question last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ctxeng.context import Assembler, render
from ctxeng.context.candidates import Given, candidate_of
from ctxeng.context.plan import REMINDER, Candidate, ContextPlan, Section
from ctxeng.context.trust import DEFAULT_POLICY, TrustPolicy, clean, lowest
from ctxeng.errors import BudgetError
from ctxeng.protocols import TokenCounter
from ctxeng.rewriting.history import RESOLVED_BY
from ctxeng.types import Context, Hit, Message, Query, Segment

PINS, HISTORY, SOURCES = "pins", "history", "sources"
PASSING = (SOURCES, "question", REMINDER.name)
"""Sections that are others in the next turn, or stand behind such."""
LEAST_SOURCES = 100
"""Tokens; with less room than this for sources there is no answer."""
# Version 1. Changing a word here changes every prompt: keep the old one beside the new.
PINNED = "Keep these notes of the user in mind:\n"


def turn_plan(window: int, *, reply: int, policy: TrustPolicy = DEFAULT_POLICY) -> ContextPlan:
    """Instructions, pinned notes, what was said before, sources, the question. What was said before
    has been compacted to its share of the window, so all of it is required.
    """
    return ContextPlan(
        name="conversation",
        sections=(
            Section(
                name="instructions",
                role="system",
                trust="system",
                volatility="stable",
                required=True,
            ),
            Section(
                name=PINS,
                role="system",
                trust="user",
                volatility="stable",
                required=True,
                heading=PINNED,
            ),
            Section(name=HISTORY, trust="user", volatility="growing", required=True),
            Section(
                name=SOURCES, trust="document", minimum=LEAST_SOURCES, numbered=True, heading=""
            ),
            Section(name="question", trust="user", required=True, heading=render.QUESTION),
            REMINDER,
        ),
        budget=window,
        reply=reply,
        policy=policy,
    )


def searched_for(query: Query, asked: Query, history: Sequence[Message]) -> Candidate:
    """The question, or what took its place: believed as far as what it was made of, which for the
    rules are questions of the user.
    """
    if query.text == asked.text:
        return Candidate(text=asked.text)
    spoken = [part.trust for one in history for part in one.content if isinstance(part, Segment)]
    trust = "user" if query.made_by == RESOLVED_BY else lowest("user", *spoken)
    return Candidate(text=query.text, transformation="resolved", made_by=query.made_by, trust=trust)


@dataclass(frozen=True, slots=True)
class TurnPrompt:
    """Builds the prompt of a turn. Deterministic: same input, same bytes."""

    plan: ContextPlan
    assembler: Assembler
    counter: TokenCounter
    most: int
    """Tokens that the sources take at most: what the whole prompt of ``ask`` may have."""
    quotes: bool
    """Nobody reads what was said before: the question is put as it is searched for."""
    pins: Sequence[str] = ()
    history: Sequence[Message] = ()
    salt: str = ""

    def build(self, question: str, searched: Candidate, hits: Sequence[Hit]) -> Context:
        """The prompt for ``question`` from the ``hits`` (best first) for what was ``searched``.

        Raises:
            BudgetError: what must be in it does not fit; the message says who takes how much.
        """
        refused = self.plan.policy.refusal("question", "user", searched.trust or "user")
        asked = searched if self.quotes and not refused else Candidate(text=question)
        without = self._built(asked, [])
        left = without.budget - without.tokens - sum(without.reserved.values())
        # The assembler counts what was searched for, too.
        room = min(self.most, left + self.counter.count(searched.text))
        chosen = self.assembler.assemble(searched.text, hits, room)
        pairs = pairwise(chosen.segments)
        built = self._built(
            asked, [_candidate(one, opens) for opens, one in pairs if one.source is not None]
        )
        lasting = (segment.section not in PASSING for segment in built.segments)
        dropped = sorted((*built.dropped, *chosen.dropped), key=lambda row: -row.score)
        return Context(
            **{
                **dict(built),
                "query": question,
                "dropped": tuple(dropped),
                "stable": sum(lasting),
            }
        )

    def _built(self, question: Candidate, sources: Sequence[Candidate]) -> Context:
        given: dict[str, Given] = {
            "instructions": render.INSTRUCTIONS,
            PINS: [f"- {' '.join(clean(pin)[0].split())}\n" for pin in self.pins],
            HISTORY: list(self.history),
            SOURCES: list(sources),
            "question": question,
            "reminder": self.assembler.reminder,
        }
        try:
            return self.plan.build(given, counter=self.counter, salt=self.salt)
        except BudgetError as error:
            raise BudgetError(
                f"{error} The budget of a conversation is its window (--window, context.window), "
                "and generation.max_tokens of it the reply's; notes can be unpinned, turns cleared."
            ) from error


def _candidate(source: Segment, opens: Segment) -> Candidate:
    """A chosen source; the line that opens it says where it stands."""
    label = opens.text.strip("\n<>").partition("] ")[2]
    return candidate_of(source, score=source.scores.get("worth"), label=label)
