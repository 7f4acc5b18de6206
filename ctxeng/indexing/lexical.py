"""BM25 over chunks, with what their documents and their definitions add (tantivy)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tantivy import DocAddress, Occur
from tantivy import Query as Clause

from ctxeng.indexing.table import Table, attribute_term, row_key, row_number
from ctxeng.indexing.view import Places, View
from ctxeng.protocols import Change, Match
from ctxeng.text.terms import identifier, identifiers, terms
from ctxeng.types import Query

MAX_TERMS = 256
"""Of a query; a longer one is asked by its rarest terms."""
K1, B = 1.2, 0.75
"""Tantivy's."""


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
        candidates: int = 100,
        read_only: bool = False,
    ) -> None:
        """``candidates``: how many of the chunks with the best own scores are looked at, however
        few are asked for.
        """
        self._chunks, self._documents = (
            Table(None if folder is None else folder / name, read_only=read_only)
            for name in ("chunks", "documents")
        )
        self._parent_weight = parent_weight
        self._definition_weight = definition_weight
        self._candidates = candidates
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
        return self._chunks.view.idf("body", term)

    def search(self, query: Query, limit: int) -> list[Match]:
        self.refresh()
        chunks, documents = self._chunks.view, self._documents.view
        asked = Counter(terms(query.text))
        named = self._defined(chunks, query.text)
        if limit <= 0 or not (asked or named):
            return []
        depth = max(limit, self._candidates)
        found = _Candidates(chunks)
        if asked:
            found.put(*chunks.search(_wanted(chunks, asked, _filters(chunks, query)), depth))
        if named:
            self._put_definitions(found, query, asked, named, depth)
        parents = self._parent_scores(documents, query, asked, found.documents)
        found.parents = [self._parent_weight * parents.get(n, 0.0) for n in found.documents]
        return found.best(limit, with_parents=bool(parents))

    def score(self, query: Query, changes: Sequence[Change]) -> list[Match]:
        """With the statistics of what it has taken in, and their documents' scores as they were."""
        chunks, documents = self._chunks.view, self._documents.view
        asked, named = Counter(terms(query.text)), self._defined(chunks, query.text)
        idf = {term: chunks.idf("body", term) for term in asked}
        average = chunks.average_length()
        numbers = [row_number(change.scope, change.document_id) for change in changes]
        parents = self._parent_scores(documents, query, asked, numbers)
        found = []
        for change, number in zip(changes, numbers, strict=True):
            counts = Counter(terms(change.text or ""))
            length = K1 * (1 - B + B * counts.total() / average)
            own = sum(
                times * idf[term] * counts[term] * (K1 + 1) / (counts[term] + length)
                for term, times in asked.items()
            )
            gain = sum(named.get(name, 0.0) for name in {identifier(n) for n in change.defines})
            if (own or gain) and _allows(query, change):
                stages = {"bm25": own, "parent": self._parent_weight * parents.get(number, 0.0)}
                stages |= {"definition": gain} if gain else {}
                found.append(Match(change.id, sum(stages.values()), stages))
        return found

    def _defined(self, chunks: View, text: str) -> dict[str, float]:
        """Identifiers of the query that some chunk defines, and what each is worth."""
        if not self._definition_weight or not chunks.defines:
            return {}
        known = [name for name in identifiers(text) if chunks.frequency("defines", name)]
        return {name: self._definition_weight * chunks.idf("defines", name) for name in known}

    def _put_definitions(
        self,
        found: _Candidates,
        query: Query,
        asked: Counter[str],
        named: Mapping[str, float],
        depth: int,
    ) -> None:
        chunks = found.view
        clauses = [
            (Occur.Should, Clause.const_score_query(_term(chunks, "defines", name), worth))
            for name, worth in named.items()
        ]
        wanted = [_required(Clause.boolean_query(clauses)), *_filters(chunks, query)]
        missing = found.gain(*chunks.search(Clause.boolean_query(wanted), depth))
        if missing and asked:
            keys = [row_key(query.scope.key, chunk) for chunk in chunks.ids(missing)]
            only = [_any(chunks, "key", keys)]
            scores, _, places = chunks.search(_wanted(chunks, asked, only), len(keys))
            found.score(scores, places)

    def _parent_scores(
        self, documents: View, query: Query, asked: Counter[str], wanted: Sequence[int]
    ) -> dict[int, float]:
        """By number, for all of these: the document's BM25 score among documents."""
        if not self._parent_weight or not asked or not wanted:
            return {}
        # Nearly all of them are among the best documents, and these cost less than a filter.
        best = _wanted(documents, asked, _filters(documents, query))
        found = _by_document(documents, best, len(wanted) * 3 // 2)
        if rest := set(wanted) - found.keys():
            # A clause each costs less than a set of terms.
            numbers = [(Occur.Should, _term(documents, "number", number)) for number in rest]
            only = _filter(Clause.boolean_query(numbers))
            found |= _by_document(documents, _wanted(documents, asked, [only]), len(rest))
        return found


class _Candidates:
    """Chunks and the parts of their scores, in lists side by side. Their ids are read last, of
    those that are returned only.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self.own: list[float] = []
        self.documents: list[int] = []
        """Number of the document that each belongs to."""
        self.places: list[DocAddress] = []
        self.gains: list[float] = []
        """For what they define."""
        self.parents: list[float] = []

    def put(self, scores: list[float], documents: list[int], places: Places) -> None:
        self.own += scores
        self.documents += documents
        self.places += places
        self.gains += [0.0] * len(places)

    def gain(self, gains: list[float], documents: list[int], places: Places) -> Places:
        """Add what definitions are worth; returns the places of chunks that were not there yet."""
        known = self._by_place()
        missing = []
        for gain, document, place in zip(gains, documents, places, strict=True):
            at = known.get((place.segment_ord, place.doc))
            if at is None:
                at = len(self.places)
                self.put([0.0], [document], [place])
                missing.append(place)
            self.gains[at] = gain
        return missing

    def score(self, scores: list[float], places: Places) -> None:
        """Set the own scores of chunks that are there."""
        known = self._by_place()
        for score, place in zip(scores, places, strict=True):
            self.own[known[place.segment_ord, place.doc]] = score

    def _by_place(self) -> dict[tuple[int, int], int]:
        return {(place.segment_ord, place.doc): at for at, place in enumerate(self.places)}

    def best(self, limit: int, *, with_parents: bool) -> list[Match]:
        """The highest sums first; ties by id."""
        parts = zip(self.own, self.parents, self.gains, strict=True)
        totals = [own + parent + gain for own, parent, gain in parts]
        order = sorted(range(len(totals)), key=totals.__getitem__, reverse=True)
        if limit < len(order):
            last = totals[order[limit - 1]]
            order = [at for at in order if totals[at] >= last]
        ids = dict(zip(order, self.view.ids([self.places[at] for at in order]), strict=True))
        if len({totals[at] for at in order}) < len(order):
            order.sort(key=lambda at: (-totals[at], ids[at]))
        found = []
        for at in order[:limit]:
            stages = {"bm25": self.own[at]}
            if with_parents:
                stages["parent"] = self.parents[at]
            if self.gains[at]:
                stages["definition"] = self.gains[at]
            found.append(Match(ids[at], totals[at], stages))
        return found


def _allows(query: Query, change: Change) -> bool:
    held = change.attributes
    return change.scope == query.scope.key and all(
        set(values) & set(held.get(key, ())) for key, values in query.filter.items()
    )


def _by_document(documents: View, wanted: Clause, limit: int) -> dict[int, float]:
    scores, numbers, _ = documents.search(wanted, limit)
    return dict(zip(numbers, scores, strict=True))


def _wanted(view: View, asked: Counter[str], filters: Sequence[tuple[Occur, Clause]]) -> Clause:
    if len(asked) > MAX_TERMS:
        asked = _rarest(view, asked)
    clauses = []
    for term, count in asked.items():
        clause = _term(view, "body", term)
        if count > 1:
            clause = Clause.boost_query(clause, float(count))
        clauses.append((Occur.Should, clause))
    wanted = Clause.boolean_query(clauses)
    if filters:  # without one, tantivy can skip what cannot reach the best (block-max WAND)
        wanted = Clause.boolean_query([_required(wanted), *filters])
    return wanted


def _rarest(view: View, asked: Counter[str]) -> Counter[str]:
    """The rarest terms that some row has."""
    frequency = {term: view.frequency("body", term) for term in asked}
    known = sorted(filter(frequency.get, asked), key=lambda term: (frequency[term], term))
    return Counter({term: asked[term] for term in known[:MAX_TERMS]})


def _filters(view: View, query: Query) -> list[tuple[Occur, Clause]]:
    """Scope and attributes, as clauses without a score."""
    clauses = []
    if view.only_scope != query.scope.key:
        clauses.append(_filter(_term(view, "scope", query.scope.key)))
    for key, values in query.filter.items():
        wanted = [attribute_term(key, value) for value in values]
        clauses.append(_any(view, "attribute", wanted))
    return clauses


def _any(view: View, field: str, values: Sequence[str]) -> tuple[Occur, Clause]:
    return _filter(Clause.term_set_query(view.schema, field, list(values)))


def _filter(clause: Clause) -> tuple[Occur, Clause]:
    return Occur.Must, Clause.const_score_query(clause, 0.0)


def _required(clause: Clause) -> tuple[Occur, Clause]:
    return Occur.Must, clause


def _term(view: View, field: str, value: str | int) -> Clause:
    return Clause.term_query(view.schema, field, value, index_option="freq")
