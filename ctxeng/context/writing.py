"""Writes what was taken as segments, and counts what they come to."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

from ctxeng.context import render
from ctxeng.context.candidates import Candidate
from ctxeng.context.counts import CALL_OVERHEAD, Costs, Counts, broken_up
from ctxeng.context.intake import Entry, Part
from ctxeng.context.section import Section
from ctxeng.context.trust import is_fenced
from ctxeng.types import (
    Attachment,
    Carried,
    Context,
    Image,
    Message,
    Segment,
    Transformation,
    Trust,
)


@dataclass(frozen=True, slots=True)
class Written:
    """Segments, and what they come to."""

    segments: list[Segment]
    tokens: int
    template: int
    carried: int

    @property
    def total(self) -> int:
        return self.tokens + self.template + self.carried

    def size(self, section: Section) -> int:
        """Tokens of a section."""
        mine = (segment for segment in self.segments if segment.section == section.name)
        return sum(s.tokens + (s.carries.tokens if s.carries else 0) for s in mine)


class Writer:
    """Writes for one prompt; untrusted text stands between its ``marker``."""

    def __init__(self, marker: str, count: Counts, costs: Costs, budget: int) -> None:
        self._marker = marker
        self._count = count
        self._costs = costs
        self._budget = budget

    def write(
        self, sections: Sequence[Section], entries: Sequence[Entry], taken: Collection[int]
    ) -> Written:
        """The segments of the entries whose numbers were taken."""
        segments: list[Segment] = []
        number = turn = 0
        for section in sections:
            mine = [e for e in entries if e.number in taken and e.section is section]
            heading = self.heading(section, mine) if mine else ""
            if heading:
                segments.append(self._ours(heading, section, "opens its section"))
            open_ = False
            for entry in _ordered(section, mine):
                if open_ and (entry.parts or not entry.is_fenced):
                    segments.append(self._end(section))
                    open_ = False
                if entry.parts:
                    segments += self._chat(entry, turn)
                    turn += len(entry.parts)
                    continue
                if not entry.is_fenced:
                    self._separate(segments, section)
                else:
                    number += 1 if section.numbered else 0
                    cited = number if section.numbered else None
                    start = self._start(entry, cited)
                    what = f"opens source {cited}" if cited else "opens a block"
                    segments.append(self._ours(start, section, what, entry.given.trust))
                    open_ = True
                segments += self._text(entry, number if section.numbered else None)
            if open_:
                segments.append(self._end(section))
        return self._counted_up(segments)

    def cost(self, entry: Entry, room: int) -> int:
        """An estimate, mostly from above, of what taking it adds."""
        if entry.parts:
            segments = list(self._chat(entry, 0))
            size = sum(s.tokens + (s.carries.tokens if s.carries else 0) for s in segments)
            return size + len(entry.parts) * self._costs.message + broken_up(entry.text)
        size = self._count.up_to(entry.text, room) + self._count(entry.tail) + 1
        if entry.runs:
            texts = [segment.text for segment in self._text(entry, None)]
            size = self._count("".join(texts)) + 1
        if entry.is_fenced:
            size += self._count(self._start(entry, 99))
        return size + broken_up(entry.text)

    def frames(self, sections: Sequence[Section], entries: Sequence[Entry]) -> dict[str, int]:
        """What each section takes beside its candidates, where it has any."""
        frames: dict[str, int] = {}
        for section in sections:
            mine = [e for e in entries if e.section is section]
            if not mine:
                continue
            size = self._count(self.heading(section, mine)) + 3
            if any(not e.parts for e in mine):
                size += self._costs.message
                if any(e.is_fenced for e in mine):
                    size += self._count(render.block_end(self._marker))
            frames[section.name] = size
        if frames:
            first = next(iter(frames))
            frames[first] += self._costs.first_message - self._costs.message
        return frames

    def heading(self, section: Section, entries: Sequence[Entry]) -> str:
        if section.heading is not None:
            return section.heading
        return render.DATA_NOTE if any(o.is_fenced and not o.parts for o in entries) else ""

    def _counted_up(self, segments: list[Segment]) -> Written:
        text = "".join(segment.text for segment in segments)
        context = Context(query="", segments=tuple(segments), tokens=0, budget=1, tokenizer="")
        carried = sum(s.carries.tokens for s in segments if s.carries is not None)
        template = self._costs.template(len(context.messages)) + broken_up(text)
        return Written(segments, self._count(text), template, carried)

    def _start(self, entry: Entry, number: int | None) -> str:
        return render.block_start(self._marker, entry.label, number)

    def _end(self, section: Section) -> Segment:
        return self._ours(render.block_end(self._marker), section, "ends its blocks")

    def _ours(self, text: str, section: Section, reason: str, trust: Trust = "system") -> Segment:
        """``trust``: of the names in it."""
        return Segment(
            text=text,
            section=section.name,
            role=section.role,
            tokens=self._count(text),
            trust=trust,
            reason=reason,
            transformation="template",
        )

    def _separate(self, segments: list[Segment], section: Section) -> None:
        """A blank line between texts of one message that have no line end of their own."""
        last = segments[-1] if segments else None
        if last is None or last.turn is not None or last.role != section.role:
            return
        if last.transformation != "template" and not last.text.endswith("\n"):
            gap = "\n" if last.section == section.name else "\n\n"
            segments.append(self._ours(gap, section, "stands between two texts"))

    def whole(self, entry: Entry, number: int | None = None) -> Segment:
        """A candidate that is no message, as it came."""
        given, section = entry.given, entry.section
        held = given.held
        scores = dict(given.hit.stages) if given.hit else dict(held.scores) if held else {}
        if given.score is not None:
            scores.setdefault("fused", given.score)
        return Segment(
            text=entry.text,
            section=section.name,
            role=section.role,
            tokens=self._count.up_to(entry.text, self._budget),
            trust=given.trust,
            reason=entry.reason,
            source=given.source,
            **_transformed(entry.tail, held),
            notes=tuple(given.notes),
            number=number,
            scores=scores,
            chunk_ids=given.chunk_ids,
        )

    def _text(self, entry: Entry, number: int | None) -> Iterator[Segment]:
        before = ""
        for run in entry.runs or [self.whole(entry)]:
            if before:
                gap = render.cut_out(before)
                yield self._ours(gap, entry.section, "stands for what was cut out")
            yield _changed(run, number=number)
            before = run.text
        if entry.tail:
            yield self._ours(entry.tail, entry.section, "says what was cut")

    def _chat(self, entry: Entry, turn: int) -> Iterator[Segment]:
        for at, (message, parts) in enumerate(zip(entry.given.messages, entry.parts, strict=True)):
            yield from self._message(entry, message, parts, entry.given.believed[at], turn + at)

    def _message(
        self, entry: Entry, message: Message, parts: Sequence[Part], trust: Trust, turn: int
    ) -> Iterator[Segment]:
        fenced = is_fenced(trust) and message.role != "assistant"
        made: list[Segment] = []

        def ours(text: str, reason: str) -> None:
            made.append(self._ours(text, entry.section, reason))

        if fenced:
            ours(render.block_start(self._marker, message.role).lstrip(), "opens a block")
        for part in parts:
            held = part.held
            made.append(
                Segment(
                    text=part.text,
                    section=entry.section.name,
                    role=message.role,
                    tokens=self._count.up_to(part.text, self._budget),
                    trust=held.trust if held else trust,
                    reason=entry.reason,
                    source=held.source if held else None,
                    **_transformed(part.tail, held),
                    notes=tuple(part.notes),
                    carries=self._files(part.files),
                )
            )
            if part.tail:
                ours(part.tail, "says what was cut")
        if fenced:
            ours(render.block_end(self._marker).rstrip(), "ends a block")
        if message.tool_calls or message.role == "tool":
            last = made[-1]
            files = last.carries or Carried()
            calls = [call.model_dump() for call in message.tool_calls]
            size = self._count(json.dumps(calls, ensure_ascii=False)) if calls else 0
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
        return Carried(files=tuple(files), tokens=len(files) * self._costs.file)


def _ordered(section: Section, entries: Sequence[Entry]) -> list[Entry]:
    if section.order == "given" or section.keep == "last":
        return list(entries)
    ranked = sorted(entries, key=lambda entry: entry.rank)
    return ranked if section.order == "ranked" else ranked[::2] + ranked[1::2][::-1]


class _Transformed(TypedDict):
    transformation: Transformation
    made_by: str


def _transformed(tail: str, held: Candidate | Segment | None) -> _Transformed:
    if tail:
        return {"transformation": "selected", "made_by": "cut"}
    if held is None:
        return {"transformation": "verbatim", "made_by": ""}
    return {"transformation": held.transformation, "made_by": held.made_by}


def _changed(segment: Segment, **values: object) -> Segment:
    return Segment(**{**dict(segment), **values})
