"""BM25 over chunks, with what their documents and their definitions add (tantivy)."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tantivy import Occur
from tantivy import Query as Clause

from ctxeng.indexing.table import Table, attribute_term, row_key
from ctxeng.protocols import Change, Match
from ctxeng.text.terms import identifiers, terms
from ctxeng.types import Query

MAX_TERMS = 256
"""Of a query; a longer one is asked by its rarest terms."""


class _Found(NamedTuple):
    """A row of an answer."""

    score: float
    document: int
    """Number of the document that it belongs to."""


class TantivyIndex:
    """Finds chunks by BM25 (k1 1.2, b 0.75) of their text and prefix.

    Two things are added to a chunk's own score: ``parent_weight`` times its document's BM25 score
    among documents, and for each identifier of the query that the chunk defines
    ``definition_weight`` times that identifier's idf.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        parent_weight: float = 0.75,
        definition_weight: float = 0.5,
        read_only: bool = False,
    ) -> None:
        self._chunks, self._documents = (
            Table(None if folder is None else folder / name, read_only=read_only)
            for name in ("chunks", "documents")
        )
        self._parent_weight = parent_weight
        self._definition_weight = definition_weight
        self._lock = threading.Lock()

    # -- following the store

    @property
    def applied(self) -> int:
        return min(self._chunks.state.applied, self._documents.state.applied)

    @property
    def damage(self) -> str:
        """Why it must be rebuilt; empty while it is whole."""
        return self._chunks.damage or self._documents.damage

    @property
    def rows(self) -> int:
        """Chunks that it holds."""
        return self._chunks.state.rows

    @property
    def checksum(self) -> int:
        return self._chunks.state.checksum

    def damaged_file(self) -> str:
        """Name of a file whose bytes are not those that were written; reads them all."""
        tables = (self._chunks, self._documents)
        return next(filter(None, (table.damaged_file(read_all=True) for table in tables)), "")

    def apply(self, changes: Sequence[Change], *, upto: int) -> None:
        with self._lock:
            # Documents first: a kill in between leaves `applied` behind, and both are done again.
            self._documents.apply([c for c in changes if c.kind == "document"], upto)
            self._chunks.apply([c for c in changes if c.kind == "chunk"], upto)

    def refresh(self) -> None:
        """See what others have committed; cheap where nobody has."""
        with self._lock:
            self._chunks.refresh_if_changed()
            self._documents.refresh_if_changed()

    def reset(self) -> None:
        """Throw everything away, to be filled again from the store."""
        with self._lock:
            self._documents.reset()
            self._chunks.reset()

    def close(self) -> None:
        self._chunks.close()
        self._documents.close()

    # -- answering

    def idf(self, term: str) -> float:
        """Rarity of a term among the chunks: ln(1 + (N - n + .5) / (n + .5))."""
        return _idf(self._chunks, "body", term)

    def search(self, query: Query, limit: int) -> list[Match]:
        self.refresh()
        asked = _asked(self._chunks, query.text)
        named = self._defined(query.text)
        if limit <= 0 or not (asked or named):
            return []
        own = self._own_scores(query, asked, limit)
        defined = self._definition_scores(query, named, limit)
        missing = [chunk for chunk in defined if chunk not in own]
        if missing and asked:
            keys = [row_key(query.scope.key, chunk) for chunk in missing]
            own |= _scores(self._chunks, asked, len(keys), [_any(self._chunks, "key", keys)])
        found = {**defined, **own}
        parents = self._parent_scores(query, {row.document for row in found.values()})
        totals = [
            (
                (own[chunk].score if chunk in own else 0.0)
                + self._parent_weight * parents.get(row.document, 0.0)
                + (defined[chunk].score if chunk in defined else 0.0),
                chunk,
            )
            for chunk, row in found.items()
        ]
        totals.sort(key=lambda total: (-total[0], total[1]))
        return [
            Match(chunk, total, self._stages(chunk, own, defined, parents))
            for total, chunk in totals[:limit]
        ]

    def _own_scores(self, query: Query, asked: Counter[str], limit: int) -> dict[str, _Found]:
        return _scores(self._chunks, asked, limit, _filters(self._chunks, query)) if asked else {}

    def _defined(self, text: str) -> dict[str, float]:
        """Identifiers of the query that some chunk defines, and what each is worth."""
        if not self._definition_weight:
            return {}
        table = self._chunks
        known = [n for n in identifiers(text) if table.searcher.doc_freq("defines", n)]
        return {name: self._definition_weight * _idf(table, "defines", name) for name in known}

    def _definition_scores(
        self, query: Query, named: Mapping[str, float], limit: int
    ) -> dict[str, _Found]:
        if not named:
            return {}
        table = self._chunks
        clauses = [
            (Occur.Should, Clause.const_score_query(_term(table, "defines", name), worth))
            for name, worth in named.items()
        ]
        wanted = [_required(Clause.boolean_query(clauses)), *_filters(table, query)]
        return _search(table, Clause.boolean_query(wanted), limit)

    def _parent_scores(self, query: Query, documents: Collection[int]) -> dict[int, float]:
        """By number, for exactly these: the document's BM25 score among documents."""
        table = self._documents
        asked = _asked(table, query.text) if self._parent_weight else None
        if not asked or not documents:
            return {}
        # A clause each costs less than a set of terms.
        numbers = [(Occur.Should, _term(table, "number", number)) for number in documents]
        only = _filter(Clause.boolean_query(numbers))
        scores, found, _ = table.search(_wanted(table, asked, [only]), len(documents))
        return dict(zip(found, scores, strict=True))

    def _stages(
        self,
        chunk: str,
        own: Mapping[str, _Found],
        defined: Mapping[str, _Found],
        parents: Mapping[int, float],
    ) -> dict[str, float]:
        """The parts of a chunk's score."""
        row = own.get(chunk) or defined[chunk]
        stages = {"bm25": own[chunk].score if chunk in own else 0.0}
        if parents:
            stages["parent"] = self._parent_weight * parents.get(row.document, 0.0)
        if chunk in defined:
            stages["definition"] = defined[chunk].score
        return stages


