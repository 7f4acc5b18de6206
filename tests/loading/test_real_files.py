"""The shared files of many writers: none crashes a loader, and what must be found is found."""

import os
import re
import time
from pathlib import Path

import pytest

from benchmarks.loading import Outcome, found, is_right, read_cases
from ctxeng.errors import LoadError
from ctxeng.loading import load_source
from ctxeng.settings import LoadingSettings


def folder():
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("CTXENG_DATA") or beside) / "files"


pytestmark = pytest.mark.skipif(
    not (folder() / "expected.jsonl").is_file(),
    reason="the shared files are not here: name their folder in CTXENG_DATA",
)
FLOORS = {"pdf": 0.97}
"""Of lines found; 1 for every other format."""


@pytest.fixture(scope="module")
def outcomes():
    """(case, outcome) of every file; no file may take over three seconds of CPU."""
    read = []
    for case in read_cases(folder()):
        data = (folder() / case.file).read_bytes()
        began = time.process_time()
        documents, error = load_source(data, case.file, settings=LoadingSettings(archives=True))
        seconds = time.process_time() - began
        text = "\n".join(f"{document.title}\n{document.text}" for document in documents)
        read.append((case, Outcome(text, str(error or ""), seconds), error))
    return read


def test_no_file_takes_long(outcomes):
    assert max(outcome.seconds for _, outcome, _ in outcomes) < 3


def test_every_failure_says_which_file_why_and_what_to_do(outcomes):
    for case, _, error in outcomes:
        if error is not None:
            assert isinstance(error, LoadError)
            assert error.uri == case.file
            assert error.why
            assert error.hint


def test_files_load_or_are_reported_as_what_they_are(outcomes):
    wrong = [case.file for case, outcome, _ in outcomes if not is_right(case, outcome)]
    assert len(wrong) <= 0.005 * len(outcomes), wrong


def test_of_each_format_the_lines_that_must_be_there_are_there(outcomes):
    for name in {case.format for case, _, _ in outcomes}:
        some = [(case, outcome) for case, outcome, _ in outcomes if case.format == name]
        lines = sum(len(case.lines) for case, _ in some)
        if lines:
            share = sum(found(*pair) for pair in some) / lines
            assert share >= FLOORS.get(name, 1), name


def test_text_holds_no_marks_of_its_format(outcomes):
    """Nothing of tags, control words or properties comes through from what was parsed."""
    marks = re.compile(r"\\(?:pard|par|rtf1)\b|</?w:|<text:p|__substg1|xmlns:w=")
    parsed = {"docx", "pptx", "xlsx", "odt", "rtf", "doc", "ppt", "msg", "xls", "epub", "pdf"}
    for case, outcome, _ in outcomes:
        if case.format in parsed:
            assert not marks.search(outcome.text), case.file
