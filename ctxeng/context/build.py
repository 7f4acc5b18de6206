"""Builds a Context by a plan: collects, counts, allocates, renders, and counts what it rendered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import PurePosixPath
from typing import Protocol, TypedDict, TypeVar

from ctxeng.context import render
from ctxeng.context.allocate import Item, Limits, allocate
from ctxeng.context.candidates import Candidate, Given, Offer, offers_of
from ctxeng.context.section import Section, least_of, tokens_of
from ctxeng.context.trust import TrustPolicy, clean, is_fenced
from ctxeng.errors import BudgetError, ConfigError, CtxengError
from ctxeng.generation.tool_text import TOOLS_PROMPT
from ctxeng.protocols import TokenCounter
from ctxeng.types import (
    Attachment,
    Carried,
    Context,
    Dropped,
    Image,
    Message,
    SectionUse,
    Segment,
    Tool,
    Transformation,
    Trust,
    sha256,
)

OVERHEAD = 8
"""Tokens that a chat template is taken to put around a message, where the counter does not say."""
CALL_OVERHEAD = 16
"""Around a tool's call or result."""
FILE_TOKENS = 1_600
"""What an image or a file is taken to cost: the most that one image costs at the large vendors."""
PIECE = 16_384
"""Characters; longer texts are counted piece by piece, and no further than matters."""
NEAR = 4
"""Turns that a chat may begin later, for the user to begin it."""
LEAST_CUT = 16
"""Tokens below which a cut text is of no use."""
_ENDS = ("\n", ". ", "! ", "? ", "。")
_CONTROL = re.compile(r"<\|[^|\s]{1,40}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>")
BROKEN_UP = 8
"""Tokens that it costs at most to break up a control token in a text, which local backends do."""

In = TypeVar("In")
Out = TypeVar("Out")


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


@dataclass(frozen=True, slots=True)
class Costs:
    """How what is no text is counted. Tokens."""

    first_message: int
    message: int
    file: int

    def template(self, messages: int) -> int:
        return self.first_message + (messages - 1) * self.message if messages else 0


class Counts:
    """Counts each text once; says which tokenizer could not be had."""

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._known: dict[str, int] = {"": 0}

    @property
    def name(self) -> str:
        return self._counter.name

    def __call__(self, text: str) -> int:
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = self._counted(self._counter.count, text)
        return known

    def learn(self, texts: Iterable[str]) -> None:
        """Count many at once, where the counter can."""
        batch = getattr(self._counter, "count_batch", None)
        new = [t for t in dict.fromkeys(texts) if t not in self._known and len(t) <= PIECE]
        if batch is not None and new:
            self._known.update(zip(new, self._counted(batch, new), strict=True))

    def up_to(self, text: str, limit: int) -> int:
        """The count, or some number over ``limit`` where that is reached: of a text of 10 MB only
        the beginning is counted.
        """
        if len(text) <= PIECE:
            return self(text)
        total = 0
        for at in range(0, len(text), PIECE):
            total += self._counted(self._counter.count, text[at : at + PIECE])
            if total > limit:
                break
        return total

    def _counted(self, count: Callable[[In], Out], what: In) -> Out:
        try:
            return count(what)
        except CtxengError:
            raise
        except Exception as error:  # a counter is anybody's
            raise ConfigError(
                f"{self._counter.name}: its tokenizer cannot be used: {type(error).__name__}: "
                f"{error}. Hand in another counter."
            ) from error


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
) -> Context:
    """See ``ContextPlan.build``."""
    _check(plan, given, window)
    counts = Counts(counter)
    counts("a")  # says at once that there is no tokenizer
    costs = _costs(counter, chat_overhead, file_tokens)
    work = _Work(plan, counts, costs, tools)
    for number, section in enumerate(work.sections):
        work.offer(number, offers_of(section, given.get(section.name)))
    work.settle(salt)
    return work.context(query if query is not None else _question(work))


