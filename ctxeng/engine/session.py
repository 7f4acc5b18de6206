"""What a conversation remembers, as it lies in the workspace.

Its turns are appended, each with one transaction, and never edited. Beside them stands one state:
the pinned notes, and what the older turns have been compacted to, which is derived from the turns
and says how many of them it stands for. So whoever is killed between two writes loses nothing: the
turns that the state does not know yet follow it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence

from pydantic import Field

from ctxeng.context.notes import BRIDGE
from ctxeng.context.trust import lowest
from ctxeng.engine.wiring import Parts
from ctxeng.errors import ConfigError, WorkspaceError
from ctxeng.generation import EXTRACTIVE
from ctxeng.grounding import SUPPORTED
from ctxeng.store.store import NOTHING
from ctxeng.types import Answer, Message, Query, Segment, Source, Text, Value

LONGEST_ID = 200
_MARKER = re.compile(r"\s*\[(\d{1,3})\](?!\()")
QUESTION, ANSWER, CITED, NOTES = "question", "answer", "cited", "notes"
"""Sections of the segments of a stored turn, and of what took the place of older ones."""


class Pin(Value):
    """A note of the user that stands in every prompt of a conversation until it is unpinned."""

    number: int
    text: Text


class Turn(Value):
    """A question and what was answered."""

    question: str
    answer: str
    """With its ``[1]`` markers."""
    sources: tuple[Source, ...] = ()
    """What the answer cites, and where its words were found that it gives no source for."""
    model: str = ""
    trace_id: str = ""


class State(Value):
    """The part of a session that is not its turns."""

    pins: tuple[Pin, ...] = ()
    pinned: int = 0
    """How many notes were ever pinned: numbers are not used twice."""
    history: tuple[Message, ...] = ()
    """What the first ``folded`` messages were compacted to."""
    folded: int = Field(default=0, ge=0)


class Session:
    """One conversation in the store, within the scope of the engine."""

    def __init__(self, parts: Parts, session_id: str) -> None:
        self._parts = parts
        self.id = checked(session_id)

    def turns(self) -> list[Turn]:
        messages = self._parts.store.turns(self._parts.scope, self.id)
        pairs = zip(messages[::2], messages[1::2], strict=False)
        return [_turn(asked, said) for asked, said in pairs]

    def messages(self, *, after: int = 0) -> list[Message]:
        """Question and answer of each turn, but for the first ``after`` messages."""
        return self._parts.store.turns(self._parts.scope, self.id, after=after)

    def shown(self, state: State) -> list[Message]:
        """What was said before, as a prompt shows it: what older turns were compacted to, and the
        later ones.
        """
        return [*state.history, *map(as_shown, self.messages(after=state.folded))]

    def add(self, question: str, answer: Answer) -> None:
        """Remember a turn: it is there when this returns."""
        self.refuse_read_only()
        self._parts.store.add_turns(self._parts.scope, self.id, [_asked(question), _said(answer)])

    def state(self) -> State:
        return self._read(self._parts.store.session_state(self._parts.scope, self.id))

    def clear(self) -> None:
        """Forget the turns and all that was made of them; pinned notes stay."""
        self._change(
            lambda state: State(pins=state.pins, pinned=state.pinned if state.pins else 0),
            forget_turns=True,
        )

    def pin(self, text: str) -> Pin:
        if not text.strip():
            raise ConfigError("there is nothing to pin: the note is empty.")

        def pinned(state: State) -> State:
            pin = Pin(number=state.pinned + 1, text=text)
            return _changed(state, pins=(*state.pins, pin), pinned=pin.number)

        return self._change(pinned).pins[-1]

    def unpin(self, number: int) -> None:
        def unpinned(state: State) -> State:
            kept = tuple(pin for pin in state.pins if pin.number != number)
            if len(kept) == len(state.pins):
                known = ", ".join(str(pin.number) for pin in state.pins) or "none"
                raise ConfigError(f"no note has the number {number}; pinned: {known}.")
            return _changed(state, pins=kept)

        self._change(unpinned)

    def fold(
        self, basis: State, history: Sequence[Message], folded: int, archived: Mapping[str, str]
    ) -> None:
        """Have ``history`` stand for the first ``folded`` messages, and keep what left them, unless
        somebody else has compacted or cleared since ``basis`` was read.
        """

        def with_history(state: State) -> State:
            if (state.history, state.folded) != (basis.history, basis.folded):
                raise _OvertakenError
            return _changed(state, history=tuple(history), folded=folded)

        with contextlib.suppress(_OvertakenError):
            self._change(with_history, archived=archived)

    def archived(self, name: str) -> str | None:
        return self._parts.store.archived(self._parts.scope, self.id, name)

    def _change(
        self,
        change: Callable[[State], State],
        *,
        archived: Mapping[str, str] = NOTHING,
        forget_turns: bool = False,
    ) -> State:
        """Replace the state by what ``change`` makes of it, in one transaction."""
        self.refuse_read_only()

        def changed(found: str | None) -> str:
            state = change(self._read(found))
            return "" if state == State() else state.model_dump_json()

        return self._read(
            self._parts.store.change_session_state(
                self._parts.scope, self.id, changed, archived=archived, forget_turns=forget_turns
            )
        )

    def _read(self, written: str | None) -> State:
        try:
            return State.model_validate_json(written) if written else State()
        except ValueError as error:
            raise WorkspaceError(
                f"{self._parts.folder}: session {self.id!r}: what it remembers cannot be read; it "
                "was written by another version of ctxeng, or is damaged. Other sessions are not "
                "concerned: go on with another name."
            ) from error

    def refuse_read_only(self) -> None:
        """Raises:
        WorkspaceError: nothing could be kept.
        """
        if self._parts.read_only:
            raise WorkspaceError(
                f"{self._parts.folder}: opened read-only, and a conversation is kept in its "
                "workspace; open it to write."
            )


class SessionArchive:
    """What left the prompts of a session: an ``Archive`` in the workspace. What is put is written
    with the history that it left, see ``Session.fold``.
    """

    def __init__(self, session: Session) -> None:
        self.new: dict[str, str] = {}
        self._session = session

    def put(self, id: str, message_json: str) -> None:  # noqa: A002 - the contract's name
        self.new[id] = message_json

    def get(self, id: str) -> str | None:  # noqa: A002
        return self.new[id] if id in self.new else self._session.archived(id)


class _OvertakenError(Exception):
    """The state is another one by now."""


def checked(session_id: str) -> str:
    """Raises:
    ConfigError: it is no name for a session.
    """
    if not session_id.strip() or len(session_id) > LONGEST_ID or not session_id.isprintable():
        raise ConfigError(
            f"session {session_id[:40]!r}: a name of 1 to {LONGEST_ID} printable characters is "
            "wanted."
        )
    return session_id


def whole(text: str) -> str:
    """Half characters (lone surrogates), which JSON can carry, become U+FFFD."""
    return Query(text=text).text


def _asked(question: str) -> Message:
    segment = Segment(
        text=whole(question),
        section=QUESTION,
        role="user",
        tokens=0,
        trust="user",
        reason="was asked",
    )
    return Message(role="user", content=(segment,))


def _said(answer: Answer) -> Message:
    """The answer's text, and behind it an empty segment for each place that it rests on."""
    numbers = {citation.number for citation in answer.citations}
    seen = [
        source
        for source in answer.context.sources
        if answer.model != EXTRACTIVE or source.number in numbers  # a model has read them all
    ]
    trust = lowest("memory", *(source.trust for source in seen))
    text = Segment(
        text=whole(answer.text),
        section=ANSWER,
        role="assistant",
        tokens=0,
        trust=trust,
        reason="was answered",
        made_by=answer.model,
        notes=(answer.trace_id,),
    )
    places = [
        Segment(
            text="",
            section=CITED,
            role="assistant",
            tokens=0,
            trust=trust,
            reason="was cited",
            source=source,
            number=number,
        )
        for source, number in _rests_on(answer)
    ]
    return Message(role="assistant", content=(text, *places))


