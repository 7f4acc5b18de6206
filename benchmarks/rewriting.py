"""Is what is searched for in the place of a follow-up question what people would have asked?

    python -m benchmarks.rewriting [--data DIR] [--json FILE] [--quick] [--model NAME]

Each turn of a conversation (``turns`` {id, history, question, rewrite, and perhaps answer}) has the
question as it was asked and as people wrote it so that it stands alone. Compared are the question
as it is, behind all that was said before, read with the question before it by our rules, and
rewritten by a model (``--model``, by default the packaged one, for the first turns of some
conversations); people's own words are the most that can be had. Turns without history, which are
nobody's follow-up, are left out.

- terms held: share of the terms of people's words that are searched for;
- terms right: share of what is searched for that stands in people's words;
- answer found: nDCG@10 of the passage that was given as the answer, among those of the whole set;
- left alone: of the questions that people left as they are, the share that is not touched;
- would be used: share of people's words that would pass the check of what a model says;
- in its words: of the questions, those that the model's words take the place of; what does not
  pass the check is left to the rules.

Questions of other sets, which nothing stood before, are put behind a question of another: the rules
should leave them alone, in whatever language.

``Δ`` is the difference from the question as it is, paired.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import numpy as np

from benchmarks.compare import NDCG, compare, mean_row
from benchmarks.data import Row, argument_parser, data_folder, print_table, read_jsonl, write_rows
from ctxeng import Document, Engine, Message, Query, Settings, open_model
from ctxeng.embedding import StaticEmbedder
from ctxeng.errors import ConfigError
from ctxeng.protocols import Rewriter
from ctxeng.rewriting import FollowUpRewriter, ModelRewriter
from ctxeng.rewriting.asked import told, unusable
from ctxeng.text.terms import terms

SETS = ("canard", "cast", "ikat")
ALONE = ("xquad_en", "xquad_es", "xquad_hi", "xquad_th", "cmrc_zh")
QUICK = 30
MODEL_TURNS, QUICK_MODEL_TURNS = 60, 2
LEAST_TERMS = 4
"""Of an answer that can be looked for: ``I don't know.`` cannot."""
AS_IS, WHOLE, RULES, GOLD = "the question", "all that was said", "our rules", "people's words"


@dataclass(frozen=True)
class Turn:
    id: str
    history: Sequence[Message]
    question: str
    gold: str
    answer: str
    """What was answered; empty where that is not told."""

    @property
    def stands_alone(self) -> bool:
        """People left it as it is, but for case and punctuation."""
        return _letters(self.question) == _letters(self.gold)


Searched = Mapping[str, str]
"""By a turn's id, what is searched for."""