def _check(plan: Plan, given: Mapping[str, Given], window: int | None) -> None:
    if plan.budget <= 0:
        raise BudgetError(f"plan {plan.name!r}: a budget of {plan.budget} tokens holds nothing.")
    if window is not None and plan.budget > window:
        raise BudgetError(
            f"plan {plan.name!r}: its budget of {plan.budget} tokens, the reply's {plan.reply} "
            f"included, is over the model's window of {window}. Lower the budget."
        )
    known = [section.name for section in plan.sections]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ConfigError(
            f"plan {plan.name!r}: no section is called {unknown[0]!r}; there are "
            f"{', '.join(known)}."
        )


def _costs(counter: TokenCounter, chat_overhead: int | None, file_tokens: int) -> Costs:
    if chat_overhead is not None:
        return Costs(chat_overhead, chat_overhead, file_tokens)
    first = getattr(counter, "chat_overhead", None)
    each = getattr(counter, "message_overhead", first)
    if first is None or each is None:
        return Costs(2 * OVERHEAD, OVERHEAD, file_tokens)
    return Costs(int(first), int(each), file_tokens)


def _question(work: _Work) -> str:
    """What the prompt asks: the section ``question``, else the last that the user said."""
    said = [
        offer.text
        for section in sorted(work.sections, key=lambda one: one.name == "question")
        for offer in work.offers
        if offer.section is section and not is_fenced(offer.given.trust) and section.role == "user"
    ]
    return said[-1] if said else ""


@dataclass(slots=True)
class _Offer:
    """An offer with what is known of it here."""

    number: int
    section: Section
    given: Offer
    text: str
    cost: int = 0
    value: float = 0.0
    rank: int = 0
    """In its section, best first; of a chat, newest first."""
    required: bool = False
    tail: str = ""
    """Ours, behind a text that was cut."""
    parts: list[list[_Part]] = field(default_factory=list)
    """Of each message."""


@dataclass(slots=True)
class _Part:
    """Of a message: a text and what follows it."""

    text: str
    held: Segment | None = None
    notes: list[str] = field(default_factory=list)
    tail: str = ""
    files: list[Image | Attachment] = field(default_factory=list)


