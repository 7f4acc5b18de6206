"""What callers offer for a section → offers, all alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import Field, ValidationError

from ctxeng.context.notes import stands_for_others
from ctxeng.context.section import Section
from ctxeng.context.select import source_of
from ctxeng.context.trust import lowest
from ctxeng.errors import ConfigError
from ctxeng.generation.messages import as_messages
from ctxeng.types import (
    Hit,
    Message,
    Segment,
    Source,
    Strings,
    Text,
    Transformation,
    Trust,
    Value,
)


class Candidate(Value):
    """A text that a section may hold, with all that is known of it."""

    text: Text
    score: float | None = None
    """How relevant, higher is better, comparable within its section. None: as the others."""
    trust: Trust | None = None
    """None: the section's."""
    label: Text = ""
    """What the line above it calls it, where it stands between markers."""
    source: Source | None = None
    required: bool = False
    reason: str = ""
    """Why it is offered; empty: its rank."""
    transformation: Transformation = "verbatim"
    made_by: str = ""
    notes: Strings = ()
    scores: dict[str, float] = Field(default_factory=dict)
    chunk_ids: Strings = ()


def candidate_of(segment: Segment, *, score: float | None, label: str = "") -> Candidate:
    """A piece of a prompt, offered to another prompt with all that is known of it."""
    return Candidate(
        text=segment.text,
        score=score,
        trust=segment.trust,
        label=label,
        source=segment.source,
        reason=segment.reason,
        transformation=segment.transformation,
        made_by=segment.made_by,
        notes=segment.notes,
        scores=segment.scores,
        chunk_ids=segment.chunk_ids,
    )


One = str | Hit | Message | Segment | Candidate | Mapping[str, object]
"""A ``Mapping`` has the fields of a ``Candidate`` (a ``text`` and no ``role``), or is a message in
the form of OpenAI's chat API."""
Given = One | Iterable[One] | Callable[[], "One | Iterable[One] | None"] | None
"""What a section is given: one candidate, several, or a function without arguments that makes
them."""


@dataclass(slots=True)
class Offer:
    """A candidate of any kind."""

    text: str
    trust: Trust
    score: float | None = None
    label: str = ""
    required: bool = False
    reason: str = ""
    held: Candidate | None = None
    """Where it came as, or can be told as, a ``Candidate``."""
    hit: Hit | None = None
    messages: tuple[Message, ...] = ()
    """Instead of ``text``: turns that belong together."""
    believed: tuple[Trust, ...] = ()
    """How far each of ``messages`` may be believed."""
    notes: list[str] = field(default_factory=list)

    @property
    def is_sourced(self) -> bool:
        return self.hit is not None or (self.held is not None and self.held.source is not None)

    @property
    def source(self) -> Source | None:
        if self.hit is not None:
            return source_of(self.hit, self.hit.span)
        return self.held.source if self.held is not None else None

    @property
    def chunk_ids(self) -> tuple[str, ...]:
        if self.hit is not None:
            return (self.hit.id,)
        return self.held.chunk_ids if self.held is not None else ()


def offers_of(section: Section, given: Given) -> list[Offer]:
    """In the order given.

    Raises:
        ConfigError: what was given cannot be read, or the function that was to give it failed; the
            message names the section.
    """
    if callable(given):
        try:
            made = given()
            listed = _listed(made)
        except Exception as error:  # whatever a caller's function raises
            raise ConfigError(
                f"section {section.name!r}: what was to give its candidates failed: "
                f"{type(error).__name__}: {error}"
            ) from error
    else:
        listed = _listed(given)
    offers: list[Offer] = []
    for run in _runs([_read(section, one) for one in listed]):
        if isinstance(run[0], Message | Mapping):
            offers += _chat(section, [one for one in run if isinstance(one, Message | Mapping)])
        else:
            offers += (_offer(section, one) for one in run)
    return offers


def _listed(given: object) -> list[object]:
    if given is None:
        return []
    if isinstance(given, str | Hit | Message | Segment | Candidate | Mapping):
        return [given]
    if isinstance(given, Iterable):
        return list(given)
    return [given]


def _read(section: Section, one: object) -> object:
    """A ``Candidate`` of its fields; all else as it is."""
    if not isinstance(one, Mapping) or "text" not in one or "role" in one:
        return one
    try:
        return Candidate.model_validate(dict(one))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"section {section.name!r}: a dictionary with a text is a candidate, and this one's "
            f"{'.'.join(map(str, first['loc']))} is wrong: {first['msg']}. It may have "
            f"{', '.join(Candidate.model_fields)}."
        ) from error


def _runs(listed: Sequence[object]) -> Iterator[list[object]]:
    """Messages that follow each other, and the rest."""
    run: list[object] = []
    for one in listed:
        if run and isinstance(run[-1], Message | Mapping) != isinstance(one, Message | Mapping):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _offer(section: Section, one: object) -> Offer:
    match one:
        case str():
            return Offer(text=_whole(one), trust=section.trust)
        case Hit():
            return Offer(text=one.text, trust=one.trust, score=one.score, hit=one)
        case Segment():
            held = candidate_of(one, score=one.scores.get("fused"))
        case Candidate():
            held = one
        case _:
            raise ConfigError(
                f"section {section.name!r}: a {type(one).__name__} is no candidate; strings, hits, "
                "messages, segments and Candidates are."
            )
    return Offer(
        text=held.text,
        trust=held.trust or section.trust,
        score=held.score,
        label=held.label,
        required=held.required,
        reason=held.reason,
        held=held,
        notes=list(held.notes),
    )


def _whole(text: str) -> str:
    """Lone surrogates are no text."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")
    return text


def _chat(section: Section, listed: Sequence[Message | Mapping[str, object]]) -> Iterator[Offer]:
    """One offer for each turn; a call and its results are one. An answer may be believed as far as
    what stood before it.
    """
    try:
        messages = as_messages(listed)
    except ConfigError as error:
        raise ConfigError(f"section {section.name!r}: {error}") from error
    so_far: Trust = "system"
    group: list[Message] = []
    believed: list[Trust] = []
    open_calls: set[str] = set()
    for message in messages:
        if group and not (message.role == "tool" and message.tool_call_id in open_calls):
            yield _turn(group, believed)
            group, believed, open_calls = [], [], set()
        open_calls.update(call.id for call in message.tool_calls)
        trust = so_far if message.role == "assistant" else _trust(message)
        if isinstance(message.content, str) and stands_for_others(message.content):
            trust = lowest(trust, "tool")  # results of tools may be among them
        so_far = lowest(so_far, trust)
        group.append(message)
        believed.append(trust)
    if group:
        yield _turn(group, believed)


def _trust(message: Message) -> Trust:
    by_role: Trust = {"system": "system", "user": "user"}.get(message.role, "tool")  # type: ignore[assignment]
    parts = () if isinstance(message.content, str) else message.content
    return lowest(by_role, *(part.trust for part in parts if isinstance(part, Segment)))


def _turn(group: Sequence[Message], believed: Sequence[Trust]) -> Offer:
    return Offer(
        text="\n".join(message.text for message in group),
        trust=lowest(*believed),
        messages=tuple(group),
        believed=tuple(believed),
    )
