import math

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.compare import NDCG, Recall, bootstrap, compare, query_scores

DOCUMENTS = [f"d{i}" for i in range(12)]
relevances = st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(0, 3), min_size=1)
rankings = st.permutations(DOCUMENTS).flatmap(
    lambda order: st.integers(0, len(order)).map(lambda n: order[:n])
)


@given(
    qrels=st.dictionaries(st.sampled_from(["a", "b", "c"]), relevances, min_size=1),
    run=st.dictionaries(st.sampled_from(["a", "b", "c"]), rankings),
    k=st.integers(1, 15),
)
def test_measures_agree_with_ir_measures(qrels, run, k):
    judged = [
        ir_measures.Qrel(query, document, relevance)
        for query, documents in qrels.items()
        for document, relevance in documents.items()
    ]
    ranked = [
        ir_measures.ScoredDoc(query, document, -float(rank))
        for query, documents in run.items()
        for rank, document in enumerate(documents)
    ]
    for ours, theirs in [(NDCG(k), ir_measures.nDCG @ k), (Recall(k), ir_measures.R @ k)]:
        expected = {
            found.query_id: found.value for found in ir_measures.iter_calc([theirs], judged, ranked)
        }
        got = dict(zip(sorted(qrels), query_scores(run, qrels, ours), strict=True))
        for query, value in got.items():
            oracle = expected.get(query, 0.0)
            assert value == pytest.approx(0.0 if math.isnan(oracle) else oracle)


def test_a_query_that_a_run_forgot_counts_as_zero():
    qrels = {"a": {"d": 1}, "b": {"d": 1}}
    assert query_scores({"a": ["d"]}, qrels, Recall(5)).tolist() == [1.0, 0.0]


def test_a_document_named_twice_is_an_error():
    with pytest.raises(ValueError, match="twice"):
        query_scores({"a": ["d", "d"]}, {"a": {"d": 1}}, Recall(5))


def test_a_constant_difference_has_an_interval_of_no_width():
    low, high = bootstrap(np.full(30, 0.25))
    assert low == high == pytest.approx(0.25)


def test_differences_are_paired():
    qrels = {str(i): {"d": 1} for i in range(50)}
    worse = {str(i): ["x", "d"] if i % 2 else ["d"] for i in range(50)}
    better = {str(i): ["d"] for i in range(50)}
    rows = {
        (row["system"], row["metric"]): row
        for row in compare(
            {"worse": worse, "better": better}, qrels, [Recall(1)], name="s", baseline="worse"
        )
    }
    gain = rows["better", "Δrecall@1"]
    assert gain["value"] == pytest.approx(0.5)
    assert 0.3 < gain["low"] < 0.5 < gain["high"] < 0.7
    assert ("worse", "Δrecall@1") not in rows
