"""Which of several models replies: the next one on failure, the larger one in doubt."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from ctxeng.errors import BackendError
from ctxeng.generation.decoding import (
    Normalise,
    Similarity,
    self_consistency,
    short_answer,
    word_f1,
)
from ctxeng.generation.metered import Metered
from ctxeng.generation.reply import closable, collect
from ctxeng.protocols import Delta, Generator, TokenCounter
from ctxeng.trace import stage
from ctxeng.types import DEFAULT_OPTIONS, GenerationOptions, Message, Reply

Confidence = Callable[[Generator, Sequence[Message], GenerationOptions, Reply], Awaitable[float]]
"""How sure a generator is of its reply, in [0, 1]."""


class Fallback:
    """Asks the next generator where one fails before it has said anything; fits ``Generator``.

    A spend limit is no failure: it holds for all.
    """

    def __init__(self, generators: Sequence[Generator]) -> None:
        """Raises ``ValueError`` where there is none."""
        if not generators:
            raise ValueError("a fallback chain needs at least one generator")
        self._generators = generators
        self.name = " → ".join(generator.name for generator in generators)

    @property
    def counter(self) -> TokenCounter:
        """The first one's."""
        return self._generators[0].counter

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Delta]:
        *earlier, last = self._generators
        for generator in earlier:
            begun = False
            try:
                async with aclosing(closable(generator.stream(messages, options))) as deltas:
                    async for delta in deltas:
                        begun = True
                        yield delta
                return
            except BackendError as error:
                if begun or error.kind == "budget":
                    raise
                with stage("generate.fallback") as facts:
                    facts["failed"], facts["why"] = generator.name, str(error)
        async with aclosing(closable(last.stream(messages, options))) as deltas:
            async for delta in deltas:
                yield delta


class Cascade:
    """Lets a small generator reply where it is sure enough, and a large one elsewhere; fits
    ``Generator``.

    The large one also replies where the small one fails, or cannot be asked how sure it is. Usage
    is the sum of what all of that took. A spend limit is no failure: it holds for both.

    Source: Chen, Zaharia & Zou 2023, arXiv:2305.05176.
    """

    def __init__(
        self, small: Generator, large: Generator, *, confidence: Confidence, threshold: float
    ) -> None:
        """``threshold``: from ``calibrate``; the small one's replies below it are not used."""
        self._small = small
        self._large = large
        self._confidence = confidence
        self._threshold = threshold
        self.name = f"{small.name}, or {large.name} below {threshold:.2f}"

    @property
    def counter(self) -> TokenCounter:
        """The larger one's."""
        return self._large.counter

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Delta]:
        small = Metered(self._small)
        with stage("generate.cascade") as facts:
            reply, sure = await self._attempt(small, messages, options)
            facts["confidence"], facts["small"] = sure, reply is not None
        if reply is not None:
            if reply.text:
                yield Delta(text=reply.text)
            for call in reply.tool_calls:
                yield Delta(tool_call=call)
            yield Delta(usage=small.usage, stop=reply.stop, error=reply.error)
            return
        async with aclosing(closable(self._large.stream(messages, options))) as deltas:
            async for delta in deltas:
                took = None if delta.usage is None else small.usage + delta.usage
                yield replace(delta, usage=took)

    async def _attempt(
        self, small: Metered, messages: Sequence[Message], options: GenerationOptions
    ) -> tuple[Reply | None, float]:
        """The small one's reply where it is sure enough, and how sure it is."""
        try:
            reply = await collect(small.stream(messages, options), options, model=small.name)
            sure = await self._confidence(small, messages, options, reply)
        except BackendError as error:
            if error.kind == "budget":
                raise
            with stage("generate.fallback") as facts:
                facts["failed"], facts["why"] = small.name, str(error)
            return None, 0.0
        return (reply if sure >= self._threshold else None), sure


def agreement(samples: int = 4, *, normalise: Normalise = short_answer) -> Confidence:
    """Sureness as the share of further samples that give the same answer.

    Args:
        normalise: what a reply answers; of replies that end in a number, ``last_number``.

    Source: Yue et al. 2023, arXiv:2310.03094.
    """

    async def confidence(
        generator: Generator, messages: Sequence[Message], options: GenerationOptions, reply: Reply
    ) -> float:
        # Another seed than the reply's: the same one would give the same reply.
        others = options.model_copy(update={"seed": 1 + (options.seed or 0)})
        scaled = await self_consistency(
            generator, messages, others, n=samples, normalise=normalise, together=samples
        )
        own = normalise(reply.text)
        same = [own != "" and normalise(other.text) == own for other in scaled.candidates]
        return sum(same) / len(same)

    return confidence


def likeness(samples: int = 4, *, similarity: Similarity = word_f1) -> Confidence:
    """Sureness as the mean similarity of further samples to the reply: for answers in sentences, of
    which hardly two are equal. Of short answers it is little else than ``agreement``.

    Source: Manakul, Liusie & Gales 2023, arXiv:2303.08896 (there with models that compare).
    """

    async def confidence(
        generator: Generator, messages: Sequence[Message], options: GenerationOptions, reply: Reply
    ) -> float:
        others = options.model_copy(update={"seed": 1 + (options.seed or 0)})
        scaled = await self_consistency(
            generator, messages, others, n=samples, normalise=_no_vote, together=samples
        )
        if not reply.text.strip():
            return 0.0
        alike = [similarity(reply.text, other.text) for other in scaled.candidates]
        return sum(alike) / len(alike)

    return confidence


def _no_vote(text: str) -> str:
    """All samples are wanted: no vote ends the sampling early."""
    return ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A threshold, and what it saves and loses on labelled questions."""

    threshold: float
    share_small: float
    """Of the questions, those that the large model is spared."""
    accuracy: float
    accuracy_large: float

    @property
    def loss(self) -> float:
        """Accuracy given up against the large model alone; negative: gained."""
        return self.accuracy_large - self.accuracy


def calibrate(
    confidences: Sequence[float],
    small_right: Sequence[bool],
    large_right: Sequence[bool],
    *,
    max_loss: float = 0.0,
) -> Calibration:
    """The lowest threshold, and so the largest saving, that gives up at most ``max_loss``.

    Args:
        confidences: the small model's, one a question.
        small_right, large_right: whether each model answers that question rightly.
        max_loss: accuracy that may be given up against the large model alone.

    Raises:
        ValueError: there is no question, or the lengths differ.
    """
    for threshold in sorted(set(confidences)):
        found = cascaded(threshold, confidences, small_right, large_right)
        if found.loss <= max_loss + 1e-12:
            return found
    return cascaded(float("inf"), confidences, small_right, large_right)


def cascaded(
    threshold: float,
    confidences: Sequence[float],
    small_right: Sequence[bool],
    large_right: Sequence[bool],
) -> Calibration:
    """What a threshold saves and loses on other questions than those that it was chosen on.

    Args and errors are those of ``calibrate``.
    """
    count = len(confidences)
    if not count or len(small_right) != count or len(large_right) != count:
        raise ValueError("calibration needs one confidence and two labels for each question")
    kept = [sure >= threshold for sure in confidences]
    answers = zip(kept, small_right, large_right, strict=True)
    accuracy = sum(small if use else large for use, small, large in answers) / count
    return Calibration(threshold, sum(kept) / count, accuracy, sum(large_right) / count)
