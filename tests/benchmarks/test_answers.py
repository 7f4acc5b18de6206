import json

import numpy as np
import pytest

from benchmarks import data_answers, fit_answerability, not_found
from benchmarks.answers import Said, abstention, f1, holds, measure, plain_words, score
from benchmarks.data import Passage, RetrievalSet
from benchmarks.data_answers import Asked, Task, around
from ctxeng import Document
from ctxeng.generation import NOT_FOUND
from tests.generation.server import serving

HOUSE = [
    Document(id="leave", text="Parental leave is twenty weeks, fully paid."),
    Document(id="rotor", text="The rotor is oiled on the first Monday of a month."),
    Document(id="pets", text="Pets are welcome in the hall on Fridays."),
]
ASKED = [
    Asked("How long is parental leave?", ["twenty weeks"], {}, "leave", HOUSE[0].text),
    Asked("When is the rotor oiled?", ["the first Monday", "never"], {}, "rotor", HOUSE[1].text),
]


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A name in the ``ctxeng.toml`` of the folder that the test runs in."""
    with serving() as server:
        table = f'[models.far]\nbackend = "openai"\nmodel = "m"\nbase_url = "{server.url}"\n'
        (tmp_path / "ctxeng.toml").write_text(table)
        monkeypatch.chdir(tmp_path)
        yield "far"


def test_words_are_compared_without_case_punctuation_and_articles():
    assert plain_words("The Rotor, an old one!") == ["rotor", "old", "one"]
    assert holds(["a1", "b", "c"], ["b", "c"])
    assert not holds(["a", "bc"], ["b"])
    assert not holds(["a"], [])


@pytest.mark.parametrize(
    ("said", "gold", "expected"),
    [("a b", "a b", 1.0), ("a b c d", "a b", 2 / 3), ("a a", "a", 2 / 3), ("x", "a", 0.0)],
)
def test_f1_is_that_of_the_words(said, gold, expected):
    assert f1(said.split(), gold.split()) == pytest.approx(expected)


def test_an_answer_is_scored_without_its_markers_and_not_found_is_empty():
    found = score(Said("It is twenty weeks [1].", True, HOUSE[0].text), ASKED[0])
    nothing = score(Said(NOT_FOUND, False, ""), ASKED[0])
    assert found["answer holds the phrase"] == found["context holds the phrase"] == 1.0
    assert found["F1"] == pytest.approx(2 * 2 / (4 + 2))
    assert found["abstains"] == 0.0
    assert (nothing["abstains"], nothing["words"], nothing["F1"]) == (1.0, 0.0, 0.0)
    closed = score(Said("Twenty weeks", True, None), ASKED[0])
    assert closed["exact match"] == 1.0
    assert "context holds the phrase" not in closed
    assert "abstains" not in closed


def test_a_decision_is_the_first_word():
    asked = Asked("Is it so?", ["It is so."], {}, decision="yes")
    metric = "begins with the right yes, no or maybe"
    assert score(Said("Yes, it is.", True, ""), asked)[metric] == 1.0
    assert score(Said("It is, yes.", True, ""), asked)[metric] == 0.0


def test_questions_are_asked_of_the_workspace_of_the_passage_and_without_the_document():
    rows = list(measure(Task("house", HOUSE, ASKED), questions=2))
    assert {row["set"] for row in rows} == {"house, 2 questions"}
    assert {row["system"] for row in rows} == {
        "extractive, our context",
        "extractive, gold passage",
    }
    found = {(row["system"], row["metric"]): row["value"] for row in rows}
    for row in rows:
        assert row["low"] <= row["value"] <= row["high"]
        if row["metric"] == "answer holds the phrase":
            assert row["value"] == 1.0
    assert found["extractive, our context", "abstention precision"] == 1.0
    assert found["extractive, our context", "abstention recall"] == 1.0


def test_a_model_answers_the_same_few_questions_as_the_extractive_generator_beside_it(model):
    rows = list(measure(Task("house", HOUSE, ASKED), questions=2, model=model, model_questions=1))
    few = [row for row in rows if row["set"] == "house, 1 questions"]
    ways = {row["system"].rpartition(", ")[2] for row in few if row["metric"] == "F1"}
    assert ways == {"our context", "gold passage", "closed book"}
    values = {(row["system"], row["metric"]): row["value"] for row in few}
    for system in (system for system, metric in values if metric == "ΔF1"):
        way = system.rpartition(", ")[2]
        difference = values[system, "F1"] - values[f"extractive, {way}", "F1"]
        assert values[system, "ΔF1"] == pytest.approx(difference)


def test_a_set_that_nothing_answers_reports_how_often_it_is_seen():
    task = Task("nothing", HOUSE, [Asked("Who won the 1998 world cup?", ["France"], {})])
    (row,) = measure(task, questions=1)
    assert (row["metric"], row["value"]) == ("abstention recall", 1.0)


def test_precision_is_the_share_of_those_that_were_rightly_withheld():
    gone, there = np.array([1.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0, 0.0])
    precision, recall = abstention("s", "n", gone, there)
    assert (precision["value"], recall["value"]) == (3 / 4, 3 / 4)
    assert precision["low"] <= 3 / 4 <= precision["high"]
    (only,) = abstention("s", "n", np.zeros(4), np.zeros(4))
    assert (only["metric"], only["value"]) == ("abstention recall", 0.0)


def test_a_passage_is_cut_at_white_space():
    text = "word " * 300 + "THE ANSWER" + " more" * 300
    start = text.index("THE")
    passage = around(text, start, start + 10)
    assert "THE ANSWER" in passage
    assert set(passage.split()) == {"word", "THE", "ANSWER", "more"}
    assert len(passage) <= 10 + 2 * data_answers.AROUND
    assert around("short", 0, 5) == "short"


def test_only_the_sets_that_are_there_are_read(tmp_path):
    assert list(data_answers.tasks(tmp_path)) == []
    (tmp_path / "policyqa").mkdir()
    write(tmp_path / "policyqa" / "paragraphs.jsonl", [{"id": "p", "site": "s", "text": "We log."}])
    write(
        tmp_path / "policyqa" / "questions.jsonl",
        [{"question": "Do you log?", "answers": ["log"], "paragraph": "p"}],
    )
    (task,) = data_answers.tasks(tmp_path)
    assert task.asked == [Asked("Do you log?", ["log"], {"site": "s"}, "p", "We log.")]
    assert task.documents[0].metadata == {"site": "s"}


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))


def little_retrieval_set():
    corpus = [Passage(d.id, "", d.text) for d in HOUSE]
    corpus += [Passage(f"x{n}", "", f"Item {n} stands in aisle {n} of hall {n}.") for n in range(9)]
    queries = {"1": "How long is parental leave?", "2": "When is the rotor oiled?"}
    return RetrievalSet("little", corpus, queries, {"1": {"leave": 1}, "2": {"rotor": 1}}, [])


def test_half_of_the_questions_lose_their_document_and_the_halves_are_disjoint():
    gone, there = not_found.halves(little_retrieval_set(), 5)
    assert sorted(gone + there) == ["1", "2"]
    assert len(gone) == len(there) == 1


def test_what_was_taken_out_is_not_found_and_what_is_there_is():
    rows = {row["metric"]: row["value"] for row in not_found.measure([little_retrieval_set()], 5)}
    assert rows == {
        "abstains, document gone": 1.0,
        "abstains wrongly, document there": 0.0,
    }


def test_logistic_regression_finds_the_weights_that_made_the_data():
    draw = np.random.default_rng(1)
    x = draw.normal(size=(20_000, 2))
    true = np.array([2.0, -1.0, 0.5])
    y = (draw.random(20_000) < 1 / (1 + np.exp(-(x @ true[:2] + true[2])))).astype(float)
    found = fit_answerability.fit(x, y, np.ones(len(y)), ridge=1e-6)
    assert found == pytest.approx(true, abs=0.08)


def test_weights_of_examples_are_as_if_they_were_repeated():
    draw = np.random.default_rng(2)
    x, y = draw.normal(size=(60, 2)), (draw.random(60) < 0.5).astype(float)
    doubled = fit_answerability.fit(np.vstack([x, x[:20]]), np.append(y, y[:20]), np.ones(80))
    weighted = fit_answerability.fit(x, y, np.append(np.full(20, 2.0), np.ones(40)))
    assert doubled == pytest.approx(weighted)


def test_auroc_counts_pairs_and_halves_ties():
    scores, y = np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.0, 0.0, 1.0, 1.0])
    assert fit_answerability.auroc(scores, y) == (1 + 0.5 + 1 + 1) / 4


def test_a_trial_joins_two_questions_of_the_same_half():
    asked = [("When is it due?", True), ("Who pays?", True), ("Where?", False)]
    trial = fit_answerability.Trial("little", ["p"] * fit_answerability.BOTH_FROM, asked)
    kinds = list(trial.questions())
    assert kinds[:3] == [("little", text, there) for text, there in asked]
    assert kinds[3:] == [("little, two in one", "When is it due and Who pays?", True)]


def test_no_trial_holds_the_passage_of_a_question_that_it_calls_gone():
    passages = {f"p{n}": f"Item {n}." for n in range(60)}
    questions = [(f"Where is item {n}?", {f"p{n}"}) for n in range(60)]
    task = fit_answerability.Task("little", passages, questions)
    for trial in fit_answerability.trials(task, 40):
        inside = set(trial.passages)
        for text, there in trial.asked:
            home = next(home for question, home in questions if question == text)
            assert there == bool(home & inside)


def test_an_embedder_that_remembers_gives_the_same_vectors():
    embedder = fit_answerability.StaticEmbedder()
    remembering = fit_answerability.Remembering(embedder)
    texts = ["rotor", "pets", "rotor"]
    for _ in range(2):
        assert np.array_equal(
            remembering.embed(texts, "document"), embedder.embed(texts, "document")
        )
    assert remembering.embed([], "query").shape == (0, embedder.dimensions)
