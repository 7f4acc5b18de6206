"""Can a scorer tell sentences that a text supports from others?

    python -m benchmarks.grounding [--data DIR] [--json FILE] [--quick] [--model NAME]

Baseline: the share of a sentence's words that the text holds. Each set is halved by a hash of the
text's id. The first half gives each scorer its threshold, the one with the best balanced accuracy
there (``one threshold``: in the mean of all sets); rarities of terms come from all texts, without
labels. Every figure is of the second half. Intervals: bootstrap over texts; ``Δ`` is the difference
from the baseline, paired. A scorer is called good only where its balanced accuracy is surely above
chance, and above the baseline, on summedits and on wice.

A language model (``--model``, by default the packaged one) is asked about few items of the second
half of each set, of the half of them with shorter texts: it says yes or no, so that it needs no
threshold, and how sure it is. Beside it stand the baseline and our default on the same items.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import anyio
import numpy as np
from numpy.typing import NDArray

from benchmarks.data import Row, argument_parser, data_folder, print_table, write_rows
from benchmarks.data_grounding import GroundingSet, Item, read_grounding_sets
from ctxeng import open_model
from ctxeng.embedding import MiniLMEmbedder, StaticEmbedder
from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.named import open_generator
from ctxeng.grounding.asked import ModelSupport
from ctxeng.grounding.support import (
    SUPPORTED,
    CombinedSupport,
    CosineSupport,
    SupportScorer,
    TermSupport,
    rarity,
)
from ctxeng.settings import load_settings
from ctxeng.text.overlap import Idf
from ctxeng.text.sentences import sentences

BASELINE = "word overlap"
METRIC = "balanced accuracy"
CHANCE = 0.5
DECIDING = ("summedits", "wice")
RESAMPLES = 2_000
MODEL_ITEMS = 60
BESIDE = (BASELINE, "terms, figures, names")

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]


class WordOverlap:
    """The opponent: share of the sentence's distinct words that the text holds."""

    name = BASELINE

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [self._share(_words(sentence), _words(text)) for sentence, text in pairs]

    @staticmethod
    def _share(wanted: set[str], there: set[str]) -> float:
        return len(wanted & there) / len(wanted) if wanted else 0.0


def contenders(idf: Idf) -> dict[str, SupportScorer]:
    """By the name in the tables, the baseline first."""
    return {
        BASELINE: WordOverlap(),
        "terms": TermSupport(idf, details=False),
        "terms, figures, names": TermSupport(idf),
        "cosine, static": CosineSupport(StaticEmbedder()),
        "cosine, MiniLM": CosineSupport(MiniLMEmbedder()),
        "combined, static": CombinedSupport(idf, StaticEmbedder()),
        "combined, MiniLM": CombinedSupport(idf, MiniLMEmbedder()),
    }


@dataclass(frozen=True)
class Half:
    """Labels of half of a set, and each system's scores of it."""

    labels: Labels
    scores: dict[str, Scores]


def measure(sets: Iterable[GroundingSet]) -> Iterator[Row]:
    choosing: dict[str, Half] = {}
    measured: dict[str, Half] = {}
    weights: dict[str, Scores] = {}
    for task in sets:
        first, second = halves(task.items)
        scorers = contenders(rarity_in(task.items))
        choosing[task.name] = _half(task.name, scorers, first)
        measured[task.name] = _half(task.name, scorers, second)
        weights[task.name] = resampled([item.group for item in second])
    for name, half in measured.items():
        right: dict[str, Labels] = {}
        for system, scores in half.scores.items():
            own = best_threshold([choosing[name]], system)
            right[system] = (scores >= own) == half.labels
            accuracy = balanced_accuracy(right[system], half.labels, weights[name])
            yield _row(system, name, METRIC, accuracy)
            if system != BASELINE:
                base = balanced_accuracy(right[BASELINE], half.labels, weights[name])
                yield _row(system, name, f"Δ{METRIC}", accuracy - base)
            yield _row(system, name, "AUROC", auroc(scores, half.labels, weights[name]))
            yield _row(system, name, "threshold", np.array([own]))
            one = best_threshold(list(choosing.values()), system)
            at_one = balanced_accuracy((scores >= one) == half.labels, half.labels, weights[name])
            yield _row(system, name, f"{METRIC}, one threshold", at_one)
            yield _row(system, name, "one threshold", np.array([one]))


