"""Answers by quoting: picks the sentences of the sources that answer, and cites each."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import anyio

from ctxeng.errors import BackendError
from ctxeng.protocols import Delta
from ctxeng.text.asking import asks_for_name, asks_for_number
from ctxeng.text.details import figures, names
from ctxeng.text.overlap import Idf, question_weights, recall
from ctxeng.text.quotable import CODE_ENDS, Quote, segment_quotes
from ctxeng.text.sentences import sentences
from ctxeng.text.terms import terms
from ctxeng.text.tokens import PackagedTokenCounter
from ctxeng.types import DEFAULT_OPTIONS, GenerationOptions, Message, Segment, Usage

EXTRACTIVE = "extractive"
NOT_FOUND = "Not found in the sources."

MAX_SENTENCES = 3
CONTEXT_SHARE = 0.6
"""What a query term is worth that stands in the headings or just before, not in the sentence."""
CONTEXT_SENTENCES = 2
SOURCE_SHARE = 0.2
"""What it is worth to stand in the best source."""
WORTH_ADDING = 0.15
"""Share of the query's weight that a further sentence must bring."""
FURTHER = 0.5
"""It must hold this share of what the first holds of the question, and its source be as good."""
CODE_COST = 0.1
"""Prose that says as much comes first: it is what explains the code."""
MAX_ITEMS = 6
"""Of a list that a quoted sentence announces."""
KIND_BONUS = 0.1
"""For a figure where one is asked for, for a name that the question lacks where it asks who."""
_REFERENCE = re.compile(r"\s*\[\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*\](?:\s+(?=[.,;:!?]))?")
_STOP = re.compile(r"[.!?。！？।؟]+[\"'”’)\]]*$")


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sentence and the terms that stand in it and around it."""

    segment: Segment
    quote: Quote
    own: frozenset[str]
    headings: frozenset[str]
    """Of the headings above it, or of the question that it stands below."""
    before: frozenset[str]
    """Of the sentences before it."""
    rank: float
    """Of its source: what that is worth to the question, relative to the best."""
    items: tuple[Quote, ...] = ()
    """Of the list, or the code, that it announces: it ends in a colon."""

    bonus: float = 0.0
    """For holding the kind of thing that is asked for."""

    def score(self, missing: Mapping[str, float], share: float) -> float:
        """By what it brings of the ``missing`` terms, which weigh ``share`` of the question's."""
        around = (self.headings | self.before) - self.own
        value = share * (recall(missing, self.own) + CONTEXT_SHARE * recall(missing, around))
        value -= CODE_COST if self.quote.kind == "code" else 0.0
        return value + self.bonus + SOURCE_SHARE * self.rank


class ExtractiveGenerator:
    """Ranks every sentence by the share of the question's rarity-weighted terms that it holds.

    Terms in the headings above a sentence or in the two sentences before it count in part, and so
    does what its source is worth. After the best sentence, others follow only while they bring
    terms that are still missing.
    """

    name = EXTRACTIVE

    def __init__(self, idf: Idf) -> None:
        self._idf = idf
        self.counter = PackagedTokenCounter()

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions = DEFAULT_OPTIONS
    ) -> AsyncIterator[Delta]:
        began = time.perf_counter()
        if options.json_schema is not None:
            raise BackendError(
                f"{self.name}: it quotes sentences and writes no JSON. Name a model that does.",
                kind="bad_reply",
            )
        question, sources = _read(messages)
        written = ""
        chosen = await anyio.to_thread.run_sync(self._choose, question, sources)
        told = [(c.segment.number or 0, quote) for c in chosen for quote in (c.quote, *c.items)]
        for number, quote in dict.fromkeys(told):
            said = cited(quote.shown, number)
            yield Delta(text=_after(written, said) + said)
            written = said
        if not written:
            yield Delta(text=NOT_FOUND)
        yield Delta(usage=Usage(seconds=time.perf_counter() - began), stop="stop")

    def _choose(self, question: str, sources: Sequence[Segment]) -> list[_Candidate]:
        wanted = question_weights(question, self._idf)
        total = sum(wanted.values())
        wants = _wanted_kind(question)
        best_source = max((s.scores.get("worth", 0.0) for s in sources), default=0.0)
        candidates = [
            replace(c, bonus=KIND_BONUS if wants(c.quote.shown) else 0.0)
            for segment in sources
            for c in _candidates(segment, best_source)
        ]
        # What a heading names need not be said again below it.
        fitting = [c for c in candidates if (c.own | c.headings) & wanted.keys()]
        chosen: list[_Candidate] = []
        missing = dict(wanted)
        while missing and len(chosen) < MAX_SENTENCES:
            share = sum(missing.values()) / total
            best = max(fitting, key=lambda c: c.score(missing, share), default=None)
            if best is None or (chosen and share * recall(missing, best.own) < WORTH_ADDING):
                break
            chosen.append(best)
            said = best.own.union(best.headings, *(terms(item.shown) for item in best.items))
            missing = {t: w for t, w in missing.items() if t not in said}
            least = FURTHER * recall(wanted, chosen[0].own)
            fitting = [
                c
                for c in candidates
                if c.own & missing.keys() and c.rank >= FURTHER and recall(wanted, c.own) >= least
            ]
        return chosen


