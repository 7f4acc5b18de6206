"""The way of a turn: recall → compact what was said → search → assemble → answer → remember."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial

import anyio

from ctxeng.context.archive import Archive, text_of
from ctxeng.context.compact import Compacted, CompactionReport, acompact, compact
from ctxeng.context.plan import Candidate, ContextPlan
from ctxeng.engine.ask import Build, answer, assembler_of, candidates
from ctxeng.engine.blocking import plain, plain_stream
from ctxeng.engine.rewrite import rewritten
from ctxeng.engine.session import (
    Pin,
    Session,
    SessionArchive,
    State,
    Turn,
    as_made,
    whole,
    working_set,
)
from ctxeng.engine.turn_prompt import TurnPrompt, searched_for, turn_plan
from ctxeng.engine.wiring import Parts
from ctxeng.errors import BudgetError, ConfigError
from ctxeng.generation import EXTRACTIVE
from ctxeng.generation.named import ModelChoice
from ctxeng.generation.reply import closable
from ctxeng.protocols import Delta, Generator, TokenCounter
from ctxeng.trace import keep, stage
from ctxeng.types import Answer, Context, Filter, Message, Query, Source

HISTORY_SHARE = 0.5
"""Of what the window holds beside reply, pinned notes and question: what was said before is
compacted when it takes 70 % of this share, down to 40 %."""


class Conversation:
    """Questions that belong together, with what was answered; see ``Engine.chat``.

    Whatever it remembers is in the workspace, under its id and within the engine's scope: a turn is
    kept when its answer has been returned, also if the process is killed right after. Any number of
    conversations, and of processes, may go on with one session.
    """

    def __init__(
        self, parts: Parts, session_id: str, *, model: ModelChoice | None, window: int | None
    ) -> None:
        self._parts = parts
        self._session = Session(parts, session_id)
        parts.generator_of(model)  # a wrong name is told now
        self._model = model
        self._window = window
        self._compaction: CompactionReport | None = None

    @property
    def id(self) -> str:
        return self._session.id

    @property
    def turns(self) -> tuple[Turn, ...]:
        """All turns, the first first, in full, however the prompt shows them."""
        return tuple(self._session.turns())

    @property
    def pins(self) -> tuple[Pin, ...]:
        return self._session.state().pins

    @property
    def sources(self) -> tuple[Source, ...]:
        """The working set: the places that answers rest on, those of the last answer first."""
        return tuple(working_set(self._session.turns()))

    @property
    def history(self) -> tuple[Message, ...]:
        """What was said before as the next prompt shows it: notes on older turns, with the ids that
        ``fetch`` takes, and the newer ones.
        """
        return tuple(self._session.shown(self._session.state()))

    @property
    def compaction(self) -> CompactionReport | None:
        """What was compacted for the last turn that was asked here; None: nothing had to be."""
        return self._compaction

    async def asay(self, text: str, *, filter: Filter | None = None) -> Answer:
        """Ask; the answer is kept as a turn.

        A question that leans on the one before it (``Who approves it?``) is searched for together
        with the last one that stood on its own; with a ``rewriter``, or a model that is set for
        it, in other words.

        Raises:
            BudgetError: the window cannot hold the question beside what must be in the prompt.
            BackendError: the model failed before it had said anything. Nothing is kept then.
            WorkspaceError: the turn could not be kept.
        """
        async with aclosing(closable(self.astream(text, filter=filter))) as events:
            async for event in events:
                if isinstance(event, Answer):
                    return event
        raise AssertionError("a stream ends with its answer")

    async def astream(
        self, text: str, *, filter: Filter | None = None
    ) -> AsyncIterator[Delta | Answer]:
        """Deltas of the answer's text while it is written; last, the answer itself.

        The turn is kept when the answer comes. Who leaves the stream before keeps nothing.
        """
        self._session.refuse_read_only()
        self._compaction = None
        text = whole(text)
        generator = self._parts.generator_of(self._model)
        events = answer(
            self._parts,
            text,
            budget=None,
            filter=filter,
            model=self._model,
            session=self.id,
            prepare=partial(self._prepare, generator, filter),
        )
        async with aclosing(closable(events)) as inner:
            async for event in inner:
                if isinstance(event, Answer):
                    await anyio.to_thread.run_sync(self._session.add, text, event)
                yield event

    async def apin(self, text: str) -> Pin:
        """Keep a note in every prompt of this conversation, whatever else is compacted.

        Raises:
            ConfigError: it is empty.
        """
        return await anyio.to_thread.run_sync(self._session.pin, text)

    async def aunpin(self, number: int) -> None:
        """Take a note out again.

        Raises:
            ConfigError: no note has this number.
        """
        await anyio.to_thread.run_sync(self._session.unpin, number)

    async def aclear(self) -> None:
        """Forget all turns for good, and what was made of them; pinned notes stay."""
        await anyio.to_thread.run_sync(self._session.clear)

    async def afetch(self, text_id: str) -> str:
        """The full text of what was compacted, by the id that stands in the notes (``#bexade``).

        Raises:
            ConfigError: nothing of this conversation has this id.
        """
        name = text_id.strip().lstrip("#")
        record = await anyio.to_thread.run_sync(self._session.archived, name)
        if record is None:
            raise ConfigError(
                f"{text_id!r}: nothing of this conversation has this id. Ids stand in the notes "
                "that took the place of older turns, as #id."
            )
        return text_of(record)

    say = plain(asay)
    stream = plain_stream(astream)
    pin = plain(apin)
    unpin = plain(aunpin)
    fetch = plain(afetch)
    clear = plain(aclear)

    async def _prepare(
        self, generator: Generator, filter: Filter | None, asked: Query
    ) -> tuple[str, Build]:
        """What is searched for in the place of a question, and who builds its prompt."""
        history = await anyio.to_thread.run_sync(self._session.shown, State())  # all in full
        first, *others = await rewritten(self._parts, asked, history)
        searched = searched_for(first, asked, history)
        beside = [query.text for query in others]
        return first.text, partial(
            self._build, generator, asked.text, searched, beside=beside, filter=filter
        )

    async def _build(
        self,
        generator: Generator,
        question: str,
        searched: Candidate,
        *,
        beside: Sequence[str],
        filter: Filter | None,
        budget: int | None,
    ) -> Context:
        """The prompt of a turn, in a window of ``budget`` tokens."""
        settings, habits = self._parts.settings, self._parts.habits_of(self._model)
        plan = turn_plan(
            self._window_of(budget),
            reply=self._parts.options(self._model).max_tokens,
            policy=self._parts.policy,
        )
        state = await anyio.to_thread.run_sync(self._session.state)
        history = await self._recalled(state, plan, question, generator.counter)
        hits = await candidates(
            self._parts, searched.text, filter=filter, mode="hybrid", beside=beside
        )
        prompt = TurnPrompt(
            plan,
            assembler_of(self._parts, generator.counter, habits.reminder),
            generator.counter,
            most=habits.budget or settings.context.budget,
            quotes=generator.name == EXTRACTIVE,
            pins=[pin.text for pin in state.pins],
            history=history,
            salt=self.id,
        )
        with stage("assemble") as facts:
            built = await anyio.to_thread.run_sync(prompt.build, question, searched, hits)
            facts["tokens"], facts["sources"] = built.tokens, len(built.sources)
        keep(context=built)
        return built

    async def _recalled(
        self, state: State, plan: ContextPlan, question: str, counter: TokenCounter
    ) -> list[Message]:
        """What was said before, as the prompt shows it; compacted where it has grown too long."""
        history = await anyio.to_thread.run_sync(self._session.shown, state)
        fixed = counter.count("\n".join((question, *(pin.text for pin in state.pins))))
        share = int(HISTORY_SHARE * (plan.budget - plan.reply - fixed))
        if not history or share <= 0:
            return history
        archive = SessionArchive(self._session)
        try:
            compacted = await self._compacted(history, share, archive, counter)
        except BudgetError:
            return history  # it may fit all the same; if not, the plan says who takes how much
        if not compacted.report.changed:
            return history
        self._compaction = compacted.report
        shorter = as_made(compacted.messages, history)
        folded = state.folded + len(history) - len(state.history)
        await anyio.to_thread.run_sync(self._session.fold, state, shorter, folded, archive.new)
        return shorter

    async def _compacted(
        self, history: list[Message], share: int, archive: Archive, counter: TokenCounter
    ) -> Compacted[Message]:
        model = self._parts.generator_of_step("distil")
        with stage("compact") as facts:
            if model is None:
                work = partial(compact, history, share, archive=archive, counter=counter)
                made = await anyio.to_thread.run_sync(work)
            else:
                made = await acompact(history, share, model=model, archive=archive, counter=counter)
            facts["report"] = made.report.line
        return made

    def _window_of(self, budget: int | None) -> int:
        """Tokens that a turn may take, no more than its model reads where that is known."""
        settings = self._parts.settings
        wanted = budget or self._window or settings.context.window
        return min(wanted, self._parts.window_of(self._model) or wanted)