def read_turns(folder: Path) -> list[Turn]:
    """The turns of one set that follow others.

    Raises:
        SystemExit: the folder has none.
    """
    rows = list(read_jsonl(folder, "turns"))
    later = {
        (tuple(row["history"][:-2]), row["history"][-2]): row["history"][-1]
        for row in rows
        if len(row["history"]) > 1
    }
    turns = []
    for row in rows:
        said = row["history"]
        asked_only = folder.name == "cast" and not row["id"].startswith("2021")
        roles = ["user"] * len(said) if asked_only else ["user", "assistant"] * (len(said) // 2)
        given = row.get("answer") or later.get((tuple(said), row["question"]), "")
        turns.append(
            Turn(
                id=row["id"],
                history=[Message(role=r, content=t) for r, t in zip(roles, said, strict=True)],  # type: ignore[arg-type]
                question=row["question"],
                gold=row["rewrite"],
                answer="" if asked_only or len(set(terms(given))) < LEAST_TERMS else given,
            )
        )
    return [turn for turn in turns if turn.history and terms(turn.gold)]


def rewritten(rewriter: Rewriter, turns: Sequence[Turn]) -> tuple[Searched, list[bool]]:
    """What is searched for, and whether it is in the rewriter's own words."""

    async def run() -> list[Query]:
        return [(await rewriter.rewrite(Query(text=t.question), t.history))[0] for t in turns]

    made = anyio.run(run)
    searched = {turn.id: query.text for turn, query in zip(turns, made, strict=True)}
    return searched, [query.made_by == rewriter.name for query in made]


def measure(task: str, turns: Sequence[Turn], systems: Mapping[str, Searched]) -> Iterator[Row]:
    for metric, score in (("terms held", _held), ("terms right", _right)):
        values = {
            system: np.array([score(searched[turn.id], turn.gold) for turn in turns])
            for system, searched in systems.items()
        }
        for system, scores in values.items():
            yield mean_row(system, task, metric, scores)
            if system != AS_IS:
                yield mean_row(system, task, f"Δ{metric}", scores - values[AS_IS])
    alone = [turn for turn in turns if turn.stands_alone]
    for system, searched in systems.items():
        if alone and system != GOLD:
            same = [_letters(searched[turn.id]) == _letters(turn.question) for turn in alone]
            yield mean_row(system, task, "left alone", np.array(same, float))


def found(
    task: str, turns: Sequence[Turn], passages: Sequence[str], systems: Mapping[str, Searched]
) -> Iterator[Row]:
    """Whether the answer is found, by our search with static vectors."""
    answered = [turn for turn in turns if turn.answer]
    if not answered:
        return
    numbers = {text: str(number) for number, text in enumerate(passages)}
    with Engine.open(":memory:", settings=Settings(), embedders=[StaticEmbedder()]) as engine:
        engine.index([Document(id=key, text=text) for text, key in numbers.items()], wait=True)
        runs = {
            system: {turn.id: _ranking(engine, searched[turn.id]) for turn in answered}
            for system, searched in systems.items()
        }
    qrels = {turn.id: {numbers[turn.answer]: 1} for turn in answered}
    for row in compare(runs, qrels, [NDCG(10)], name=task, baseline=AS_IS):
        yield {**row, "metric": row["metric"].replace("nDCG@10", "answer found")}


def _ranking(engine: Engine, text: str) -> list[str]:
    return list(dict.fromkeys(hit.document_id for hit in engine.search(text, limit=20)))[:10]


def _held(searched: str, gold: str) -> float:
    wanted = set(terms(gold))
    return len(wanted & set(terms(searched))) / len(wanted)


def _right(searched: str, gold: str) -> float:
    made = set(terms(searched))
    return len(made & set(terms(gold))) / len(made) if made else 0.0


def _letters(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text.casefold()).split()


def plain_systems(turns: Sequence[Turn]) -> dict[str, Searched]:
    return {
        AS_IS: {turn.id: turn.question for turn in turns},
        WHOLE: {t.id: " ".join([*(m.text for m in t.history), t.question]) for t in turns},
        RULES: rewritten(FollowUpRewriter(), turns)[0],
        GOLD: {turn.id: turn.gold for turn in turns},
    }


def rows_of(folder: Path, model: str, *, limit: int | None, model_turns: int) -> Iterator[Row]:
    everything = read_turns(folder)
    turns = everything[:limit]
    passages = list(dict.fromkeys(turn.answer for turn in everything if turn.answer))
    systems = plain_systems(turns)
    task = f"{folder.name}, {len(turns)} questions"
    yield from measure(task, turns, systems)
    yield from found(task, turns, passages, systems)
    passed = [not unusable(t.gold.strip(), t.question, told(t.history)) for t in turns]
    yield mean_row(GOLD, task, "would be used", np.array(passed, float))
    if not model:
        return
    few = random.Random(5).sample(turns, min(model_turns, len(turns)))
    task = f"{folder.name}, {len(few)} questions"
    generator = open_model(model).generator
    said, used = rewritten(ModelRewriter(generator), few)
    systems = {**plain_systems(few), generator.name.partition("@")[0]: said}
    yield from measure(task, few, systems)
    yield from found(task, few, passages, systems)
    yield mean_row(generator.name.partition("@")[0], task, "in its words", np.array(used, float))


def left_alone(folder: Path, *, limit: int | None) -> Row:
    """Of questions that stand alone, how many the rules leave as they are."""
    texts = [row["text"] for row in read_jsonl(folder, "queries")][:limit]
    before = [Message(role="user", content="How long is parental leave at Example Ltd?")]
    turns = [Turn(str(n), before, text, text, "") for n, text in enumerate(texts)]
    searched, _ = rewritten(FollowUpRewriter(), turns)
    same = [searched[turn.id] == turn.question for turn in turns]
    return mean_row(folder.name, "questions on their own", "left alone", np.array(same, float))


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", metavar="NAME", default="local", help="asked few questions")
    arguments = parser.parse_args()
    model = arguments.model
    try:
        open_model(model)
    except ConfigError as error:
        print(f"Without a model. {error}")
        model = ""
    data = data_folder(arguments.data)
    folders = [data / name for name in SETS if (data / name).is_dir()] or sorted(
        path.parent for path in data.glob("*/turns.jsonl*")
    )
    rows: list[Row] = []
    for folder in folders:
        limit, few = (QUICK, QUICK_MODEL_TURNS) if arguments.quick else (None, MODEL_TURNS)
        rows += rows_of(folder, model, limit=limit, model_turns=few)
    rows += [
        left_alone(data / name, limit=QUICK if arguments.quick else None)
        for name in ALONE
        if (data / name).is_dir()
    ]
    print_table(rows)
    write_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
