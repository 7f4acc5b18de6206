"""Builds a Context by a plan: takes in, allocates, writes, and counts what it wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Protocol

from ctxeng.context import render
from ctxeng.context.allocate import Item, Limits, allocate
from ctxeng.context.candidates import Given, Offer, offers_of
from ctxeng.context.compress import SentenceCompressor
from ctxeng.context.counts import PIECE, Costs, Counts, costs_of, tool_tokens
from ctxeng.context.intake import Entry, entries_of, set_relevance, set_value
from ctxeng.context.section import Section, least_of, tokens_of
from ctxeng.context.shorten import left_out, offered, shortened
from ctxeng.context.trust import TrustPolicy, is_fenced
from ctxeng.context.writing import Writer, Written
from ctxeng.errors import BudgetError, ConfigError
from ctxeng.protocols import Compressor, TokenCounter
from ctxeng.text.marks import one_line
from ctxeng.types import Context, Dropped, SectionUse, Tool, sha256

TRIES = 8
"""Times that a written prompt is counted again for what may still fit."""
MARGIN = 1
"""Tokens that a candidate is taken to cost too much, mostly."""
ASKS = {"task": 1, "question": 2}
"""Sections that say what is asked; the larger one goes first."""
NEAR = 4
"""Turns that a chat may begin later, for the user to begin it."""


class Plan(Protocol):
    """What is built by."""

    @property
    def name(self) -> str: ...
    @property
    def sections(self) -> tuple[Section, ...]: ...
    @property
    def budget(self) -> int: ...
    @property
    def reply(self) -> int: ...
    @property
    def policy(self) -> TrustPolicy: ...


def build(
    plan: Plan,
    given: Mapping[str, Given],
    *,
    counter: TokenCounter,
    tools: Sequence[Tool],
    query: str | None,
    chat_overhead: int | None,
    window: int | None,
    file_tokens: int,
    salt: str,
    compressor: Compressor | None,
) -> Context:
    """See ``ContextPlan.build``."""
    _check(plan, given, window)
    counts = Counts(counter)
    counts("a")  # says at once that there is no tokenizer
    costs = costs_of(counter, chat_overhead, file_tokens)
    work = _Work(plan, counts, costs, tools)
    for section in work.sections:
        work.take_in(section, offers_of(section, given.get(section.name)))
    work.settle(salt)
    asked = query if query is not None else _question(work)
    if any(section.shorten for section in work.sections):
        work.shorten(asked, compressor or SentenceCompressor(counter))
    return work.context(asked)


def _check(plan: Plan, given: Mapping[str, Given], window: int | None) -> None:
    if plan.budget <= 0:
        raise BudgetError(f"plan {plan.name!r}: a budget of {plan.budget} tokens holds nothing.")
    if window is not None and plan.budget > window:
        raise BudgetError(
            f"plan {plan.name!r}: its budget of {plan.budget} tokens, the reply's {plan.reply} "
            f"included, is over the model's window of {window}. Lower the budget."
        )
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"plan {plan.name!r}: a {type(given).__name__} does not say which section is given "
            'what; a mapping such as {"sources": [...]} is wanted.'
        )
    known = [section.name for section in plan.sections]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ConfigError(
            f"plan {plan.name!r}: no section is called {unknown[0]!r}; there are "
            f"{', '.join(known)}."
        )


def _question(work: _Work) -> str:
    """What the prompt asks: the section ``question``, else ``task``, else the last that the user
    said.
    """
    said = [
        entry.text
        for section in sorted(work.sections, key=lambda one: ASKS.get(one.name, 0))
        for entry in work.entries
        if entry.section is section and not is_fenced(entry.given.trust) and section.role == "user"
    ]
    return said[-1] if said else ""


class _Work:
    """One prompt in the making."""

    def __init__(self, plan: Plan, counts: Counts, costs: Costs, tools: Sequence[Tool]) -> None:
        self.plan = plan
        self.sections = sorted(plan.sections, key=lambda section: section.place)
        self.entries: list[Entry] = []
        self.dropped: list[Dropped] = []
        self.cut_out: list[Dropped] = []
        """Of candidates that are in, in a shorter form."""
        self.count = counts
        self.costs = costs
        self.tools = tool_tokens(tools, counts)
        self.taken: set[int] = set()

    @property
    def room(self) -> int:
        """Tokens for texts, messages and what they carry."""
        return self.plan.budget - self.plan.reply - self.tools

    def _of(self, section: Section) -> list[Entry]:
        return [entry for entry in self.entries if entry.section is section]

    # -- what is offered

    def take_in(self, section: Section, offers: Sequence[Offer]) -> None:
        """Take in what may be in the section at all; say of the rest why not."""
        kept: list[Entry] = []
        for entry, why in entries_of(
            section,
            offers,
            policy=self.plan.policy,
            count=self.count,
            each=tokens_of(section.each, self.plan.budget),
        ):
            if why:
                self._drop(entry, why)
            else:
                kept.append(entry)
        set_relevance(section, kept)
        self.entries += kept

    def _drop(self, entry: Entry, why: str) -> None:
        given = entry.given
        source = given.source
        self.dropped.append(
            Dropped(
                source=source,
                tokens=entry.cost or self.count.up_to(entry.text[:PIECE], self.plan.budget),
                score=given.score if given.score is not None else entry.value,
                reason=why,
                chunk_ids=given.chunk_ids,
                section=entry.section.name,
                label=given.label or ("" if source else one_line(entry.text[:200], 60)),
                trust=given.trust,
            )
        )

    # -- what is taken

    def settle(self, salt: str) -> None:
        """Choose, so that the written prompt is within the budget.

        Raises:
            BudgetError: what must be in does not fit.
        """
        self.writer = Writer(self._marker(salt), self.count, self.costs, self.plan.budget)
        for entry in self.entries:
            entry.cost = self.writer.cost(entry, self.room)
        set_value(self.entries)
        frames = self.frames = self.writer.frames(self.sections, self.entries)
        self._demand(frames)
        self._leave_out_sections(frames)
        for number, entry in enumerate(self.entries):
            entry.number = number
        self.taken = self._choose(frames)
        self._write_within()
        self._use_what_joining_saved()

    def _marker(self, salt: str) -> str:
        """Where lasting sections hold fenced text, it stays the same while they grow."""
        seeds = [entry.text for entry in self.entries]
        texts = [*seeds, *(entry.label for entry in self.entries)]
        lasting = [e for e in self.entries if e.section.volatility != "volatile"]
        if any(entry.is_fenced for entry in lasting):
            seeds = [e.text for e in lasting if e.section.volatility == "stable"]
        return render.absent_from(texts, seeds=(salt, *seeds))

    def _wants(self, section: Section, frames: Mapping[str, int]) -> tuple[int, int]:
        """Its minimum, and what its required candidates take with what stands around them."""
        frame = frames.get(section.name, 0)
        mine = self._of(section)
        needed = sum(entry.cost for entry in mine if entry.required)
        minimum = least_of(section, self.plan.budget)
        if isinstance(section.minimum, float):
            minimum = min(minimum, frame + sum(entry.cost for entry in mine))
        return minimum, needed + frame if needed else 0

    def _demand(self, frames: Mapping[str, int]) -> None:
        wants = {section.name: self._wants(section, frames) for section in self.sections}
        least = sum(max(want) for want in wants.values())
        if least <= self.room:
            return
        told = [
            f"{name} {max(want):,} ({'required' if want[1] >= want[0] else 'minimum'})"
            for name, want in wants.items()
            if any(want)
        ]
        told += [f"tools {self.tools:,}"] if self.tools else []
        told += [f"reply {self.plan.reply:,}"] if self.plan.reply else []
        raise BudgetError(
            f"plan {self.plan.name!r}: a budget of {self.plan.budget:,} tokens is too small; "
            f"{least + self.tools + self.plan.reply:,} are the least: {', '.join(told)}. Raise the "
            "budget, lower a minimum, or shorten what is required."
        )

    def _leave_out_sections(self, frames: dict[str, int]) -> None:
        """Sections for which nothing would be left, the least important first."""
        optional = [
            section
            for section in self.sections
            if section.name in frames and not any(self._wants(section, frames))
        ]
        optional.sort(key=lambda section: -section.priority)
        least = sum(max(self._wants(section, frames)) for section in self.sections)
        while optional and least + sum(frames[s.name] for s in optional) > self.room:
            left = optional.pop()
            del frames[left.name]
            for entry in self._of(left):
                self._drop(entry, "over budget: no room for its section")
            self.entries = [e for e in self.entries if e.section is not left]

    def _choose(self, frames: Mapping[str, int]) -> set[int]:
        room = self.room - sum(frames.values()) - sum(map(self._kept_free, self.sections))
        items: list[Item] = []
        order: list[int] = []
        places = {section.name: at for at, section in enumerate(self.sections)}
        for section in self.sections:
            mine = self._of(section)
            for entry in reversed(mine) if section.keep == "last" else mine:
                items.append(Item(places[section.name], entry.cost, entry.value))
                order.append(entry.number)
        required = {at for at, number in enumerate(order) if self.entries[number].required}
        limits = [self._limits(section, frames) for section in self.sections]
        taken = allocate(items, limits, room, required=required)
        let_go = self._let_go_at_once({order[at] for at in taken})
        if let_go:
            taken = {at for at in taken if order[at] not in let_go}
            used = [0] * len(limits)
            for at in taken:
                used[items[at].section] += items[at].cost
            closed = [
                Limits(0, used[at], True) if limit.chain else Limits(0, limit.maximum)
                for at, limit in enumerate(limits)
            ]
            taken = allocate(items, closed, room, required=taken)
        return {order[at] for at in taken}

    def _kept_free(self, section: Section) -> int:
        """Of the minimum of a section that shortens: what its candidates fill only when they are
        shorter.
        """
        if not section.shorten:
            return 0
        least = left = least_of(section, self.plan.budget)
        mine = self._of(section)
        for entry in sorted(mine, key=lambda one: (-one.density, one.number)):
            left -= entry.cost if entry.cost <= left else 0
        return min(left, max(0, sum(entry.cost for entry in mine) - (least - left)))

    def _limits(self, section: Section, frames: Mapping[str, int]) -> Limits:
        frame = frames.get(section.name, 0)
        return Limits(
            max(0, self._wants(section, frames)[0] - frame),
            max(0, tokens_of(section.maximum, self.plan.budget) - frame),
            chain=section.keep == "last",
        )

    def _let_go_at_once(self, taken: set[int]) -> set[int]:
        """Of a chat that is full, the oldest turns up to the next mark: marks stand a step apart
        from the chat's beginning on, so that the next prompts begin where this one does.
        """
        let_go: set[int] = set()
        for section in self.sections:
            mine = self._of(section)
            if section.keep != "last" or not mine:
                continue
            loose = [o for o in mine if not o.required]
            kept = [o for o in loose if o.number in taken]
            if not kept or len(kept) == len(loose) or not section.step:
                continue
            step = max(1, int(section.step * tokens_of(section.maximum, self.plan.budget)))
            before = [0, *accumulate(entry.cost for entry in loose)]
            start = loose.index(kept[0])
            marks = [
                at
                for at in range(start, len(loose))
                if at == 0 or before[at] // step > before[at - 1] // step
            ]
            least = least_of(section, self.plan.budget)
            if marks and before[-1] - before[marks[0]] >= least:
                begin = _at_the_user(loose, marks[0])
                let_go.update(o.number for o in loose[start:begin])
        return let_go

    # -- what is written

    def _write(self, taken: set[int]) -> Written:
        return self.writer.write(self.sections, self.entries, taken)

    def _write_within(self) -> None:
        """Joined text may have a few tokens more than its parts: give the weakest back."""
        self.written = self._write(self.taken)
        while self.written.total > self.room:
            weakest = self._weakest()
            if weakest is None:
                raise BudgetError(
                    f"plan {self.plan.name!r}: what is required takes {self.written.total:,} "
                    f"tokens when it is written, and {self.room:,} of the budget of "
                    f"{self.plan.budget:,} are left for it. Raise the budget."
                )
            self.taken.remove(weakest.number)
            self.written = self._write(self.taken)

    def _weakest(self) -> Entry | None:
        loose = [o for o in self.entries if o.number in self.taken and not o.required]
        for section in self.sections:
            if section.keep == "last":  # only the oldest may go
                mine = [o for o in loose if o.section is section]
                loose = [o for o in loose if o.section is not section] + mine[:1]
        return min(loose, key=lambda o: (o.density, -o.number), default=None)

    def _use_what_joining_saved(self) -> None:
        """Joined text mostly has fewer tokens than its parts, and what is reserved for a section is
        not always used: what fits into the rest goes there, first to sections that have less than
        their minimum, the best for its tokens first.
        """
        left_out = [
            entry
            for entry in self.entries
            if entry.number not in self.taken and entry.section.keep == "best"
        ]
        left_out.sort(key=lambda entry: (-entry.density, entry.number))
        short = {section.name for section in self.sections if self._is_short(section)}
        waiting = [entry for entry in left_out if entry.section.name in short]
        tries = TRIES
        kept_free = {section.name: self._kept_free(section) for section in self.sections}
        for at, entry in enumerate([*waiting, *left_out]):
            served = at < len(waiting) and entry.section.name not in short
            if entry.number in self.taken or served:
                continue
            others = sum(kept_free.values()) - kept_free[entry.section.name]
            if entry.cost - MARGIN > self._left(entry.section, self.written) - others or not tries:
                continue
            tries -= 1
            written = self._write({*self.taken, entry.number})
            if self._left(entry.section, written) >= others:
                self.taken.add(entry.number)
                self.written = written
                if not self._is_short(entry.section):
                    short.discard(entry.section.name)

    def _is_short(self, section: Section) -> bool:
        """Whether it has less than its minimum."""
        least = least_of(section, self.plan.budget)
        return least > 0 and self.written.size(section) < least

    def _left(self, section: Section, written: Written) -> int:
        """Tokens that a section may still take; less than 0: what is written is too long."""
        left = self.room - written.total
        if section.maximum is None:
            return left
        return min(left, tokens_of(section.maximum, self.plan.budget) - written.size(section))

    # -- what is shortened

    def shorten(self, query: str, compressor: Compressor) -> None:
        """Put shorter forms of what was left out into the room that is left."""
        for section in self.sections:
            if section.shorten:
                self._shorten(section, query, compressor)

    def _shorten(self, section: Section, query: str, compressor: Compressor) -> None:
        out = [
            entry
            for entry in self._of(section)
            if entry.number not in self.taken and not entry.parts
        ]
        room = self._left(section, self.written)
        if not self.written.size(section):
            room -= self.frames.get(section.name, 0)
        chosen, tokens = offered(out, room, self._around)
        wholes = [(entry, self.writer.whole(entry)) for entry in chosen]
        for _ in range(TRIES if wholes else 0):
            made = shortened(compressor, query, wholes, tokens)
            entries = list(self.entries)
            for entry in made:
                entries[entry.number] = entry
            taken = self.taken | {entry.number for entry in made}
            written = self.writer.write(self.sections, entries, taken)
            over = -self._left(section, written)
            if over <= 0:
                break
            tokens -= over  # marks of what was cut out; joined texts may have more than their parts
        else:
            return
        by_number = {entry.number: whole for entry, whole in wholes}
        for entry in made:
            entry.cost = self.writer.cost(entry, self.room)
            if entry.runs:
                self.cut_out += left_out(entry, by_number[entry.number], self.count)
        self.entries, self.taken, self.written = entries, taken, written

    def _around(self, entry: Entry) -> int:
        """Tokens that a candidate takes beside its text, about."""
        return entry.cost - self.count.up_to(entry.text, self.room)

    # -- what is handed back

    def context(self, query: str) -> Context:
        written = self.written
        for entry in self.entries:
            if entry.number not in self.taken:
                self._drop(entry, self._why_out(entry))
        dropped = sorted([*self.dropped, *self.cut_out], key=lambda row: -row.score)
        names = [section.name for section in self.sections if section.volatility == "stable"]
        stable = 0
        for segment in written.segments:
            if segment.section not in names:
                break
            stable += 1
        reserved = {
            "tools": self.tools,
            "template": written.template,
            "carried": written.carried,
            "reply": self.plan.reply,
        }
        return Context(
            query=query,
            segments=tuple(written.segments),
            dropped=tuple(dropped),
            tokens=written.tokens,
            budget=self.plan.budget,
            tokenizer=self.count.name,
            sections=tuple(self._use(section, written) for section in self.sections),
            reserved=reserved,
            plan=fingerprint(self.plan),
            stable=stable,
        )

    def _why_out(self, entry: Entry) -> str:
        if entry.cost > self.room:
            return "larger than the whole budget"
        if entry.cost > tokens_of(entry.section.maximum, self.plan.budget):
            return "larger than its section may be"
        if entry.section.keep == "last":
            return "over budget: older than what has room"
        if self._left(entry.section, self.written) < entry.cost <= self.room - self.written.total:
            most = tokens_of(entry.section.maximum, self.plan.budget)
            return f"its section is full (at most {most:,} tokens)"
        return "over budget"

    def _use(self, section: Section, written: Written) -> SectionUse:
        taken = [e for e in self._of(section) if e.number in self.taken]
        used = written.size(section)
        return SectionUse(
            name=section.name,
            role=section.role,
            minimum=least_of(section, self.plan.budget),
            maximum=None
            if section.maximum is None
            else tokens_of(section.maximum, self.plan.budget),
            given=max(used, sum(o.cost for o in taken)),
            used=used,
            kept=len(taken),
            dropped=sum(row.section == section.name for row in self.dropped),
        )


def fingerprint(plan: Plan) -> str:
    """Name and hash of a plan."""
    dump = getattr(plan, "model_dump_json", None)
    return f"{plan.name} {sha256(dump() if dump else repr(plan))[:8]}"


def _at_the_user(turns: Sequence[Entry], start: int) -> int:
    """Where a chat is to begin: many backends want the user to begin, so with the user's next turn
    where that is near.
    """
    for at in range(start, min(start + NEAR, len(turns))):
        messages = turns[at].given.messages
        if not messages or messages[0].role == "user":
            return at
    return start
