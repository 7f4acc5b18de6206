"""Reads sets that say whether a text supports a sentence, each in the form of its origin:

- wice: ``claims`` {id, claim, evidence (sentences), label};
- summedits: ``claims`` {document, claim, supported}, ``documents`` {id, text};
- begin: ``responses`` {document, response, label};
- halueval_qa: ``pairs`` {id, knowledge, question, right_answer, hallucinated_answer};
- qags: ``summaries`` {id, document, sentences {text, votes}};
- any other set: ``pairs`` {id, sentence, text, supported}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import read_jsonl

GROUNDING_SETS = ("wice", "summedits", "begin", "halueval_qa", "qags")


@dataclass(frozen=True)
class Item:
    """One sentence, the text that may support it, and whether people say that it does."""

    group: str
    """Items on the same text are in one group; groups are resampled and split, never items."""
    sentence: str
    text: str
    supported: bool


@dataclass(frozen=True)
class GroundingSet:
    name: str
    items: list[Item]


def read_grounding_sets(
    folder: Path, *, names: Sequence[str] = GROUNDING_SETS, limit: int | None = None
) -> Iterator[GroundingSet]:
    """The named sets that are there, else all with ``pairs`` {id, sentence, text, supported};
    ``limit`` keeps the first so many items.

    Raises:
        SystemExit: there is none.
    """
    present = [folder / name for name in names if (folder / name).is_dir()]
    if not present:
        present = sorted(path.parent for path in folder.glob("*/pairs.jsonl*"))
    if not present:
        raise SystemExit(f"{folder}: no set of sentences and texts; benchmarks/data_grounding.py.")
    for path in present:
        yield GroundingSet(path.name, list(READERS.get(path.name, _plain)(path))[:limit])


def _wice(folder: Path) -> Iterator[Item]:
    """Partly supported is not supported, as in its paper (Kamoi et al. 2023)."""
    for row in read_jsonl(folder, "claims"):
        text = "\n\n".join(row["evidence"])
        yield Item(row["id"], row["claim"], text, row["label"] == "supported")


def _summedits(folder: Path) -> Iterator[Item]:
    texts = {row["id"]: row["text"] for row in read_jsonl(folder, "documents")}
    for row in read_jsonl(folder, "claims"):
        document = row["document"]
        yield Item(document, row["claim"], texts[document], bool(row["supported"]))


def _begin(folder: Path) -> Iterator[Item]:
    """What is generic is not attributed to the text."""
    for row in read_jsonl(folder, "responses"):
        supported = row["label"] == "Fully attributable"
        yield Item(row["document"], row["response"], row["document"], supported)


def _halueval_qa(folder: Path) -> Iterator[Item]:
    """Two items a row: the question with each answer."""
    for row in read_jsonl(folder, "pairs"):
        for answer in ("right_answer", "hallucinated_answer"):
            sentence = f"{row['question'].strip()} {row[answer]}"
            yield Item(row["id"], sentence, row["knowledge"], answer == "right_answer")


def _qags(folder: Path) -> Iterator[Item]:
    """What most of the three workers say."""
    for row in read_jsonl(folder, "summaries"):
        for sentence in row["sentences"]:
            votes = [vote == "yes" for vote in sentence["votes"]]
            yield Item(row["id"], sentence["text"], row["document"], 2 * sum(votes) > len(votes))


def _plain(folder: Path) -> Iterator[Item]:
    for row in read_jsonl(folder, "pairs"):
        yield Item(str(row["id"]), row["sentence"], row["text"], bool(row["supported"]))


READERS: dict[str, Callable[[Path], Iterator[Item]]] = {
    "wice": _wice,
    "summedits": _summedits,
    "begin": _begin,
    "halueval_qa": _halueval_qa,
    "qags": _qags,
}