def _idf(table: Table, field: str, term: str) -> float:
    count = table.searcher.doc_freq(field, term)
    rows = max(table.state.rows, count)
    return math.log(1 + (rows - count + 0.5) / (count + 0.5))


def _asked(table: Table, text: str) -> Counter[str]:
    """The query's terms that some row has, with their counts; the rarest where there are many."""
    counts = Counter(terms(text))
    frequency = {term: table.searcher.doc_freq("body", term) for term in counts}
    known = [term for term in counts if frequency[term]]
    if len(known) > MAX_TERMS:
        known = sorted(known, key=lambda term: (frequency[term], term))[:MAX_TERMS]
    return Counter({term: counts[term] for term in known})


def _scores(
    table: Table, asked: Counter[str], limit: int, filters: Sequence[tuple[Occur, Clause]]
) -> dict[str, _Found]:
    """BM25 of the best rows by id."""
    return _search(table, _wanted(table, asked, filters), limit)


def _wanted(table: Table, asked: Counter[str], filters: Sequence[tuple[Occur, Clause]]) -> Clause:
    clauses = [
        (
            Occur.Should,
            _term(table, "body", term)
            if count == 1
            else Clause.boost_query(_term(table, "body", term), float(count)),
        )
        for term, count in asked.items()
    ]
    wanted = Clause.boolean_query(clauses)
    if filters:  # without one, tantivy can skip what cannot reach the best (block-max WAND)
        wanted = Clause.boolean_query([_required(wanted), *filters])
    return wanted


def _search(table: Table, wanted: Clause, limit: int) -> dict[str, _Found]:
    scores, documents, places = table.search(wanted, limit)
    found = map(_Found, scores, documents)
    return dict(zip(table.ids(places), found, strict=True))


def _filters(table: Table, query: Query) -> list[tuple[Occur, Clause]]:
    """Scope and attributes, as clauses without a score."""
    clauses = []
    scopes = table.searcher.terms_with_prefix("scope", "", limit=2)
    if [scope for scope, _ in scopes] != [query.scope.key]:
        clauses.append(_filter(_term(table, "scope", query.scope.key)))
    for key, values in query.filter.items():
        wanted = [attribute_term(key, value) for value in values]
        clauses.append(_any(table, "attribute", wanted))
    return clauses


def _any(table: Table, field: str, values: Sequence[str]) -> tuple[Occur, Clause]:
    return _filter(Clause.term_set_query(table.schema, field, list(values)))


def _filter(clause: Clause) -> tuple[Occur, Clause]:
    return Occur.Must, Clause.const_score_query(clause, 0.0)


def _required(clause: Clause) -> tuple[Occur, Clause]:
    return Occur.Must, clause


def _term(table: Table, field: str, value: str | int) -> Clause:
    return Clause.term_query(table.schema, field, value, index_option="freq")
