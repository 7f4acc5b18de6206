import pytest

from benchmarks import peers
from benchmarks.budget import Prompts, Task, _fullest, _greedy, random_plans, task_of, times
from benchmarks.data import Passage, Reference, RetrievalSet
from benchmarks.passages import COUNTER
from benchmarks.prefix import (
    BUDGET,
    Turn,
    compacted,
    our_compaction,
    ours,
    passages_last,
    shown,
    unchanged,
)
from ctxeng import Hit
from ctxeng.context import plan as plans

HITS = [
    Hit(id=f"h{n}", text=f"Rule {n} says a lot. " * n, tokens=0, score=1 / n, document_id=f"d{n}",
        end=21 * n, uri=f"{n}.md")
    for n in (1, 2, 3)
]  # fmt: skip


@pytest.mark.slow
def test_random_plans_are_counted_and_none_goes_over():
    figures = {row["metric"]: row["value"] for row in random_plans(25)}
    assert figures["plans"] == 25
    assert figures["overruns"] == 0
    assert 0 < figures["most of its budget that a plan used"] <= 1


def test_the_same_seed_draws_the_same_plans():
    assert [Prompts(2).plan() for _ in range(3)] == [Prompts(2).plan() for _ in range(3)]


def test_times_are_of_a_thousand_candidates():
    rows = list(times(2))
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows)
    assert sum(row["metric"].startswith("allocation") for row in rows) == 3


def test_the_fullest_context_keeps_the_limit_of_source_text():
    def build(budget):
        held = {"instructions": "x", "sources": HITS, "question": "Which rule?"}
        return plans.rag(budget).build(held, chat_overhead=0)

    chosen = _fullest(build, 40)
    texts = {hit.document_id: hit.text for hit in HITS}
    assert 0 < sum(COUNTER.count(texts[document]) for document, _, _ in chosen) <= 40


def test_greedy_takes_each_that_still_fits():
    limit = COUNTER.count(HITS[0].text) + COUNTER.count(HITS[2].text)
    assert [place[0] for place in _greedy([HITS[0], HITS[2], HITS[1]], limit)] == ["d1", "d3"]


def test_a_retrieval_set_asks_for_its_gold_documents():
    corpus = [Passage("a", "", "alpha"), Passage("b", "", "beta")]
    task = task_of(RetrievalSet("s", corpus, {"q": "?"}, {"q": {"a": 1, "b": 1}}, []))
    assert task.questions[0][1][0] == ("a", [Reference(0, 5, "alpha")])
    assert isinstance(task, Task)
    assert task.share(0, [("a", 0, 5)]) == 0.5
    assert task.touched(0, [("a", 0, 1)]) == 0.5


def test_what_is_unchanged_is_the_common_start():
    one = [{"role": "user", "content": "the same"}, {"role": "user", "content": "old"}]
    other = [one[0], {"role": "user", "content": "new"}]
    same, all_ = unchanged(one, other)
    assert COUNTER.count(shown(one[0])) <= same < all_
    assert unchanged(one, one)[0] == unchanged(one, one)[1]


SAID = "It is the one that says a lot. " * 4


def chat(length):
    turns, so_far = [], []
    for n in range(length):
        turns.append(Turn(f"Which rule is {n}?", HITS, list(so_far)))
        so_far += [{"role": "user", "content": f"Which rule is {n}?"},
                   {"role": "assistant", "content": SAID}]  # fmt: skip
    return turns


def test_our_chats_keep_their_budget_and_their_start():
    sent = ours(chat(8), 700)
    assert all(sum(COUNTER.count(shown(m)) for m in messages) <= 700 for messages in sent)
    assert {messages[0]["content"] for messages in sent} == {sent[0][0]["content"]}


@pytest.mark.skipif(
    "langchain" not in peers.installed(), reason="python -m benchmarks.peers install"
)
def test_the_peers_trimming_keeps_the_newest():
    sent = passages_last(chat(8), 500)
    assert all(messages[0]["role"] == "system" for messages in sent)
    assert "Which rule is 7?" in sent[-1][-1]["content"]
    assert len(sent[-1]) < 16


def with_passages(sent):
    """Each prompt ends with its turn's passages and question, behind the instructions."""
    return all(
        messages[0]["role"] == "system"
        and HITS[0].text in messages[-1]["content"]
        and messages[-1]["content"].endswith(f"Which rule is {n}?")
        for n, messages in enumerate(sent)
    )


def test_a_chat_that_is_compacted_is_sent_with_each_turns_passages():
    sent = our_compaction(chat(30), 1_000)
    assert len(sent) == 30
    assert with_passages(sent)
    assert len(sent[-1]) < 60


@pytest.mark.skipif(
    not peers.is_installed("langchain_compaction"), reason="python -m benchmarks.peers install"
)
def test_the_peers_middleware_is_handed_the_same_turns(monkeypatch):
    monkeypatch.setattr(peers, "COMPACTORS", {"langchain_compaction": ()})
    turns = chat(30)
    (sent,) = compacted(turns, 1_000).values()
    assert len(sent) == 30
    assert with_passages(sent)
    (whole,) = compacted(turns, 10 * BUDGET).values()
    assert [messages[1:-1] for messages in sent[:9]] == [messages[1:-1] for messages in whole[:9]]
    assert len(sent[-1]) < len(whole[-1]) == 60
