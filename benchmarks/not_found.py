"""Does an answer abstain when the document that answers is gone, and only then?

    python -m benchmarks.not_found [--data DIR] [--json FILE] [--quick]

For each set, the gold documents of half of the questions are left out of the corpus. Those
questions should be answered with "not found"; the other half should not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.compare import bootstrap
from benchmarks.data import (
    RetrievalSet,
    Row,
    argument_parser,
    data_folder,
    print_table,
    read_retrieval_sets,
    write_rows,
)
from ctxeng import Document, Engine

SETS = ("xquad_en", "xquad_es", "multihop_dev", "scifact", "cmrc_zh")
QUESTIONS = 200


def measure(sets: Iterator[RetrievalSet], questions: int) -> Iterator[Row]:
    for task in sets:
        gone, there = halves(task, questions)
        removed = {document for query in gone for document in task.qrels[query]}
        there = [query for query in there if not removed & task.qrels[query].keys()]
        with Engine.open(":memory:") as engine:
            engine.index(
                [
                    Document(id=p.id, text=p.text, title=p.title)
                    for p in task.corpus
                    if p.id not in removed and p.text.strip()
                ],
                wait=True,
            )
            abstained = {
                name: [not engine.ask(task.queries[query]).found for query in queries]
                for name, queries in (("document gone", gone), ("document there", there))
            }
        yield _row(task.name, "abstains, document gone", abstained["document gone"])
        yield _row(task.name, "abstains wrongly, document there", abstained["document there"])


def halves(task: RetrievalSet, questions: int) -> tuple[list[str], list[str]]:
    """Two random, disjoint lists of question ids."""
    order = sorted(task.queries)
    random.Random(7).shuffle(order)
    order = order[: 2 * questions]
    return order[::2], order[1::2]


def _row(name: str, metric: str, outcomes: Sequence[bool]) -> Row:
    shares = np.array(outcomes, dtype=np.float64)
    low, high = bootstrap(shares)
    return Row(
        system="ctxeng", set=name, metric=metric, value=float(shares.mean()), low=low, high=high
    )


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    folder = data_folder(arguments.data)
    rows = list(
        measure(read_retrieval_sets(folder, names=SETS), 25 if arguments.quick else QUESTIONS)
    )
    print_table(rows)
    write_rows(rows, arguments.json)


if __name__ == "__main__":
    main()
