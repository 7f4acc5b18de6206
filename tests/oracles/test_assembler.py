"""The assembler against the obvious one: take the hits best first, leave out what is said already,
what is noise and what does not fit.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from ctxeng.context import Assembler
from ctxeng.text.terms import terms
from ctxeng.text.tokens import PackagedTokenCounter
from ctxeng.types import Hit

COUNTER = PackagedTokenCounter()
HEADER = 60
"""Tokens: more than the line that opens a source takes."""
WORDS = ["rotor", "pager", "invoice", "audit", "harbour", "ticket", "garden", "copper", "violin"]

sentences = st.lists(st.sampled_from(WORDS), min_size=3, max_size=9).map(
    lambda words: "On monday " + " ".join(words) + "."
)
hit_lists = st.lists(st.tuples(sentences, st.floats(0.01, 1)), min_size=1, max_size=12)


class NoNeighbours:
    """Every hit is all there is of its document."""

    def neighbours(self, document_id, first, last):
        return []

    def slice(self, document_id, span):
        raise AssertionError("there is nothing to join")


def hits_of(drawn):
    ranked = sorted(drawn, key=lambda one: -one[1])
    return [
        Hit(
            id=f"c{n}",
            text=text,
            tokens=COUNTER.count(text),
            score=score,
            document_id=f"d{n}",
            uri=f"f{n}.md",
            end=len(text),
        )
        for n, (text, score) in enumerate(ranked)
    ]


def obvious(hits):
    """Ids of what is neither noise nor said already by a better one."""
    kept = []
    for hit in hits:
        words = set(terms(hit.text))
        said = [set(terms(other.text)) for other in kept]
        twin = any(len(words & other) / len(words | other) >= 0.9 for other in said)
        if not twin and hit.score >= 0.1 * hits[0].score:
            kept.append(hit)
    return [hit.id for hit in kept]


def assembled(hits, budget):
    # The question shares no word with the hits, so their scores alone decide.
    return Assembler(COUNTER, NoNeighbours(), lambda term: 1.0).assemble("unrelated", hits, budget)


def kept_in(context):
    return {chunk_id for segment in context.sources for chunk_id in segment.chunk_ids}


@settings(max_examples=50)
@given(drawn=hit_lists)
def test_with_room_for_all_it_keeps_what_the_obvious_one_keeps(drawn):
    hits = hits_of(drawn)
    context = assembled(hits, 4_000)
    assert kept_in(context) == set(obvious(hits))
    dropped = {chunk_id for row in context.dropped for chunk_id in row.chunk_ids}
    assert dropped == {hit.id for hit in hits} - set(obvious(hits))
    scores = [segment.scores["fused"] for segment in context.sources]
    ranked = sorted(scores, reverse=True)
    assert scores == ranked[::2] + ranked[1::2][::-1]  # the best at the edges


@settings(max_examples=50)
@given(drawn=hit_lists, budget=st.integers(60, 500))
def test_without_room_for_all_nothing_is_left_out_that_would_have_fitted(drawn, budget):
    hits = hits_of(drawn)
    context = assembled(hits, budget)
    assert context.tokens == COUNTER.count(context.render()) <= budget
    kept, left = kept_in(context), budget - context.tokens
    for hit in hits:
        if hit.id in obvious(hits) and hit.id not in kept:
            assert hit.tokens + HEADER > left