def _half(name: str, scorers: dict[str, SupportScorer], items: Sequence[Item]) -> Half:
    labels = labels_of(items)
    if len(set(labels.tolist())) < 2:
        raise SystemExit(f"{name}: half of it has no item of one of the classes.")
    return Half(labels, {system: scores_of(scorer, items) for system, scorer in scorers.items()})


def ask_model(sets: Iterable[GroundingSet], model: str, items: int) -> Iterator[Row]:
    """Balanced accuracy and AUROC of a language model on few items, those of scorers without one
    beside it, and the share of items on which no reply of the model could be used (they are left
    out of all).
    """
    generator = open_generator(model, load_settings(), idf=lambda term: 1.0, replies=None)
    for task in sets:
        idf = rarity_in(task.items)
        first, second = halves(task.items)
        asked = spread(shorter_half(second), items)
        support = ModelSupport(generator, idf)
        scores = anyio.run(partial(_ask, support, asked))
        usable = [score is not None for score in scores]
        kept = [item for item, use in zip(asked, usable, strict=True) if use]
        labels, weights = labels_of(kept), resampled([item.group for item in kept])
        name = f"{task.name}, {len(asked)} items"
        yield _row(support.name, name, "unusable", np.array([1 - sum(usable) / len(usable)]))
        if labels.all() or not labels.any():
            continue
        said = {support.name: np.array([score for score in scores if score is not None])}
        cuts = {support.name: SUPPORTED}
        beside = {system: contenders(idf)[system] for system in BESIDE}
        half = _half(task.name, beside, first)
        for system, scorer in beside.items():
            said[system], cuts[system] = scores_of(scorer, kept), best_threshold([half], system)
        base = balanced_accuracy((said[BASELINE] >= cuts[BASELINE]) == labels, labels, weights)
        for system, given in said.items():
            accuracy = balanced_accuracy((given >= cuts[system]) == labels, labels, weights)
            yield _row(system, name, METRIC, accuracy)
            if system != BASELINE:
                yield _row(system, name, f"Δ{METRIC}", accuracy - base)
            yield _row(system, name, "AUROC", auroc(given, labels, weights))


async def _ask(support: ModelSupport, items: Sequence[Item]) -> list[float | None]:
    scores: list[float | None] = []
    for item in items:
        try:
            scores.append(await support.score(item.sentence, item.text))
        except BackendError as error:
            if error.kind not in {"bad_reply", "context_length"}:
                raise
            scores.append(None)
    return scores


