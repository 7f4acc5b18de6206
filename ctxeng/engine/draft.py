"""An answer that is coming to be: written, checked against its sources, repaired once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ctxeng.engine.wiring import Parts
from ctxeng.errors import BackendError
from ctxeng.generation import EXTRACTIVE, NOT_FOUND
from ctxeng.grounding import SUPPORTED, Checked, ModelSupport, cite, repair
from ctxeng.protocols import Delta, Generator, Restart, Verifier
from ctxeng.trace import stage
from ctxeng.types import Answer, Citation, Claim, Context, GenerationOptions, StopReason, Usage

CUT: Mapping[StopReason, str] = {
    "length": "The answer is cut off: it has all the tokens that it may (generation.max_tokens, or "
    "max_tokens in the model's table).",
    "filtered": "The answer is not all that the model wrote: its vendor filters what it says.",
}
"""Ends that the reader of an answer should know of."""


@dataclass(slots=True)
class Draft:
    context: Context
    options: GenerationOptions
    """How it is written."""
    text: str = ""
    usage: Usage = field(default_factory=Usage)
    stop: StopReason | None = None
    error: str = ""
    claims: Sequence[Claim] = ()
    citations: Sequence[Citation] = ()
    repaired: bool = False
    notes: tuple[str, ...] = ()

    def take(self, delta: Delta) -> None:
        if isinstance(delta, Restart):
            self.text = ""
            return
        self.text += delta.text
        self.usage = delta.usage or self.usage
        self.stop = delta.stop or self.stop
        self.error = delta.error or self.error

    def answer(self, model: str) -> Answer:
        found = bool(self.citations) or any(claim.support >= SUPPORTED for claim in self.claims)
        return Answer(
            text=self.text,
            found=found,
            claims=tuple(self.claims),
            citations=tuple(self.citations),
            context=self.context,
            usage=self.usage,
            model=model,
            error=self.error,
            repaired=self.repaired,
            notes=self.notes,
        )


async def ground(
    parts: Parts, generator: Generator, draft: Draft, judge: ModelSupport | None
) -> None:
    """What each sentence of a draft rests on; with the setting ``generation.repair`` a model writes
    it once more where something rests on nothing. Quotes are cited, and need no more.
    """
    draft.usage = _counted(draft, generator)
    if draft.stop is not None and draft.stop in CUT:
        draft.notes += (CUT[draft.stop],)
    if draft.text == NOT_FOUND:
        return
    with stage("ground") as facts:
        draft.claims, draft.citations = cite(draft.text, draft.context.sources, parts.idf)
        if generator.name != EXTRACTIVE:
            verifier = await _verify(parts, draft, judge)
            if parts.settings.generation.repair and not draft.error:
                await _repair(parts, generator, draft, verifier)
            if judge is not None:
                draft.usage = draft.usage + judge.usage
        facts["claims"] = [round(claim.support, 4) for claim in draft.claims]


async def _verify(parts: Parts, draft: Draft, judge: ModelSupport | None) -> Verifier:
    """Who could check the claims: where the judge fails, the answer is there all the same, and its
    words are compared.
    """
    sources = draft.context.sources
    if judge is not None:
        try:
            draft.claims = await judge.verify(draft.text, sources)
        except BackendError as error:
            draft.notes += (f"The judge failed, and support is told by words: {error}",)
        else:
            return judge
    draft.claims = await parts.verifier.verify(draft.text, sources)
    return parts.verifier


async def _repair(parts: Parts, generator: Generator, draft: Draft, verifier: Verifier) -> None:
    first = Checked(draft.text, draft.claims)
    better, took = await repair(
        generator,
        verifier,
        draft.context.messages,
        draft.options,
        first=first,
        sources=draft.context.sources,
    )
    draft.usage = draft.usage + took
    if better is not first:
        draft.text, draft.claims, draft.repaired = better.text, better.claims, True
        draft.citations = cite(draft.text, draft.context.sources, parts.idf)[1]


def _counted(draft: Draft, generator: Generator) -> Usage:
    """What the draft took, counted by us where the backend does not say."""
    return draft.usage.model_copy(
        update={
            "prompt_tokens": draft.usage.prompt_tokens or draft.context.tokens,
            "completion_tokens": draft.usage.completion_tokens
            or generator.counter.count(draft.text),
        }
    )
