"""The loading benchmark counts what it says, on any folder of its form."""

import json

import pytest

from benchmarks import loading, peers
from benchmarks.loading import FOUND, RATIO, RIGHT, TIME, Case, Outcome, found, is_right

ROWS = [
    {"file": "txt/a.txt", "must_contain": ["The lamp", "no such line"], "note": ""},
    {"file": "txt/empty.txt", "must_contain": [], "note": "zero bytes"},
    {"file": "b.pdf", "must_contain": [], "note": "encrypted, needs a password"},
]


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    (folder / "txt").mkdir(parents=True)
    (folder / "txt" / "a.txt").write_text("the The\nlamp  glows")
    (folder / "txt" / "empty.txt").write_text("")
    (folder / "b.pdf").write_bytes(b"%PDF-1.4 broken")
    (folder / "expected.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return folder


@pytest.mark.parametrize(
    ("expected", "text", "error", "right"),
    [
        ("text", "lamp", "", True),
        ("text", " -- ", "", False),
        ("text", "", "broken", False),
        ("encrypted", "", "a.pdf: is encrypted. Save it", True),
        ("encrypted", "", "PDFPasswordIncorrect", True),
        ("encrypted", "", "File is not a zip file", False),
        ("encrypted", "lamp", "", False),
        ("empty", "", "", True),
        ("empty", "invented", "", False),
        ("error-or-text", "", "broken", True),
        ("error-or-text", "", "", False),
        ("any", "", "", True),
    ],
)
def test_right_is_loaded_or_reported_as_what_it_is(expected, text, error, right):
    assert is_right(Case("a", expected, ()), Outcome(text, error, 0.0)) is right


def test_marks_and_white_space_count_on_neither_side():
    case = Case("a", "text", ["**The** lamp", "ﬁre", "oil, 12"])
    assert found(case, Outcome("| The |\nlamp | fi-re |", "", 0.0)) == 2


def test_a_set_without_expectations_is_judged_by_its_notes(files):
    cases = loading.read_cases(files)
    assert [(case.format, case.expected) for case in cases] == [
        ("txt", "text"), ("txt", "error-or-text"), ("pdf", "encrypted"),
    ]  # fmt: skip


def test_rows_say_what_each_system_did(files, monkeypatch, tmp_path):
    monkeypatch.setenv("CTXENG_PEERS", str(tmp_path / "none"))
    rows = {
        (row["set"], row["metric"]): row["value"]
        for row in loading.measure(files, loading.read_cases(files))
    }
    assert rows["txt", RIGHT] == 1
    assert rows["txt", FOUND] == 0.5
    assert rows["pdf", RIGHT] == 0
    assert rows["all", RIGHT] == pytest.approx(2 / 3)
    assert rows["all", RATIO] == 1
    assert rows["all", TIME] > 0
    assert ("pdf", FOUND) not in rows


def test_folders_are_found_below_the_one_that_is_named(files, tmp_path):
    assert loading.sets(files) == [files]
    assert loading.sets(tmp_path) == [files]
    with pytest.raises(SystemExit, match=r"expected\.jsonl"):
        loading.sets(tmp_path / "files" / "txt")


def test_the_whole_runs_and_writes_its_rows(files, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CTXENG_PEERS", str(tmp_path / "none"))
    written = tmp_path / "rows.json"
    arguments = ["loading", "--data", str(tmp_path), "--json", str(written), "--quick"]
    monkeypatch.setattr("sys.argv", arguments)
    loading.main()
    assert "benchmarks.peers install" in capsys.readouterr().out
    assert {row["system"] for row in json.loads(written.read_text())} == {"ctxeng"}


def test_the_peer_that_loads_is_no_peer_that_retrieves(tmp_path, monkeypatch):
    monkeypatch.setenv("CTXENG_PEERS", str(tmp_path))
    (tmp_path / "markitdown").mkdir()
    (tmp_path / "markitdown" / "installed.txt").write_text("markitdown==0.1.8\nlxml==6\n")
    assert peers.is_installed("markitdown")
    assert peers.installed() == []
    assert peers.versions("markitdown") == "markitdown==0.1.8"
