"""The benchmark of compaction counts what it says it counts."""

import json

import pytest

from benchmarks import compaction
from benchmarks.compaction import COUNTER, OURS, Outcome, Recorded, figures, locomo, ours
from benchmarks.data_compaction import FACTS, KINDS, PLACES, history
from ctxeng.context.history import read


@pytest.fixture(scope="module")
def made():
    return history(COUNTER, tokens=12_000, seed=5)


def test_a_history_is_one_that_a_model_could_be_handed_and_holds_every_fact_once(made):
    turns = read(made.messages, COUNTER)
    assert history(COUNTER, tokens=12_000, seed=5) == made
    assert history(COUNTER, tokens=12_000, seed=6).facts != made.facts
    assert len({fact.sentence for fact in made.facts}) == FACTS
    assert {fact.kind for fact in made.facts} == set(KINDS)
    assert {fact.place for fact in made.facts} == set(PLACES)
    for fact in made.facts:
        holding = [turn for turn in turns if fact.sentence in turn.text]
        assert len(holding) == 1
        role = fact.place if fact.place in ("user", "assistant") else "tool"
        assert holding[0].message.role == role
        assert fact.key in fact.sentence
        assert fact.subject in fact.sentence


def test_what_counts_as_kept_read_and_retrievable(made):
    first, second, third = (fact.sentence for fact in made.facts[:3])
    whole = next(m["content"] for m in made.messages if first in (m["content"] or ""))
    there = sum(fact.sentence in whole for fact in made.facts)
    outcome = Outcome([whole, f"- {second}"], handed=[third], stored=[third])
    found = figures(made, outcome)
    assert found["verbatim"] == there
    assert found["kept"] == there + (second not in whole)
    assert found["retrievable"] == FACTS - found["lost"] == found["kept"] + (third not in whole)
    assert found["deleted unread"] == FACTS - found["kept"] - (third not in whole)


@pytest.mark.parametrize("with_model", [False, True])
def test_nothing_is_deleted_unread_by_us_and_all_comes_back(made, with_model):
    model = Recorded([fact.sentence for fact in made.facts]) if with_model else None
    for window, grows, least in ((14_000, False, 85), (8_000, True, 45)):
        found = figures(made, ours(made.messages, window, grows=grows, model=model))
        assert (found["lost"], found["deleted unread"]) == (0, 0)
        assert found["kept"] >= least
        assert found["tokens"] < 0.7 * window


def test_without_peers_our_rows_are_there(made, monkeypatch):
    monkeypatch.setattr(compaction.peers, "is_installed", lambda peer: False)
    monkeypatch.setattr(compaction, "CASES", ((14_000, False),))
    monkeypatch.setattr(compaction, "TOKENS", 12_000)
    rows = list(compaction.planted([5]))
    assert {row["system"] for row in rows} == {OURS, f"{OURS}, perfect model"}
    assert {row["set"] for row in rows} == {"window 14,000, at once"}


def test_evidence_is_looked_for_in_what_is_left(tmp_path):
    turns = [
        {
            "conversation": "a",
            "id": f"D1:{n}",
            "speaker": ("Ada", "Bo")[n % 2],
            "time": "noon",
            "text": f"Then I paid {n * 37 + 1_000} euros in shop {n} and went on with my day.",
        }
        for n in range(60)
    ]
    questions = [{"conversation": "a", "evidence": ["D1:2", "D1:59"]}]
    for name, rows in (("turns", turns), ("questions", questions)):
        lines = "\n".join(json.dumps(row) for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines, "utf-8")
    rows = {row["system"]: row["value"] for row in locomo(tmp_path)}
    assert rows[f"{OURS}, and fetch"] == 1.0
    assert rows["newest turns, same size"] == pytest.approx(0.5)
