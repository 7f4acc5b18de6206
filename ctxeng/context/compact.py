"""Makes a long chat short, and loses nothing that has not been read.

    stale tool results → resolved detours → old turns → (only if it must be) the newest

What leaves is first read, whole, by a distiller, then kept in an archive under an id; notes in its
own words take its place and name that id.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar, get_args

import anyio

from ctxeng.context.archive import Archive, MemoryArchive, message_of, record_of, text_of
from ctxeng.context.history import Turn, pins, read
from ctxeng.context.model_notes import ask_for_notes
from ctxeng.context.reduce import Step, Work, reduce
from ctxeng.context.rewrite import Rewritten, rewrite
from ctxeng.errors import BudgetError, ConfigError
from ctxeng.memory.audit import atoms
from ctxeng.memory.distill import Distiller, RuleDistiller
from ctxeng.protocols import Generator, TokenCounter
from ctxeng.text.tokens import PackagedTokenCounter
from ctxeng.types import Message, Strings, Value

M = TypeVar("M", bound=Message | Mapping[str, object])

TRIGGER, TARGET = 0.7, 0.4
"""Shares of the window: above the first a chat is compacted, down to the second."""


class Removed(Value):
    """What one step took out of the messages."""

    step: Step
    ids: Strings
    """By which it can be fetched."""
    tokens: int
    """Of what was taken out, without the notes that took its place."""


class CompactionReport(Value):
    """What a compaction kept, and where.

    Atoms are numbers, dates, names, identifiers and paths, each distinct one counted once. Every
    one is kept verbatim, else kept in notes, else retrievable, else lost.
    """

    window: int
    tokens_before: int
    tokens_after: int
    atoms_before: int
    kept_verbatim: int
    """In messages that stayed as they were."""
    kept_in_notes: int
    retrievable: int
    """In nothing that the model sees, and in what ``fetch`` gives back."""
    lost: int
    removed: tuple[Removed, ...] = ()
    remarks: Strings = ()
    """What went other than asked for: what stays is over the target, a model failed …"""

    @property
    def changed(self) -> bool:
        return bool(self.removed)

    @property
    def line(self) -> str:
        """All of it, as a person would be told."""
        if not self.changed:
            return f"{self.tokens_before:,} of {self.window:,} tokens: nothing was taken out"
        out = ", ".join(f"{len(one.ids)} {one.step}" for one in self.removed)
        return (
            f"{self.tokens_before:,} → {self.tokens_after:,} of {self.window:,} tokens ({out}); "
            f"{self.atoms_before} atoms: {self.kept_verbatim} verbatim, {self.kept_in_notes} in "
            f"notes, {self.retrievable} retrievable, {self.lost} lost"
        )


@dataclass(frozen=True)
class Compacted(Generic[M]):
    """A shorter chat, in the form in which the long one came."""

    messages: list[M]
    report: CompactionReport
    pinned: tuple[int, ...]
    """Where in ``messages`` the pinned ones stand: hand it in again next time."""
    archive: Archive
    """Holds all that left: hand it in again next time."""

    def fetch(self, id: str) -> str:  # noqa: A002 - the contract's name
        """The full text under an id, as it stands in the notes, with or without its ``#``. Calls of
        tools, which are no text, follow as JSON.

        Raises:
            ConfigError: the archive holds nothing under it.
        """
        return text_of(self._record(id))

    def message(self, id: str) -> object:  # noqa: A002
        """The whole message under an id, as it came in.

        Raises:
            ConfigError: the archive holds nothing under it.
        """
        return message_of(self._record(id))

    def _record(self, name: str) -> str:
        record = self.archive.get(name.strip().lstrip("#"))
        if record is None:
            raise ConfigError(
                f"{name!r}: the archive holds nothing under this id. Ids stand in the notes, as "
                "#id; an archive knows only what left while it was handed in."
            )
        return record


def compact(
    messages: Sequence[M],
    window: int,
    *,
    pinned: Collection[int] | Callable[[M], bool] = (),
    archive: Archive | None = None,
    counter: TokenCounter | None = None,
    distiller: Distiller | None = None,
    trigger: float = TRIGGER,
    target: float = TARGET,
    reserve: int = 0,
) -> Compacted[M]:
    """Bring a chat under ``target`` of the window once it is over ``trigger`` of it.

    Stale tool results make way first, then detours that were resolved, then old turns, then the
    newest. System messages and what is pinned stay as they are; a call and its results stay or go
    together; images leave only after an assistant has replied to them. Notes are data in a user's
    message (a result's notes stand in its place), between marks. The same input gives the same
    output.

    Args:
        messages: dictionaries in OpenAI's form, or ``Message``s; the same comes back.
        window: of the model, in tokens.
        pinned: positions, or what says of a message that it is pinned.
        archive: where the full texts go, and where those of earlier compactions are: hand in the
            same one each time. By default a new one in memory.
        counter: by default a tokenizer that counts more than most models do.
        distiller: makes the notes; by default rules.
        trigger: share of what the reserve leaves of the window.
        target: share of the same, at most ``trigger``.
        reserve: tokens of the window that are taken by what is not in the messages: tool schemas,
            the reply.

    Raises:
        BudgetError: the window is not positive, or what must stay is larger than it.
        ConfigError: a dictionary is no message, or an argument is out of its range.
    """
    work = _begin(
        messages,
        _share(window, trigger, target, reserve),
        window=window,
        pinned=pinned,
        archive=archive,
        counter=counter,
        distiller=distiller,
    )
    return _end(work, messages, reserve)


async def acompact(
    messages: Sequence[M],
    window: int,
    *,
    model: Generator,
    pinned: Collection[int] | Callable[[M], bool] = (),
    archive: Archive | None = None,
    counter: TokenCounter | None = None,
    distiller: Distiller | None = None,
    trigger: float = TRIGGER,
    target: float = TARGET,
    reserve: int = 0,
) -> Compacted[M]:
    """As ``compact``, with notes that a model writes beside those by rules.

    Its notes are checked: one that states a number, name, date or identifier that is not in the
    text it is about is left out, and ``report.remarks`` says how many were. A model that fails is
    done without: the rules have read everything by then.
    """
    begin = partial(
        _begin,
        messages,
        _share(window, trigger, target, reserve),
        window=window,
        pinned=pinned,
        archive=archive,
        counter=counter or model.counter,
        distiller=distiller,
    )
    work = await anyio.to_thread.run_sync(begin)
    fresh = [at for at in sorted(work.forms) if at not in work.earlier]
    if fresh:
        texts = [(work.ids[at], work.turns[at].label, work.turns[at].text) for at in fresh]
        written, remarks = await ask_for_notes(model, texts)
        work.remarks += remarks
        for at in fresh:
            work.notes[at] = [*written.get(work.ids[at], ()), *work.notes[at]]
    return await anyio.to_thread.run_sync(_end, work, messages, reserve)


def _share(window: int, trigger: float, target: float, reserve: int) -> tuple[int, int]:
    """Tokens of messages above which they are compacted, and down to which.

    Raises:
        BudgetError, ConfigError: as ``compact``.
    """
    for name, tokens in (("window", window), ("reserve", reserve)):
        if not isinstance(tokens, int):
            raise ConfigError(f"{name} = {tokens!r}: a whole number of tokens is wanted.")
    if not 0 < target <= trigger <= 1:
        raise ConfigError(
            f"target = {target}, trigger = {trigger}: 0 < target ≤ trigger ≤ 1 is wanted."
        )
    if not 0 <= reserve < window:
        raise BudgetError(
            f"window = {window}, reserve = {reserve}: a positive number of tokens, and a reserve "
            "that leaves some of them, are wanted."
        )
    return int((window - reserve) * trigger), int((window - reserve) * target)


def _begin(
    messages: Sequence[M],
    share: tuple[int, int],
    *,
    window: int,
    pinned: Collection[int] | Callable[[M], bool],
    archive: Archive | None,
    counter: TokenCounter | None,
    distiller: Distiller | None,
) -> Work:
    """Decide what leaves, and read it."""
    counter = counter or PackagedTokenCounter()
    above, limit = share
    turns = read(messages, counter)
    work = Work(
        turns=turns,
        records=[record_of(message) for message in messages],
        window=window,
        limit=limit,
        pinned=pins(messages, pinned),
        archive=archive if archive is not None else MemoryArchive(),
        counter=counter,
        distiller=distiller or RuleDistiller(),
    )
    if work.before > above:
        reduce(work)
    else:
        work.limit = above
    return work


def _end(work: Work, messages: Sequence[M], reserve: int) -> Compacted[M]:
    """Write the new messages, and say what became of the old ones.

    Raises:
        BudgetError: they do not even fit the window.
    """
    made = rewrite(work, messages) if work.forms else None
    if made is None or made.messages == [*messages]:  # nothing, or only notes merged with none
        work.forms.clear()
        made = Rewritten([*messages], [*range(len(messages))], [], work.before)
    if made.tokens + reserve > work.window:
        raise BudgetError(
            f"window = {work.window:,} tokens, but what must stay (system messages, pinned "
            "messages, calls without their result, images that no reply has followed) takes "
            f"{made.tokens:,}, and {reserve:,} are reserved. Pin less, or take a larger window."
        )
    if made.tokens > work.limit:
        work.remarks.append(
            f"{made.tokens:,} tokens of messages are over the target of {work.limit:,}: system "
            "messages, pinned messages and the newest exchange alone take that much."
        )
    places = {at: place for place, at in enumerate(made.origins) if at is not None}
    return Compacted(
        messages=made.messages,
        report=_report(work, made),
        pinned=tuple(places[at] for at in sorted(work.pinned)),
        archive=work.archive,
    )


def _report(work: Work, made: Rewritten[M]) -> CompactionReport:
    """Counted from what the new messages say, and from what the archive gives back."""
    stayed = [turn for turn in work.turns if turn.at not in work.forms]
    everything = _atoms(work.turns)
    verbatim = _atoms(stayed)
    noted = atoms("\n".join(block.text for block in made.blocks)) & everything - verbatim
    left = everything - verbatim - noted
    lost = _lost(work, left)
    return CompactionReport(
        window=work.window,
        tokens_before=work.before,
        tokens_after=made.tokens,
        atoms_before=len(everything),
        kept_verbatim=len(verbatim),
        kept_in_notes=len(noted),
        retrievable=len(left) - len(lost),
        lost=len(lost),
        removed=tuple(_removed(work)),
        remarks=tuple(work.remarks),
    )


def _atoms(turns: Sequence[Turn]) -> frozenset[str]:
    """What messages state, arguments of calls included."""
    calls = [call.arguments for turn in turns for call in turn.message.tool_calls]
    told = [turn.text for turn in turns] + [json.dumps(one, ensure_ascii=False) for one in calls]
    return atoms("\n".join(told))


def _lost(work: Work, left: frozenset[str]) -> frozenset[str]:
    """Of the atoms that only messages hold which left: those that the archive does not give back.
    Where it holds a message as it was, there is nothing to read again.
    """
    held = {at: work.archive.get(work.ids[at]) for at in work.forms}
    whole = [at for at, record in held.items() if record == work.records[at] or at in work.earlier]
    if len(whole) == len(held):
        return frozenset()
    other = [text_of(record) for at, record in held.items() if record and at not in whole]
    return left - _atoms([work.turns[at] for at in whole]) - atoms("\n".join(other))


def _removed(work: Work) -> Iterator[Removed]:
    for step in get_args(Step):
        mine = [at for at in sorted(work.forms) if work.steps[at] == step]
        if mine:
            yield Removed(
                step=step,
                ids=tuple(work.ids[at] for at in mine),
                tokens=sum(work.turns[at].tokens for at in mine),
            )


__all__ = [
    "Archive",
    "Compacted",
    "CompactionReport",
    "MemoryArchive",
    "Removed",
    "acompact",
    "compact",
]