def _rests_on(answer: Answer) -> list[tuple[Source, int | None]]:
    """What the answer cites, by number; and where its words stand that it does not cite."""
    cited = [(citation.source, citation.number) for citation in answer.citations]
    uncited = [
        source
        for claim in answer.claims
        if claim.support >= SUPPORTED and not claim.numbers
        for source in claim.sources
    ]
    return [*cited, *((source, None) for source in dict.fromkeys(uncited))]


def _turn(asked: Message, said: Message) -> Turn:
    segments = [part for part in said.content if isinstance(part, Segment)]
    text = next((one for one in segments if one.section == ANSWER), None)
    return Turn(
        question=asked.text,
        answer=said.text,
        sources=tuple(one.source for one in segments if one.source is not None),
        model=text.made_by if text else "",
        trace_id="".join(text.notes) if text else "",
    )


def as_shown(message: Message) -> Message:
    """A stored turn's message as a later prompt shows it: without the markers of its sources, which
    would point to other sources there.
    """
    parts = [part for part in message.content if isinstance(part, Segment)]
    cited = {part.number for part in parts if part.section == CITED}

    def unless_cited(marker: re.Match[str]) -> str:
        return "" if int(marker[1]) in cited else marker[0]

    said = parts[0]
    text = _MARKER.sub(unless_cited, said.text)
    shown = Segment(**{**dict(said), "text": text, "notes": ()})
    return Message(role=message.role, content=(shown,))


def as_made(messages: Sequence[Message], before: Sequence[Message]) -> list[Message]:
    """A compacted history, with what is new in it marked: notes may be believed as far as all that
    they were made from.
    """
    trusts = [part.trust for one in before for part in one.content if isinstance(part, Segment)]

    def marked(message: Message) -> Message:
        if not isinstance(message.content, str):
            return message
        bridge = message.content == BRIDGE
        segment = Segment(
            text=message.content,
            section=NOTES,
            role=message.role,
            tokens=0,
            trust="system" if bridge else lowest(*trusts),
            reason="stands between" if bridge else "stands for older turns",
            transformation="template" if bridge else "summarised",
            made_by="" if bridge else "compaction",
        )
        return Message(role=message.role, content=(segment,))

    return [marked(message) for message in messages]


def working_set(turns: Sequence[Turn]) -> list[Source]:
    """The places that answers rest on, those of the last answer first, each once."""
    cited = [source for turn in reversed(turns) for source in turn.sources]
    return list({(s.document_id, s.span.start, s.span.end): s for s in reversed(cited)}.values())[
        ::-1
    ]


def _changed(state: State, **values: object) -> State:
    return State(**{**dict(state), **values})
