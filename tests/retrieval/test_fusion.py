import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.retrieval import convex_fusion, reciprocal_rank_fusion

scores = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=2), st.floats(-100, 100, allow_nan=False), max_size=8
)


@given(lexical=scores, dense=scores, weight=st.floats(0, 1))
def test_every_id_of_either_list_gets_a_score_in_the_unit_interval(lexical, dense, weight):
    fused = convex_fusion(lexical, dense, dense_weight=weight)
    assert fused.keys() == lexical.keys() | dense.keys()
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in fused.values())


@given(lexical=scores, dense=scores)
def test_weight_nought_ranks_as_the_lexical_list(lexical, dense):
    fused = convex_fusion(lexical, dense, dense_weight=0)
    for a in lexical:
        for b in lexical:
            if lexical[a] > lexical[b]:
                assert fused[a] >= fused[b]
    assert all(fused[key] == 0 for key in dense.keys() - lexical.keys())


def test_what_a_list_did_not_return_gets_nothing_from_it():
    fused = convex_fusion({"a": 8.0, "b": 4.0}, {"b": 0.9, "c": 0.1}, dense_weight=0.5)
    assert fused == {"a": 0.5, "b": 0.5, "c": 0.0}


def test_a_single_hit_counts_fully():
    assert convex_fusion({"a": 3.0}, {}, dense_weight=0.3) == {"a": pytest.approx(0.7)}


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_outside_the_unit_interval_is_refused(weight):
    with pytest.raises(ValueError, match="dense_weight"):
        convex_fusion({}, {}, dense_weight=weight)


def test_reciprocal_rank_fusion_by_definition():
    fused = reciprocal_rank_fusion([["a", "b"], ["b"]], k=60)
    assert fused == {"a": 1 / 61, "b": pytest.approx(1 / 62 + 1 / 61)}