class _Work:
    """One prompt in the making."""

    def __init__(self, plan: Plan, counts: Counts, costs: Costs, tools: Sequence[Tool]) -> None:
        self.plan = plan
        self.sections = sorted(plan.sections, key=lambda section: section.place)
        self.offers: list[_Offer] = []
        self.dropped: list[Dropped] = []
        self.count = counts
        self.costs = costs
        self.tools = _tool_tokens(tools, counts)
        self.marker = ""
        self.taken: set[int] = set()
        self.built: _Built | None = None
        self._all: list[str] = []

    @property
    def room(self) -> int:
        """Tokens for texts, messages and what they carry."""
        return self.plan.budget - self.plan.reply - self.tools

    # -- what is offered

    def offer(self, number: int, offers: Sequence[Offer]) -> None:
        """Take in what may be in the section at all; say of the rest why not."""
        section = self.sections[number]
        best = max((o.score for o in offers if o.score is not None), default=0.0)
        seen: set[str] = set()
        each = tokens_of(section.each, self.plan.budget)
        self.count.learn([o.text for o in offers if not o.messages])
        kept: list[_Offer] = []
        for one in offers:
            made = self._made(section, one, each)
            why = plan_refusal(self.plan.policy, section, one)
            key = made.text.strip()
            if not key and not (section.required or _holds_more(made)):
                why = why or "blank"
            elif one.score is not None and best > 0 and one.score < section.floor * best:
                why = why or f"scores below {section.floor:.0%} of the best"
            elif key in seen and not one.messages and not made.required:
                why = why or "says the same as another candidate"
            if why:
                self._drop(made, why)
                continue
            seen.add(key)
            kept.append(made)
        _worth(section, kept)
        self.offers += kept
        for at, made in enumerate(self.offers):
            made.number = at
        self._all += [made.text for made in kept]

    def _made(self, section: Section, one: Offer, each: int) -> _Offer:
        made = _Offer(0, section, one, one.text)
        made.required = section.required or one.required
        if one.messages:
            for message, trust in zip(one.messages, one.believed, strict=True):
                made.parts.append([self._cut_part(part, each) for part in _parts(message, trust)])
            made.text = "\n".join(part.text for parts in made.parts for part in parts)
            if section.keep == "last" and one.messages[0].role == "system":
                made.required = True  # the program's own words do not grow old
            return made
        if is_fenced(one.trust):
            made.text, note = clean(one.text, same_length=one.is_sourced)
            one.notes += [note] if note else []
        if section.each is not None:
            made.text, made.tail = self._cut(made.text, each, one.notes)
        return made

    def _cut_part(self, part: _Part, each: int) -> _Part:
        part.text, part.tail = self._cut(part.text, each, part.notes)
        return part

    def _cut(self, text: str, limit: int, notes: list[str]) -> tuple[str, str]:
        """The text's beginning of at most ``limit`` tokens, up to the end of a line or a sentence,
        and a line that says how much is missing.
        """
        if len(text) <= limit or self.count.up_to(text, limit) <= limit:
            return text, ""
        tail = render.LEFT_OUT.format(count=f"{len(text):,}")
        left = limit - self.count(tail)
        if left < LEAST_CUT:
            return text, ""
        head = text[: min(len(text), 16 * left)]
        found = self.count.up_to(head, left)
        while found > left:
            head = head[: max(1, int(len(head) * min(0.95, left / found)))]
            found = self.count.up_to(head, left)
        end = max(head.rfind(mark, len(head) // 2) + len(mark) for mark in _ENDS)
        head = head[:end] if end > len(head) // 2 else head
        missing = f"{len(text) - len(head):,}"
        notes.append(f"cut: {missing} of {len(text):,} characters left out")
        return head, render.LEFT_OUT.format(count=missing)

    def _drop(self, made: _Offer, why: str) -> None:
        given = made.given
        source = given.source
        self.dropped.append(
            Dropped(
                source=source,
                tokens=made.cost or self.count.up_to(made.text[:PIECE], self.plan.budget),
                score=given.score if given.score is not None else made.value,
                reason=why,
                chunk_ids=given.chunk_ids,
                section=made.section.name,
                label=given.label or ("" if source else render.one_line(made.text[:200], 60)),
                trust=given.trust,
            )
        )

    # -- what is taken

    def settle(self, salt: str) -> None:
        """Choose, so that the rendered prompt is within the budget.

        Raises:
            BudgetError: what must be in does not fit.
        """
        self.marker = self._marker(salt)
        for offer in self.offers:
            offer.cost = self._cost(offer)
        _value(self.offers)
        frames = self._frames()
        self._demand(frames)
        self._leave_out_sections(frames)
        self.taken = self._choose(frames, self.room)
        self._render_within()
        self._use_what_joining_saved(frames)

    def _marker(self, salt: str) -> str:
        """Where lasting sections hold fenced text, it stays the same while they grow."""
        lasting = [o for o in self.offers if o.section.volatility != "volatile"]
        if any(_is_fenced(offer) for offer in lasting):
            seeds = [o.text for o in lasting if o.section.volatility == "stable"]
        else:
            seeds = self._all
        return render.absent_from(self._all, seeds=(salt, *seeds))

    def _cost(self, offer: _Offer) -> int:
        """An estimate, mostly from above, of what taking it adds."""
        if offer.parts:
            segments = list(self._chat(offer, 0))
            size = sum(s.tokens + (s.carries.tokens if s.carries else 0) for s in segments)
            return size + len(offer.parts) * self.costs.message + self._broken_up(offer.text)
        size = self.count.up_to(offer.text, self.room) + self.count(offer.tail) + 1
        if _is_fenced(offer):
            size += self.count(self._start(offer, 99))
        return size + self._broken_up(offer.text)

    def _broken_up(self, text: str) -> int:
        might = "<" in text or "[/" in text or "[I" in text
        return BROKEN_UP * len(_CONTROL.findall(text)) if might else 0

    def _frames(self) -> dict[str, int]:
        """What each section takes beside its candidates, where it has any."""
        frames: dict[str, int] = {}
        for section in self.sections:
            mine = [offer for offer in self.offers if offer.section is section]
            if not mine:
                continue
            size = self.count(self._heading(section, mine)) + 3
            if any(not offer.parts for offer in mine):
                size += self.costs.message
                if any(_is_fenced(offer) for offer in mine):
                    size += self.count(render.block_end(self.marker))
            frames[section.name] = size
        if frames:
            first = next(iter(frames))
            frames[first] += self.costs.first_message - self.costs.message
        return frames

    def _heading(self, section: Section, offers: Sequence[_Offer]) -> str:
        if section.heading is not None:
            return section.heading
        return render.DATA_NOTE if any(_is_fenced(o) and not o.parts for o in offers) else ""

    def _wants(self, section: Section, frames: Mapping[str, int]) -> tuple[int, int]:
        """Its minimum, and what its required candidates take with what stands around them."""
        frame = frames.get(section.name, 0)
        mine = [offer for offer in self.offers if offer.section is section]
        needed = sum(offer.cost for offer in mine if offer.required)
        minimum = least_of(section, self.plan.budget)
        if isinstance(section.minimum, float):
            minimum = min(minimum, frame + sum(offer.cost for offer in mine))
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
            for offer in [o for o in self.offers if o.section is left]:
                self._drop(offer, "over budget: no room for its section")
            self.offers = [o for o in self.offers if o.section is not left]
        for at, offer in enumerate(self.offers):
            offer.number = at

    def _choose(self, frames: Mapping[str, int], room: int) -> set[int]:
        room -= sum(frames.values())
        items: list[Item] = []
        order: list[int] = []
        places = {section.name: at for at, section in enumerate(self.sections)}
        for section in self.sections:
            mine = [offer for offer in self.offers if offer.section is section]
            for offer in reversed(mine) if section.keep == "last" else mine:
                items.append(Item(places[section.name], offer.cost, offer.value))
                order.append(offer.number)
        required = {at for at, number in enumerate(order) if self.offers[number].required}
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
            mine = [o for o in self.offers if o.section is section]
            if section.keep != "last" or not mine:
                continue
            loose = [o for o in mine if not o.required]
            kept = [o for o in loose if o.number in taken]
            if not kept or len(kept) == len(loose) or not section.step:
                continue
            step = max(1, int(section.step * tokens_of(section.maximum, self.plan.budget)))
            before = [0, *accumulate(offer.cost for offer in loose)]
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

    def _render_within(self) -> None:
        """Joined text may have a few tokens more than its parts: give the weakest back."""
        self.built = self._built(self.taken)
        while self.built.total > self.room:
            weakest = self._weakest()
            if weakest is None:
                raise BudgetError(
                    f"plan {self.plan.name!r}: what is required takes {self.built.total:,} tokens "
                    f"when it is rendered, and {self.room:,} of the budget of "
                    f"{self.plan.budget:,} are left for it. Raise the budget."
                )
            self.taken.remove(weakest.number)
            self.built = self._built(self.taken)

    def _weakest(self) -> _Offer | None:
        loose = [o for o in self.offers if o.number in self.taken and not o.required]
        for section in self.sections:
            if section.keep == "last":  # only the oldest may go
                mine = [o for o in loose if o.section is section]
                loose = [o for o in loose if o.section is not section] + mine[:1]
        return min(loose, key=lambda o: (o.value / max(o.cost, 1), -o.number), default=None)

    def _use_what_joining_saved(self, frames: Mapping[str, int]) -> None:
        """Joined text mostly has fewer tokens than its parts: what that saves holds some more."""
        assert self.built is not None
        if len(self.taken) == len(self.offers):
            return
        used = sum(self.offers[n].cost for n in self.taken) + sum(frames.values())
        saved = used - self.built.total
        left_out = [o.cost for o in self.offers if o.number not in self.taken]
        if saved <= 0 or min(left_out) > self.room - self.built.total:
            return
        more = self._choose(frames, self.room + saved)
        built = self._built(more)
        if built.total <= self.room:
            self.taken, self.built = more, built

    def _built(self, taken: set[int]) -> _Built:
        segments: list[Segment] = []
        number = turn = 0
        for section in self.sections:
            mine = [o for o in self.offers if o.number in taken and o.section is section]
            heading = self._heading(section, mine) if mine else ""
            if heading:
                segments.append(self._ours(heading, section, "opens its section"))
            open_ = False
            for offer in _ordered(section, mine):
                if open_ and (offer.parts or not _is_fenced(offer)):
                    segments.append(self._end(section))
                    open_ = False
                if offer.parts:
                    segments += self._chat(offer, turn)
                    turn += len(offer.parts)
                    continue
                if not _is_fenced(offer):
                    _separate(segments, section, self._ours)
                if _is_fenced(offer):
                    number += 1 if section.numbered else 0
                    cited = number if section.numbered else None
                    start = self._start(offer, cited)
                    segments.append(
                        self._ours(
                            start, section, f"opens source {cited}" if cited else "opens a block"
                        )
                    )
                    open_ = True
                segments += self._text(offer, number if section.numbered else None)
            if open_:
                segments.append(self._end(section))
        return self._counted_up(segments)

    def _counted_up(self, segments: list[Segment]) -> _Built:
        text = "".join(segment.text for segment in segments)
        context = Context(query="", segments=tuple(segments), tokens=0, budget=1, tokenizer="")
        carried = sum(s.carries.tokens for s in segments if s.carries is not None)
        template = self.costs.template(len(context.messages)) + self._broken_up(text)
        return _Built(segments, self.count(text), template, carried)

    def _start(self, offer: _Offer, number: int | None) -> str:
        return render.block_start(self.marker, _label(offer), number)

    def _end(self, section: Section) -> Segment:
        return self._ours(render.block_end(self.marker), section, "ends its blocks")

    def _ours(self, text: str, section: Section, reason: str) -> Segment:
        return Segment(
            text=text,
            section=section.name,
            role=section.role,
            tokens=self.count(text),
            trust="system",
            reason=reason,
            transformation="template",
        )

    def _text(self, offer: _Offer, number: int | None) -> Iterator[Segment]:
        given, section = offer.given, offer.section
        held = given.held
        scores = dict(given.hit.stages) if given.hit else dict(held.scores) if held else {}
        if given.score is not None:
            scores.setdefault("fused", given.score)
        yield Segment(
            text=offer.text,
            section=section.name,
            role=section.role,
            tokens=self.count.up_to(offer.text, self.plan.budget),
            trust=given.trust,
            reason=_reason(offer),
            source=given.source,
            **_transformed(offer.tail, held),
            notes=tuple(given.notes),
            number=number,
            scores=scores,
            chunk_ids=given.chunk_ids,
        )
        if offer.tail:
            yield self._ours(offer.tail, section, "says what was cut")

    def _chat(self, offer: _Offer, turn: int) -> Iterator[Segment]:
        for at, (message, parts) in enumerate(zip(offer.given.messages, offer.parts, strict=True)):
            yield from self._message(offer, message, parts, offer.given.believed[at], turn + at)

    def _message(
        self, offer: _Offer, message: Message, parts: Sequence[_Part], trust: Trust, turn: int
    ) -> Iterator[Segment]:
        fenced = is_fenced(trust) and message.role != "assistant"
        made: list[Segment] = []

        def ours(text: str, reason: str) -> None:
            made.append(self._ours(text, offer.section, reason))

        if fenced:
            ours(render.block_start(self.marker, message.role).lstrip(), "opens a block")
        for part in parts:
            held = part.held
            made.append(
                Segment(
                    text=part.text,
                    section=offer.section.name,
                    role=message.role,
                    tokens=self.count.up_to(part.text, self.plan.budget),
                    trust=held.trust if held else trust,
                    reason=_reason(offer),
                    source=held.source if held else None,
                    **_transformed(part.tail, held),
                    notes=tuple(part.notes),
                    carries=self._files(part.files),
                )
            )
            if part.tail:
                ours(part.tail, "says what was cut")
        if fenced:
            ours(render.block_end(self.marker).rstrip(), "ends a block")
        if message.tool_calls or message.role == "tool":
            last = made[-1]
            files = last.carries or Carried()
            calls = [call.model_dump() for call in message.tool_calls]
            size = self.count(json.dumps(calls, ensure_ascii=False)) if calls else 0
            size += CALL_OVERHEAD * max(1, len(message.tool_calls))
            carries = Carried(
                files=files.files,
                tool_calls=message.tool_calls,
                tool_call_id=message.tool_call_id,
                tokens=files.tokens + size,
            )
            made[-1] = _changed(last, carries=carries)
        for segment in made:
            yield _changed(segment, role=message.role, turn=turn)

    def _files(self, files: Sequence[Image | Attachment]) -> Carried | None:
        if not files:
            return None
        return Carried(files=tuple(files), tokens=len(files) * self.costs.file)

    # -- what is handed back

    def context(self, query: str) -> Context:
        built = self.built
        assert built is not None
        for offer in self.offers:
            if offer.number not in self.taken:
                self._drop(offer, self._why_out(offer))
        dropped = sorted(self.dropped, key=lambda row: -row.score)
        names = [section.name for section in self.sections if section.volatility == "stable"]
        stable = 0
        for segment in built.segments:
            if segment.section not in names:
                break
            stable += 1
        reserved = {
            "tools": self.tools,
            "template": built.template,
            "carried": built.carried,
            "reply": self.plan.reply,
        }
        return Context(
            query=query,
            segments=tuple(built.segments),
            dropped=tuple(dropped),
            tokens=built.tokens,
            budget=self.plan.budget,
            tokenizer=self.count.name,
            sections=tuple(self._use(section, built.segments) for section in self.sections),
            reserved=reserved,
            plan=fingerprint(self.plan),
            stable=stable,
        )

    def _why_out(self, offer: _Offer) -> str:
        if offer.cost > self.room:
            return "larger than the whole budget"
        if offer.cost > tokens_of(offer.section.maximum, self.plan.budget):
            return "larger than its section may be"
        if offer.section.keep == "last":
            return "over budget: older than what has room"
        return "over budget"

    def _use(self, section: Section, segments: Sequence[Segment]) -> SectionUse:
        mine = [s for s in segments if s.section == section.name]
        carried = sum(s.carries.tokens for s in mine if s.carries is not None)
        taken = [o for o in self.offers if o.section is section and o.number in self.taken]
        used = sum(s.tokens for s in mine) + carried
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


@dataclass(frozen=True, slots=True)
class _Built:
    """Segments, and what they come to."""

    segments: list[Segment]
    tokens: int
    template: int
    carried: int

    @property
    def total(self) -> int:
        return self.tokens + self.template + self.carried


def fingerprint(plan: Plan) -> str:
    """Name and hash of a plan."""
    dump = getattr(plan, "model_dump_json", None)
    return f"{plan.name} {sha256(dump() if dump else repr(plan))[:8]}"


def plan_refusal(policy: TrustPolicy, section: Section, offer: Offer) -> str:
    """Why the policy keeps it out; empty: it does not."""
    if not offer.messages:
        return policy.refusal(section.name, section.role, offer.trust)
    pairs = zip(offer.messages, offer.believed, strict=True)
    reasons = (policy.refusal(section.name, message.role, trust) for message, trust in pairs)
    return next(filter(None, reasons), "")


def _tool_tokens(tools: Sequence[Tool], count: Counts) -> int:
    """Of their schemas, as JSON in OpenAI's form, with what introduces them to a local model."""
    if not tools:
        return 0
    size = count(TOOLS_PROMPT)
    for tool in tools:
        told = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        schema = json.dumps({"type": "function", "function": told}, ensure_ascii=False)
        size += count(schema) + OVERHEAD
    return size


def _worth(section: Section, offers: Sequence[_Offer]) -> None:
    """Relevance from 0 to 1, with the section's priority and quality curve."""
    scores = [o.given.score for o in offers if o.given.score is not None]
    high, low = max(scores, default=0.0), min(0.0, *scores) if scores else 0.0
    shares = [
        1.0 if o.given.score is None or high <= low else (o.given.score - low) / (high - low)
        for o in offers
    ]
    by_rank = sorted(range(len(offers)), key=lambda at: (-shares[at], at))
    if section.keep == "last":
        by_rank = list(range(len(offers)))[::-1]
    for rank, at in enumerate(by_rank):
        offers[at].rank = rank + 1
        offers[at].value = section.priority * shares[at] * section.decay**rank


def _value(offers: Iterable[_Offer]) -> None:
    """A token is worth what its candidate's relevance says: so the best come first, however long,
    and sections compete by relevance times priority.
    """
    for offer in offers:
        offer.value *= max(offer.cost, 1)


def _ordered(section: Section, offers: Sequence[_Offer]) -> list[_Offer]:
    if section.order == "given" or section.keep == "last":
        return list(offers)
    ranked = sorted(offers, key=lambda offer: offer.rank)
    return ranked if section.order == "ranked" else ranked[::2] + ranked[1::2][::-1]


def _is_fenced(offer: _Offer) -> bool:
    if not offer.parts:
        return is_fenced(offer.given.trust)
    pairs = zip(offer.given.messages, offer.given.believed, strict=True)
    return any(is_fenced(trust) and message.role != "assistant" for message, trust in pairs)


def _holds_more(offer: _Offer) -> bool:
    """Files, calls or results: a message need not have text."""
    calls = any(m.tool_calls or m.role == "tool" for m in offer.given.messages)
    return calls or any(part.files for parts in offer.parts for part in parts)


class _Transformed(TypedDict):
    transformation: Transformation
    made_by: str


def _transformed(tail: str, held: Candidate | Segment | None) -> _Transformed:
    if tail:
        return {"transformation": "selected", "made_by": "cut"}
    if held is None:
        return {"transformation": "verbatim", "made_by": ""}
    return {"transformation": held.transformation, "made_by": held.made_by}


def _parts(message: Message, trust: Trust) -> list[_Part]:
    """Texts, each with the files behind it; those that may not be believed are cleaned."""
    content = (message.content,) if isinstance(message.content, str) else message.content
    parts: list[_Part] = []
    for one in content:
        if isinstance(one, Image | Attachment):
            if not parts:
                parts.append(_Part(""))
            parts[-1].files.append(one)
            continue
        text = one if isinstance(one, str) else one.text
        held = one if isinstance(one, Segment) else None
        notes = list(held.notes) if held else []
        if is_fenced(held.trust if held else trust):
            text, note = clean(text, same_length=held is not None and held.source is not None)
            notes += [note] if note else []
        parts.append(_Part(text, held, notes))
    return parts or [_Part("")]


def _at_the_user(turns: Sequence[_Offer], start: int) -> int:
    """Where a chat is to begin: many backends want the user to begin, so with the user's next turn
    where that is near.
    """
    for at in range(start, min(start + NEAR, len(turns))):
        messages = turns[at].given.messages
        if not messages or messages[0].role == "user":
            return at
    return start


def _label(offer: _Offer) -> str:
    given = offer.given
    if given.hit is not None:
        return render.source_label(given.hit)
    source = given.source
    name = PurePosixPath(source.uri).name if source is not None else ""
    return render.one_line(given.label or name or offer.section.name, 320)


def _reason(offer: _Offer) -> str:
    if offer.given.reason:
        return offer.given.reason
    if offer.required:
        return "required"
    if offer.section.keep == "last":
        return f"turn {offer.rank} from the end"
    return f"rank {offer.rank}"


def _separate(
    segments: list[Segment], section: Section, ours: Callable[[str, Section, str], Segment]
) -> None:
    """A blank line between texts of one message that have no line end of their own."""
    last = segments[-1] if segments else None
    if last is None or last.turn is not None or last.role != section.role:
        return
    if last.transformation != "template" and not last.text.endswith("\n"):
        gap = "\n" if last.section == section.name else "\n\n"
        segments.append(ours(gap, section, "stands between two texts"))


def _changed(segment: Segment, **values: object) -> Segment:
    return Segment(**{**dict(segment), **values})
