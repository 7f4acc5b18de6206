import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import data_grounding, grounding
from benchmarks.data import Row, data_folder
from benchmarks.data_grounding import GROUNDING_SETS, Item, read_grounding_sets
from benchmarks.grounding import (
    Half,
    auroc,
    balanced_accuracy,
    best_threshold,
    good,
    halves,
    measure,
    resampled,
)
from tests.generation.scripted import Scripted

scored = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()), min_size=2, max_size=20
).filter(lambda rows: len({label for _, label in rows}) == 2)


def arrays(rows):
    return np.array([s for s, _ in rows]), np.array([label for _, label in rows])


@given(rows=scored)
def test_auroc_is_the_share_of_pairs_in_the_right_order(rows):
    scores, labels = arrays(rows)
    pairs = [(a, b) for a, good in rows if good for b, bad in rows if not bad]
    expected = sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)
    assert auroc(scores, labels, np.ones((1, len(rows))))[0] == pytest.approx(expected)


@given(rows=scored)
def test_no_threshold_has_a_better_balanced_accuracy_on_the_half_that_it_is_chosen_on(rows):
    scores, labels = arrays(rows)

    def accuracy(cut):
        right = (scores >= cut) == labels
        return (right[labels].mean() + right[~labels].mean()) / 2

    threshold = best_threshold([Half(labels, {"any": scores})], "any")
    chosen = accuracy(threshold)
    assert chosen >= max(accuracy(cut) for cut in (*np.unique(scores), 2.0)) - 1e-9
    right = (scores >= threshold) == labels
    once = np.ones((1, len(rows)))
    assert balanced_accuracy(right, labels, once)[0] == pytest.approx(chosen)


@given(groups=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40))
def test_no_text_is_in_both_halves_and_none_is_lost(groups):
    items = [Item(group, "s" * n, "t" * n, n % 3 == 0) for n, group in enumerate(groups)]
    first, second = halves(items)
    assert len(first) + len(second) == len(items)
    assert not {i.group for i in first} & {i.group for i in second}


def test_groups_are_resampled_as_a_whole_after_the_sample_itself():
    weights = resampled(["a", "b", "a", "c"])
    assert (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 2]).all()
    assert set(weights[1:, [0, 1, 3]].sum(axis=1)) == {3}


@pytest.fixture
def sets(tmp_path):
    """A set in plain form: every other sentence stands in its text."""
    rows = []
    for n in range(40):
        text = f"Lamp {n} is green. It was sold in {1900 + n}."
        said = f"Lamp {n} is green." if n % 2 else "Zebras sleep standing."
        rows.append({"id": n, "sentence": said, "text": text, "supported": bool(n % 2)})
    (tmp_path / "lamps").mkdir()
    (tmp_path / "lamps" / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_scorers_that_separate_a_set_have_full_marks_with_intervals_around_them(sets, monkeypatch):
    own = grounding.contenders

    def without_minilm(idf):
        return {name: scorer for name, scorer in own(idf).items() if "MiniLM" not in name}

    monkeypatch.setattr(grounding, "contenders", without_minilm)
    rows = list(measure(read_grounding_sets(sets)))
    found = {(row["system"], row["metric"]): row for row in rows}
    assert found["terms, figures, names", "AUROC"]["value"] == 1
    assert found["terms, figures, names", "balanced accuracy"]["value"] == 1
    for row in rows:
        assert row["set"] == "lamps"
        assert row["low"] <= row["value"] + 1e-9
        assert row["value"] <= row["high"] + 1e-9
    assert ("word overlap", "Δbalanced accuracy") not in found


class SaysWhatItSees(Scripted):
    """Says yes to what stands in the text word for word, and to one lamp nothing that is usable."""

    async def stream(self, messages, options):
        text, _, asked = messages[1].text.partition("end of source")
        sentence = asked.split("\n")[2]
        said = "no JSON" if sentence == self.refused else json.dumps(
            {"supported": sentence in text, "confidence": 0.5}
        )  # fmt: skip
        self._replies = [[said]]
        async for delta in super().stream(messages, options):
            yield delta


@pytest.mark.parametrize("refused", ["", "Zebras sleep standing."])
def test_a_model_is_measured_on_few_items_beside_scorers_and_without_what_it_cannot_say(
    sets, monkeypatch, refused
):
    model = SaysWhatItSees()
    model.refused = refused
    monkeypatch.setattr(grounding, "open_generator", lambda *_, **__: model)
    rows = list(grounding.ask_model(read_grounding_sets(sets), "any", 99))
    found = {(row["system"], row["metric"]): row["value"] for row in rows}
    (task,) = read_grounding_sets(sets)
    assert {row["set"] for row in rows} == {f"lamps, {len(halves(task.items)[1])} items"}
    (name,) = {system for system, metric in found if metric == "unusable"}
    if refused:  # with them all of one class are gone
        assert 0 < found[name, "unusable"] < 1
        assert len(rows) == 1
        return
    assert found[name, "unusable"] == 0
    for system in (name, "word overlap", "terms, figures, names"):
        assert found[system, "balanced accuracy"] == found[system, "AUROC"] == 1
    assert found[name, "Δbalanced accuracy"] == 0


def test_a_set_that_cannot_be_halved_is_refused(sets):
    with pytest.raises(SystemExit, match="lamps"):
        list(measure(read_grounding_sets(sets, limit=1)))


def test_a_folder_without_such_sets_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="data_grounding"):
        list(read_grounding_sets(tmp_path))


def test_one_threshold_for_several_sets_weighs_each_alike():
    small = Half(np.array([True, False]), {"any": np.array([0.9, 0.1])})
    large = Half(np.array([True] * 50 + [False] * 50), {"any": np.array([0.4] * 50 + [0.3] * 50)})
    assert best_threshold([small], "any") == pytest.approx(0.5)
    assert best_threshold([large], "any") == pytest.approx(0.35)
    assert best_threshold([small, large], "any") == pytest.approx(0.35)


def rows_of(system, name, low, lead):
    for metric, bound in (("balanced accuracy", low), ("Δbalanced accuracy", lead)):
        yield Row(system=system, set=name, metric=metric, value=bound, low=bound, high=bound)


def test_good_is_only_who_surely_beats_chance_and_the_baseline_on_both_deciding_sets():
    rows = [
        *rows_of("both", "wice", 0.6, 0.01), *rows_of("both", "summedits", 0.51, 0.02),
        *rows_of("chance", "wice", 0.6, 0.05), *rows_of("chance", "summedits", 0.49, 0.01),
        *rows_of("baseline", "wice", 0.6, -0.01), *rows_of("baseline", "summedits", 0.6, 0.01),
        *rows_of("elsewhere", "begin", 0.9, 0.3), *rows_of("elsewhere", "wice", 0.9, 0.3),
    ]  # fmt: skip
    assert good(rows) == {"both": True, "chance": False, "baseline": False, "elsewhere": False}


def test_the_sets_of_the_shared_folder_are_read_with_both_classes():
    try:
        folder = data_folder()
    except SystemExit as absent:
        pytest.skip(str(absent))
    read = {task.name: task.items for task in read_grounding_sets(folder)}
    if not read.keys() >= set(GROUNDING_SETS):
        pytest.skip(f"{folder}: not all of {', '.join(GROUNDING_SETS)} are there")
    for name in GROUNDING_SETS:
        assert {item.supported for item in read[name]} == {True, False}
        assert all(item.sentence.strip() and item.text.strip() for item in read[name])
    assert len(read["halueval_qa"]) == 2 * len({item.group for item in read["halueval_qa"]})
    assert set(data_grounding.READERS) == set(GROUNDING_SETS)