def halves(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """To choose a threshold on, and to measure on; no text is in both."""

    def first(item: Item) -> bool:
        return hashlib.sha256(item.group.encode()).digest()[-1] % 2 == 0

    return [i for i in items if first(i)], [i for i in items if not first(i)]


def shorter_half(items: Sequence[Item]) -> list[Item]:
    """Those with the shorter texts: a small model on a CPU takes seconds for each."""
    middle = np.median([len(item.text) for item in items])
    return [item for item in items if len(item.text) <= middle]


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """So many of the items, in an order that has nothing to do with what they say."""
    return sorted(items, key=lambda i: hashlib.sha256(i.sentence.encode()).digest())[:count]


def rarity_in(items: Sequence[Item]) -> Idf:
    """Rarity of terms among the sentences of all texts of a set."""
    texts = dict.fromkeys(item.text for item in items)
    return rarity(text[s.start : s.end] for text in texts for s in sentences(text))


def best_threshold(sets: Sequence[Half], system: str) -> float:
    """The threshold with the best balanced accuracy, in the mean of the sets; half way to the next
    lower score.
    """
    levels = np.unique(np.concatenate([half.scores[system] for half in sets]))
    cuts = np.concatenate([levels[:1], (levels[1:] + levels[:-1]) / 2])
    found = np.zeros(len(cuts))
    for half in sets:
        passing = half.scores[system][None, :] >= cuts[:, None]
        found += passing[:, half.labels].mean(axis=1) - passing[:, ~half.labels].mean(axis=1)
    return float(cuts[int(np.argmax(found))])


def balanced_accuracy(right: Labels, labels: Labels, weights: Scores) -> Scores:
    """For each row of weights the mean of the accuracies on both classes."""
    shares = [
        (weights[:, labels == side] @ right[labels == side])
        / np.maximum(weights[:, labels == side].sum(axis=1), 1)
        for side in (True, False)
    ]
    mean: Scores = (shares[0] + shares[1]) / 2
    return mean


def auroc(scores: Scores, labels: Labels, weights: Scores) -> Scores:
    """For each row of weights the share of pairs, supported and not, in the right order; a tie is
    half a pair.
    """
    high, low = scores[labels][:, None], scores[~labels][None, :]
    ordered = (high > low) + 0.5 * (high == low)
    first, second = weights[:, labels], weights[:, ~labels]
    pairs = first.sum(axis=1) * second.sum(axis=1)
    share: Scores = ((first @ ordered) * second).sum(axis=1) / np.maximum(pairs, 1)
    return share


def resampled(groups: Sequence[str], *, seed: int = 0) -> Scores:
    """Weights of the items: as they are in the first row, groups resampled in the others."""
    names, number = np.unique(np.array(groups), return_inverse=True)
    picks = np.random.default_rng(seed).integers(0, len(names), (RESAMPLES, len(names)))
    counts = np.stack([np.bincount(pick, minlength=len(names)) for pick in picks])
    return np.vstack([np.ones(len(groups)), counts[:, number]]).astype(np.float64)


def scores_of(scorer: SupportScorer, items: Sequence[Item]) -> Scores:
    return np.array(scorer.score([(item.sentence, item.text) for item in items]))


def labels_of(items: Sequence[Item]) -> Labels:
    return np.array([item.supported for item in items], dtype=np.bool_)


def good(rows: Sequence[Row]) -> dict[str, bool]:
    """By system: whether it surely beats both the baseline and chance on both deciding sets."""
    lows = {(row["system"], row["set"], row["metric"]): row["low"] for row in rows}
    systems = dict.fromkeys(s for s, _, metric in lows if metric == f"Δ{METRIC}")
    return {
        system: all(
            lows.get((system, name, f"Δ{METRIC}"), 0.0) > 0
            and lows.get((system, name, METRIC), 0.0) > CHANCE
            for name in DECIDING
        )
        for system in systems
    }


def _row(system: str, name: str, metric: str, values: Scores) -> Row:
    """The first value is the figure, the others its resamples."""
    value = float(values[0])
    low, high = np.quantile(values[1:], [0.025, 0.975]) if len(values) > 1 else (value, value)
    return Row(
        system=system, set=name, metric=metric, value=value, low=float(low), high=float(high)
    )


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", metavar="NAME", default="local", help="asked about few items")
    arguments = parser.parse_args()
    try:
        open_model(arguments.model)
    except ConfigError as error:
        print(f"Without a model. {error}")
        arguments.model = ""
    folder = data_folder(arguments.data)
    read: Callable[[], Iterator[GroundingSet]] = partial(
        read_grounding_sets, folder, limit=60 if arguments.quick else None
    )
    rows = list(measure(read()))
    if arguments.model:
        rows += ask_model(read(), arguments.model, 4 if arguments.quick else MODEL_ITEMS)
    print_table(rows)
    for system, is_good in good(rows).items():
        print(f"{system}: {'good' if is_good else 'not called good'} ({' and '.join(DECIDING)})")
    write_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
