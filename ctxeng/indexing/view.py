"""One commit of a table as searches see it: it stays as it is while a writer goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

from ctxeng.errors import WorkspaceError
from ctxeng.text.terms import ANALYZER

if TYPE_CHECKING:
    import tantivy

SENTINEL = "\0state"
"""Key of the row in which a table keeps its own state."""

Places = Sequence["tantivy.DocAddress"]
"""Where rows are. They mean nothing in another view."""


@dataclass(frozen=True, slots=True)
class State:
    applied: int = 0
    rows: int = 0
    checksum: int = 0

    def as_json(self) -> str:
        return json.dumps({**asdict(self), "analyzer": ANALYZER})

    @classmethod
    def of_json(cls, text: str) -> State:
        """Raises:
        ValueError, TypeError, KeyError: it is none, or another analyzer's.
        """
        values = json.loads(text)
        if values.pop("analyzer") != ANALYZER:
            raise ValueError("was made by another analyzer")
        return cls(**values)


class View:
    """Reads one commit; safe to use from many threads."""

    def __init__(self, index: tantivy.Index, name: str) -> None:
        """Raises:
        KeyError, TypeError, WorkspaceError: it is damaged, or was made by another analyzer.
        """
        self._name = name
        self.schema = index.schema
        with translated(name):
            self._searcher = index.searcher()
            scopes = self._searcher.terms_with_prefix("scope", "", limit=2)
            self.only_scope = scopes[0][0] if len(scopes) == 1 else None
            """The scope of all rows; None where there are several."""
            self.defines = bool(self._searcher.terms_with_prefix("defines", "", limit=1))
            """Whether some row defines something."""
            kept = self.find(SENTINEL)
            self.state = State.of_json(str(kept["state"][0])) if kept else State()

    @property
    def num_docs(self) -> int:
        return self._searcher.num_docs

    def search(self, query: tantivy.Query, limit: int) -> tuple[list[float], list[int], Places]:
        """Scores of the best rows, best first, numbers of their documents, and where the rows are.

        Raises:
            WorkspaceError: the files are damaged.
        """
        with translated(self._name):
            hits = self._searcher.search(query, max(1, limit), count=False).hits
            places = [place for _, place in hits]
            documents = self._searcher.fast_field_values("document", places)
        return [score for score, _ in hits], cast("list[int]", documents), places

    def ids(self, places: Iterable[tantivy.DocAddress]) -> list[str]:
        """Ids of rows. Raises as ``search``."""
        row = self._searcher.doc
        with translated(self._name):
            return [cast("bytes", row(place).get_first("id")).decode() for place in places]

    def find(self, key: str) -> Mapping[str, list[object]] | None:
        """What is stored of the row that a key names."""
        import tantivy

        wanted = tantivy.Query.term_query(self.schema, "key", key)
        with translated(self._name):
            hits = self._searcher.search(wanted, 1, count=False).hits
            return self._searcher.doc(hits[0][1]).to_dict() if hits else None

    def frequency(self, field: str, term: str) -> int:
        """How many rows have the term."""
        return self._searcher.doc_freq(field, term)

    def average_length(self) -> float:
        """Terms of a row. Tantivy tells it only where it explains a score: it is the last term of
        the last factor. 1 where no row has a term.
        """
        import tantivy

        with translated(self._name):
            some = self._searcher.terms_with_prefix("body", "", limit=1)
            if not some:
                return 1.0
            wanted = tantivy.Query.term_query(self.schema, "body", some[0][0], index_option="freq")
            hits = self._searcher.search(wanted, 1, count=False).hits
            if not hits:  # all that had it are deleted
                return 1.0
            explained = json.loads(wanted.explain(self._searcher, hits[0][1]).to_json())
        return float(explained["details"][-1]["details"][-1]["value"])

    def idf(self, field: str, term: str) -> float:
        """Rarity of a term among the rows: ln(1 + (N - n + .5) / (n + .5))."""
        count = self.frequency(field, term)
        rows = max(self.state.rows, count)
        return math.log(1 + (rows - count + 0.5) / (count + 0.5))


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Tantivy's errors as ours; its panics are no ``Exception`` and would end event loops."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException" and not isinstance(error, ValueError | OSError):
            raise
        raise WorkspaceError(
            f"{name}: the lexical index failed: {error}. Nothing is lost: free space "
            "or check the disk, then run `ctxeng index` or `ctxeng reindex`."
        ) from error
