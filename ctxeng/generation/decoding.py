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
from functools import partial, reduce
from operator import add

from ctxeng.errors import BackendError
from ctxeng.generation.reply import collect
from ctxeng.generation.together import together as all_together
from ctxeng.protocols import Generator
from ctxeng.trace import stage
from ctxeng.types import GenerationOptions, Message, Reply, Usage

SAMPLING_TEMPERATURE = 0.7
"""For samples where the options ask for none: equal samples would be of no use."""

Score = Callable[[Reply], float]
"""How good a reply is; higher is better."""
Normalise = Callable[[str], str]
"""What a reply answers, in a form in which equal answers are equal; empty: it answers nothing."""
Similarity = Callable[[str, str], float]
"""How much two texts say the same, in [0, 1]; the same in both orders."""
NUMBER = re.compile(
    r"(?:(?<![\w)])[-−][$€£]?)?"  # a sign, not a difference or a range
    r"(?:(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?|(?<!\w)\.\d+)"
)


@dataclass(frozen=True, slots=True)
class Scaled:
    """The chosen reply, those that it was chosen from in the order of their making, and the sum of
    what they took.
    """

    reply: Reply
    candidates: Sequence[Reply]
    usage: Usage
    confidence: float
    """Of the choice: the best score; the winner's share of the votes, or its mean similarity to the
    others; 1 for a revision."""

    @property
    def tokens(self) -> int:
        """Read and written for all candidates; also what a backend did not have to read again."""
        return self.usage.prompt_tokens + self.usage.completion_tokens


async def best_of_n(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerationOptions,
    *,
    n: int,
    score: Score,
    good_enough: float | None = None,
    together: int = 1,
) -> Scaled:
    """The best of ``n`` samples by a scorer (a verifier, a reward model, support by the sources).

    Args:
        good_enough: a sample of at least this score is taken at once, and no more are asked for.
        together: samples asked for at the same time; more end sooner, fewer stop earlier.

    Raises:
        BackendError: all samples failed.
        ValueError: ``n`` or ``together`` is below 1.

    Source: Cobbe et al. 2021, arXiv:2110.14168.
    """
    replies: list[Reply] = []
    scores: list[float] = []
    async for some in _samples(generator, messages, options, n, together=together):
        replies += some
        scores += map(score, some)
        if good_enough is not None and any(found >= good_enough for found in scores):
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
    asked = 0
    async for some in _samples(generator, messages, options, n, together=together):
        asked = min(n, asked + together)
        replies += some
        votes.update(answer for reply in some if (answer := key(reply.text)))
        if _decided(votes, n - asked):
            break
    with stage("generate.vote") as facts:
        facts["votes"], facts["asked"] = dict(votes), len(replies)
    if not votes:
        return Scaled(replies[0], tuple(replies), _total(replies), 0.0)
    winner, count = votes.most_common(1)[0]  # equal counts: in the order of their first vote
    chosen = next(reply for reply in replies if key(reply.text) == winner)
    return Scaled(chosen, tuple(replies), _total(replies), count / len(replies))


async def most_agreed(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerationOptions,
    *,
    n: int,
    similarity: Similarity | None = None,
    together: int = 1,
) -> Scaled:
    """The one of ``n`` samples that is most like the others (minimum Bayes risk): a vote for
    answers in sentences, of which hardly two are equal.

    Args:
        similarity: None: ``word_f1``.
        together: samples asked for at the same time.

    Raises:
        BackendError: all samples failed.
        ValueError: ``n`` or ``together`` is below 1.

    Source: Eikema & Aziz 2020, arXiv:2005.10283; of language models: Suzgun et al. 2022,
    arXiv:2211.07634.
    """
    alike = similarity or word_f1
    batches = _samples(generator, messages, options, n, together=together)
    replies = [reply async for some in batches for reply in some]
    texts = [reply.text for reply in replies]
    means = [
        sum(alike(own, text) for j, text in enumerate(texts) if j != i) / max(1, len(texts) - 1)
        for i, own in enumerate(texts)
    ]
    best = max(range(len(means)), key=lambda i: (means[i], -i))
    confidence = means[best] if len(texts) > 1 else 1.0
    return Scaled(replies[best], tuple(replies), _total(replies), confidence)


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


def word_f1(one: str, other: str) -> float:
    """F1 of the words of two texts as ``short_answer`` has them; two empty ones are alike."""
    first, second = Counter(short_answer(one).split()), Counter(short_answer(other).split())
    words = first.total() + second.total()
    return 2 * (first & second).total() / words if words else 1.0


def last_number(text: str) -> str:
    """The last number of a text, where arithmetic answers end: ``#### 1,234.50`` → ``1234.5``."""
    found: list[str] = NUMBER.findall(text)
    if not found:
        return ""
    number = re.sub(r"[,$€£]", "", found[-1]).replace("−", "-")
    number = re.sub(r"^(-?)\.", r"\g<1>0.", number)
    return number.rstrip("0").rstrip(".") if "." in number else number


async def _samples(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerationOptions,
    n: int,
    *,
    together: int = 1,
) -> AsyncIterator[list[Reply]]:
    """Up to ``n`` replies, each with a seed of its own, those asked for at the same time in one
    list; those that fail are left out.
    """
    if n < 1 or together < 1:
        raise ValueError(f"n and together must be at least 1, not {n} and {together}")
    first_seed = 0 if options.seed is None else options.seed
    failures: list[BackendError] = []
    came = False

    async def one(number: int) -> Reply | None:
        own = options.model_copy(
            update={
                "seed": first_seed + number,
                "temperature": options.temperature or SAMPLING_TEMPERATURE,
            }
        )
        try:
            return await _reply(generator, messages, own)
        except BackendError as error:
            failures.append(error)
            return None

    for start in range(0, n, together):
        calls = [partial(one, number) for number in range(start, min(n, start + together))]
        replies = [r for r in await all_together(calls, at_once=together) if r is not None]
        came = came or bool(replies)
        yield replies
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
