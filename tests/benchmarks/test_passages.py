import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import passages, peers
from benchmarks.data import ChunkingSet, Question, Reference
from benchmarks.passages import COUNTER, GivenSpans, beginning, gold_share
from ctxeng import Document, Span

TEXT = (
    "The office opens at eight. Coffee is free in every kitchen. "
    "Parental leave is twenty weeks, fully paid. Pets are welcome on Fridays. "
) * 3


def asking(*spans, document="d"):
    return Question("?", document, [Reference(s, e, TEXT[s:e]) for s, e in spans])


spans = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: tuple(sorted(pair)))


@given(gold=st.lists(spans, max_size=4), handed=st.lists(spans, max_size=4))
def test_the_share_is_of_characters_each_counted_once(gold, handed):
    wanted = {c for s, e in gold for c in range(s, e)}
    held = {c for s, e in handed for c in range(s, e)}
    share = gold_share(asking(*gold), [("d", s, e) for s, e in handed])
    assert share == (len(wanted & held) / len(wanted) if wanted else 0.0)


def test_what_stands_in_another_document_does_not_count():
    assert gold_share(asking((0, 10)), [("other", 0, 10)]) == 0.0


@given(limit=st.integers(0, 200))
def test_the_beginning_of_a_text_fills_the_limit_and_keeps_it(limit):
    kept = beginning(TEXT, limit)
    assert TEXT.startswith(kept)
    assert COUNTER.count(kept) <= limit
    assert kept == TEXT or COUNTER.count(TEXT[: len(kept) + 1]) > limit


def test_pieces_are_handed_over_whole_up_to_the_limit_and_the_last_one_cut():
    cuts = {"d": [Span(start=0, end=60), Span(start=60, end=120), Span(start=120, end=180)]}
    chunks = {c.id: c for c in GivenSpans(cuts).chunk(Document(id="d", text=TEXT))}
    first = COUNTER.count(TEXT[60:120])
    places = list(passages._filling({0: ["d:1", "d:0", "d:2"]}, chunks)(0, first + 5))
    assert places[0] == ("d", 60, 120)
    document, start, end = places[1]
    assert (document, start) == ("d", 0)
    assert 0 < end < 60
    assert len(places) == 2


@pytest.fixture
def little_set():
    return ChunkingSet(
        "little",
        {"d": TEXT, "e": "The rotor is oiled every month. " * 20},
        [
            Question("How long is parental leave?", "d", [Reference(60, 103, TEXT[60:103])]),
            Question("How often is the rotor oiled?", "e", [Reference(0, 31, "")]),
        ],
    )


def test_ours_never_hands_over_more_source_text_than_the_limit(little_set):
    for system, hand_over in passages.ours(little_set):
        for number, question in enumerate(little_set.questions):
            for limit in (120, 300):
                places = hand_over(number, limit)
                texts = [little_set.documents[d][s:e] for d, s, e in places]
                assert sum(COUNTER.count(text) for text in texts) <= limit
                assert gold_share(question, places) == 1.0, system


def test_rows_are_paired_with_ours(little_set, monkeypatch):
    monkeypatch.setattr(peers, "installed", lambda: [])
    monkeypatch.setattr(passages, "LIMITS", (120,))
    rows = {(row["system"], row["metric"]): row for row in passages.measure(iter([little_set]))}
    assert rows[passages.OURS, "gold text@120"]["value"] == 1.0
    other = rows[f"{passages.OURS}, whole prompt counted", "Δgold text@120"]
    assert -1 <= other["low"] <= other["value"] <= other["high"] <= 0


def test_every_splitter_script_is_there_and_compiles():
    for cut in passages.CUTS:
        script = peers.HERE / f"with_{cut.peer}_splitter.py"
        compile(script.read_text("utf-8"), str(script), "exec")


@pytest.mark.parametrize("cut", passages.CUTS, ids=lambda cut: cut.name)
def test_a_splitter_gives_spans_of_the_document(cut):
    if cut.peer not in peers.installed():
        pytest.skip(f"{cut.peer} is not installed: python -m benchmarks.peers install")
    text = " ".join(f"Sentence {n} says that item {n} is kept in hall {n}." for n in range(400))
    task = ChunkingSet("little", {"d": text}, [])
    found = passages.cut_by(cut, task)
    assert set().union(*(range(s.start, s.end) for s in found["d"])) >= {
        at for at, character in enumerate(task.documents["d"]) if not character.isspace()
    }


def test_a_splitter_that_fails_is_an_error(monkeypatch, little_set):
    def fail(*arguments, **how):
        raise subprocess.CalledProcessError(1, "python")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(subprocess.CalledProcessError):
        passages.cut_by(passages.CUTS[0], little_set)


def test_rows_can_be_written(little_set, monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "installed", lambda: [])
    monkeypatch.setattr(passages, "LIMITS", (120,))
    rows = list(passages.measure(iter([little_set])))
    passages.write_rows(rows, tmp_path / "rows.json")
    assert json.loads((tmp_path / "rows.json").read_text()) == rows
