"""More tokens for a better reply: several samples and a choice among them, or revisions.

Each function returns the chosen reply with what all of them took, so that a gain can be set against
its price (``tokens_per_point``).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import anyio

from ctxeng.errors import BackendError
from ctxeng.generation.reply import collect
from ctxeng.protocols import Generator
from ctxeng.trace import stage
from ctxeng.types import GenerationOptions, Message, Reply, Usage

SAMPLING_TEMPERATURE = 0.7
"""For samples where the options ask for none: equal samples would be of no use."""

Score = Callable[[Reply], float]
"""How good a reply is; higher is better."""
Normalise = Callable[[str], str]
"""What a reply answers, in a form in which equal answers are equal; empty: it answers nothing."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """The chosen reply, those that it was chosen from in the order of their making, and the sum of
    what they took.
    """

    reply: Reply
    candidates: Sequence[Reply]
    usage: Usage
    confidence: float
    """Of the choice: the best score; the winner's share of the votes; 1 for a revision."""


async def best_of_n(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerationOptions,
    *,
    n: int,
    score: Score,
    good_enough: float | None = None,
) -> Scaled:
    """The best of ``n`` samples by a scorer (a verifier, a reward model, support by the sources).

    Args:
        good_enough: a sample of at least this score is taken at once, and no more are asked for.

    Raises:
        BackendError: all samples failed.
        ValueError: ``n`` is below 1.

    Source: Cobbe et al. 2021, arXiv:2110.14168.
    """
    replies: list[Reply] = []
    scores: list[float] = []
    async for reply in _samples(generator, messages, options, n):
        replies.append(reply)
        scores.append(score(reply))
        if good_enough is not None and scores[-1] >= good_enough:
            break
    best = max(range(len(scores)), key=lambda i: (scores[i], -i))
    return Scaled(replies[best], tuple(replies), _total(replies), scores[best])


async def self_consistency(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerationOptions,
    *,
    n: int,
    normalise: Normalise | None = None,
    together: int = 1,
) -> Scaled:
    """The answer that most of ``n`` samples give; stops when no other can overtake it.

    Replies that answer nothing have no vote; among equals the answer that came first wins.

    Args:
        normalise: None: ``short_answer``.
        together: samples asked for at the same time; more end sooner, fewer stop earlier.

    Raises:
        BackendError: all samples failed.
        ValueError: ``n`` or ``together`` is below 1.

    Source: Wang et al. 2022, arXiv:2203.11171.
    """
    key = normalise or short_answer
    replies: list[Reply] = []
    votes: Counter[str] = Counter()
    async for reply in _samples(generator, messages, options, n, together=together):
        replies.append(reply)
        answer = key(reply.text)
        if answer:
            votes[answer] += 1
        if _decided(votes, n - len(replies)):
            break
    with stage("generate.vote") as facts:
        facts["votes"], facts["asked"] = dict(votes), len(replies)
    if not votes:
        return Scaled(replies[0], tuple(replies), _total(replies), 0.0)
    winner, count = votes.most_common(1)[0]  # equal counts: in the order of their first vote
    chosen = next(reply for reply in replies if key(reply.text) == winner)
    return Scaled(chosen, tuple(replies), _total(replies), count / len(replies))


async def revise(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerationOptions,
    *,
    critique: Callable[[Reply], str],
    rounds: int,
) -> Scaled:
    """A reply, corrected at most ``rounds`` times, while ``critique`` finds something wrong.

    Args:
        critique: what is wrong, in words for the model; empty: nothing.

    Raises:
        BackendError: the first reply failed. A revision that fails leaves the reply before it.

    Source: Madaan et al. 2023, arXiv:2303.17651.
    """
    replies = [await _reply(generator, messages, options)]
    turns = list(messages)
    for _ in range(rounds):
        wrong = critique(replies[-1])
        if not wrong:
            break
        turns += [
            Message(role="assistant", content=replies[-1].text),
            Message(role="user", content=f"{wrong}\nWrite the whole answer again, corrected."),
        ]
        try:
            replies.append(await _reply(generator, turns, options))
        except BackendError as error:
            with stage("generate.revise") as facts:
                facts["failed"] = str(error)
            break
    return Scaled(replies[-1], tuple(replies), _total(replies), 1.0)


def tokens_per_point(
    base: Sequence[bool], base_tokens: float, scaled: Sequence[bool], scaled_tokens: float
) -> float:
    """Extra tokens a question for each point (1 %) of accuracy gained; infinite where none is.

    Args:
        base, scaled: whether each question was answered rightly.
        base_tokens, scaled_tokens: what they took, in all.
    """
    gained = 100 * (sum(scaled) / len(scaled) - sum(base) / len(base))
    extra = scaled_tokens / len(scaled) - base_tokens / len(base)
    return extra / gained if gained > 0 else float("inf")


def short_answer(text: str) -> str:
    """A short answer as SQuAD compares them: case, articles, punctuation and spaces left aside."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = re.sub(r"[^\w\s.%-]|\.(?!\d)", " ", folded).split()
    return " ".join(word for word in words if word not in {"a", "an", "the"})


def last_number(text: str) -> str:
    """The last number of a text, where arithmetic answers end: ``#### 1,234.50`` → ``1234.5``."""
    found: list[str] = re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)
    if not found:
        return ""
    number = found[-1].replace(",", "")
    return number.rstrip("0").rstrip(".") if "." in number else number


async def _samples(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerationOptions,
    n: int,
    *,
    together: int = 1,
) -> AsyncIterator[Reply]:
    """Up to ``n`` replies, each with a seed of its own; those that fail are left out."""
    if n < 1 or together < 1:
        raise ValueError(f"n and together must be at least 1, not {n} and {together}")
    first_seed = 0 if options.seed is None else options.seed
    failures: list[BackendError] = []
    came = False
    for start in range(0, n, together):
        found: dict[int, Reply] = {}

        async def one(number: int, found: dict[int, Reply]) -> None:
            own = options.model_copy(
                update={
                    "seed": first_seed + number,
                    "temperature": options.temperature or SAMPLING_TEMPERATURE,
                }
            )
            try:
                found[number] = await _reply(generator, messages, own)
            except BackendError as error:
                failures.append(error)

        async with anyio.create_task_group() as group:
            for number in range(start, min(n, start + together)):
                group.start_soon(one, number, found)
        for number in sorted(found):
            came = True
            yield found[number]
    if not came:
        raise failures[0]


async def _reply(
    generator: Generator, messages: Sequence[Message], options: GenerationOptions
) -> Reply:
    return await collect(generator.stream(messages, options), options, model=generator.name)


def _decided(votes: Counter[str], left: int) -> bool:
    """Whether no other answer can still have more votes than the leader."""
    ranked = [count for _, count in votes.most_common(2)]
    if not ranked:
        return False
    second = ranked[1] if len(ranked) > 1 else 0
    return ranked[0] >= second + left


def _total(replies: Sequence[Reply]) -> Usage:
    return reduce(add, (reply.usage for reply in replies), Usage())
