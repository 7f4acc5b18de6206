"""The lexical index scores as BM25 is defined, and as parents and definitions are described.

Exactly so up to 40 terms a text: above, tantivy rounds lengths. The row in which the index keeps
its own state counts as one more text, without terms.
"""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import corpora, queries

from ctxeng.indexing import TantivyIndex
from ctxeng.protocols import Change
from ctxeng.text.terms import identifier, identifiers, terms
from ctxeng.types import Query, Scope

K1, B = 1.2, 0.75
ALL = 1_000


def bm25_by_definition(query, texts):
    """Score of each text that shares a term with the query, by id (Robertson; Lucene's idf)."""
    counts = {key: Counter(terms(text)) for key, text in texts.items()}
    rows = len(texts) + 1
    average = sum(sum(own.values()) for own in counts.values()) / rows
    scores = {}
    for key, own in counts.items():
        length = K1 * (1 - B + B * sum(own.values()) / average)
        score = 0.0
        for term, times in Counter(terms(query)).items():
            frequency = sum(term in other for other in counts.values())
            idf = math.log(1 + (rows - frequency + 0.5) / (frequency + 0.5))
            score += times * idf * own[term] * (K1 + 1) / (own[term] + length)
        if score:
            scores[key] = score
    return scores


def indexed(corpus, *, defines=None, **weights):
    """The index of the documents, and the texts of its chunks and documents by id."""
    index = TantivyIndex(None, **weights)
    chunks = {f"{d}.{c}": text for d, doc in enumerate(corpus) for c, text in enumerate(doc)}
    documents = {str(d): " ".join(doc) for d, doc in enumerate(corpus)}
    scope = Scope().key
    changes = [Change(1, "document", key, scope, key, text) for key, text in documents.items()]
    changes += [
        Change(1, "chunk", key, scope, key.partition(".")[0], text, (defines or {}).get(key, ()))
        for key, text in chunks.items()
    ]
    index.apply(changes, upto=1)
    return index, chunks, documents


def searched(index, query):
    return {match.chunk_id: match for match in index.search(Query(text=query), ALL)}


@settings(max_examples=60)
@given(corpus=corpora, query=queries)
def test_scores_are_bm25(corpus, query):
    index, chunks, _ = indexed(corpus, parent_weight=0, definition_weight=0)
    found = {key: match.score for key, match in searched(index, query).items()}
    assert found == pytest.approx(bm25_by_definition(query, chunks), rel=1e-5)


@settings(max_examples=60)
@given(corpus=corpora, query=queries, weight=st.sampled_from([0.25, 0.75, 2.0]))
def test_a_chunk_gains_its_documents_bm25(corpus, query, weight):
    index, chunks, documents = indexed(corpus, parent_weight=weight, definition_weight=0)
    own = bm25_by_definition(query, chunks)
    parents = bm25_by_definition(query, documents)
    expected = {key: score + weight * parents[key.partition(".")[0]] for key, score in own.items()}
    found = searched(index, query)
    assert {key: m.score for key, m in found.items()} == pytest.approx(expected, rel=1e-5)
    assert {key: m.stages["bm25"] for key, m in found.items()} == pytest.approx(own, rel=1e-5)


names = st.lists(st.sampled_from(["pump", "get_user", "Rotor", "_hidden_", "is"]), max_size=2)


@settings(max_examples=60)
@given(corpus=corpora, data=st.data(), query=queries, weight=st.sampled_from([0.5, 1.5]))
def test_a_chunk_gains_for_every_identifier_that_it_defines(corpus, data, query, weight):
    query += " " + " ".join(data.draw(names))
    defines = {
        f"{d}.{c}": data.draw(names)
        for d, document in enumerate(corpus)
        for c in range(len(document))
    }  # fmt: skip
    index, chunks, _ = indexed(corpus, defines=defines, parent_weight=0, definition_weight=weight)
    own = bm25_by_definition(query, chunks)
    defined = {key: {identifier(name) for name in found} for key, found in defines.items()}
    gains = {}
    for name in identifiers(query):
        having = [key for key, found in defined.items() if name in found]
        idf = math.log(1 + (len(chunks) - len(having) + 0.5) / (len(having) + 0.5))
        for key in having:
            gains[key] = gains.get(key, 0.0) + weight * idf
    expected = {key: own.get(key, 0.0) + gains.get(key, 0.0) for key in {**own, **gains}}
    found = searched(index, query)
    assert {key: m.score for key, m in found.items()} == pytest.approx(expected, rel=1e-5)


def test_the_limit_keeps_the_best_of_the_sum():
    """A chunk with a weak text in a strong document comes in, where it is among the candidates."""
    corpus = [["pump", "pump seal valve rotor pager"], ["pump berlin"], ["pump invoice audit"]]
    index, *_ = indexed(corpus, definition_weight=0)
    everything = sorted(searched(index, "pump").values(), key=lambda m: (-m.score, m.chunk_id))
    for limit in range(1, 5):
        found = index.search(Query(text="pump"), limit)
        assert [m.chunk_id for m in found] == [m.chunk_id for m in everything[:limit]]


def test_idf_is_of_the_chunks():
    index, *_ = indexed([["pump seal", "pump"], ["valve"]])
    assert index.idf("pump") == pytest.approx(math.log(1 + 1.5 / 2.5))
    assert index.idf("absent") == pytest.approx(math.log(1 + 3.5 / 0.5))


def test_long_texts_come_within_four_percent_and_in_order():
    """Above 40 terms tantivy rounds lengths down to one of 256 steps."""
    corpus = [[f"pump {'filler ' * (41 + 13 * n)}"] for n in range(12)]
    index, chunks, _ = indexed(corpus, parent_weight=0, definition_weight=0)
    expected = bm25_by_definition("pump", chunks)
    found = {key: match.score for key, match in searched(index, "pump").items()}
    assert found == pytest.approx(expected, rel=0.04)
