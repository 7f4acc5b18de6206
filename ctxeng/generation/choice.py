"""Which of several models replies: the next one on failure, the larger one in doubt."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from ctxeng.errors import BackendError
from ctxeng.generation.decoding import self_consistency, short_answer
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
        stream = self._small.stream(messages, options)
        reply = await collect(stream, options, model=self._small.name)
        with stage("generate.cascade") as facts:
            sure = await self._confidence(self._small, messages, options, reply)
            facts["confidence"], facts["small"] = sure, sure >= self._threshold
        if sure >= self._threshold:
            if reply.text:
                yield Delta(text=reply.text)
            for call in reply.tool_calls:
                yield Delta(tool_call=call)
            yield Delta(usage=reply.usage, stop=reply.stop, error=reply.error)
            return
        async with aclosing(closable(self._large.stream(messages, options))) as deltas:
            async for delta in deltas:
                yield delta


def agreement(samples: int = 4) -> Confidence:
    """Sureness as the share of further samples that give the same short answer.

    Source: Yue et al. 2023, arXiv:2310.03094.
    """

    async def confidence(
        generator: Generator, messages: Sequence[Message], options: GenerationOptions, reply: Reply
    ) -> float:
        scaled = await self_consistency(generator, messages, options, n=samples, together=samples)
        own = short_answer(reply.text)
        same = [own != "" and short_answer(other.text) == own for other in scaled.candidates]
        return sum(same) / len(same)

    return confidence


@dataclass(frozen=True, slots=True)
class Calibration:
    """A threshold, and what it saves and loses on the labelled questions that it was chosen on."""

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
    count = len(confidences)
    if not count or len(small_right) != count or len(large_right) != count:
        raise ValueError("calibration needs one confidence and two labels for each question")
    large = sum(large_right) / count
    for threshold in [*sorted(set(confidences)), float("inf")]:
        kept = [sure >= threshold for sure in confidences]
        answers = zip(kept, small_right, large_right, strict=True)
        accuracy = sum(small if use else big for use, small, big in answers) / count
        if large - accuracy <= max_loss + 1e-12:
            return Calibration(threshold, sum(kept) / count, accuracy, large)
    raise AssertionError("at an infinite threshold nothing is lost")