def _wanted_kind(question: str) -> Callable[[str], bool]:
    """Whether a text holds the kind of thing that the question asks for."""
    if asks_for_number(question):
        return lambda text: bool(figures(text))
    if asks_for_name(question):
        known = frozenset(terms(question))
        return lambda text: not names(text) <= known
    return lambda text: False


def _candidates(segment: Segment, best_source: float) -> Iterator[_Candidate]:
    """Everything that may be quoted: no headings and no questions, which answer nothing."""
    assert segment.source is not None
    rank = segment.scores.get("worth", 0.0) / best_source if best_source > 0 else 1.0
    path = frozenset(terms(" ".join((segment.source.title, *segment.source.heading_path))))
    heading = frozenset[str]()
    before: list[frozenset[str]] = []
    found = [_without_references(quote) for quote in segment_quotes(segment)]
    for at, quote in enumerate(found):
        own = frozenset(terms(quote.shown))
        if quote.is_heading:
            heading, before = own, []
            continue
        if not any(map(str.isalnum, quote.shown)):
            continue
        near = frozenset().union(*before[-CONTEXT_SENTENCES:])
        items: tuple[Quote, ...] = ()
        if quote.shown.endswith((":", "：")):
            below = found[at + 1 : at + 1 + MAX_ITEMS]
            listed = tuple(takewhile(lambda q: q.kind == "item", below))
            items = listed or tuple(q for q in below[:1] if q.kind == "code")
        yield _Candidate(segment, quote, own, path | heading, near, rank, items)
        before.append(own)


def _without_references(quote: Quote) -> Quote:
    """A document's own reference marks, ``[12]``, would be read as markers of ours."""
    if quote.kind == "code":
        return quote
    return replace(quote, shown=_REFERENCE.sub("", quote.shown).strip())


def cited(text: str, number: int) -> str:
    """Each sentence with its marker before the final stop: ``It is so [1].``

    What is quoted as one may be several: a row of a table holds whatever its cells hold.
    """
    if text.endswith(CODE_ENDS):
        return f"{text.rstrip()} [{number}]"
    marked, end = "", 0
    for span in sentences(text):
        sentence = text[span.start : span.end]
        stop = _STOP.search(sentence)
        at = stop.start() if stop else len(sentence)
        marked += f"{text[end : span.start]}{sentence[:at]} [{number}]{sentence[at:]}"
        end = span.end
    return marked


def _after(written: str, said: str) -> str:
    """What stands between two quotes, so that they are read as two."""
    if not written:
        return ""
    return "\n\n" if said[0].islower() or not _STOP.search(written) else " "


def _read(messages: Sequence[Message]) -> tuple[str, list[Segment]]:
    """The question and the numbered sources: the prompt's own structure, not its text."""
    segments = [s for m in messages for s in m.content if isinstance(s, Segment)]
    sources = [s for s in segments if s.source is not None and s.number is not None]
    asked = [s.text for s in segments if s.section == "question" and s.transformation != "template"]
    plain = [m.content for m in messages if m.role == "user" and isinstance(m.content, str)]
    return (asked or plain or [""])[-1], sources
