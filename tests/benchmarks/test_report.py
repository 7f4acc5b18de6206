"""The page of figures, and the command that makes them again."""

import re
from pathlib import Path

from benchmarks.report import RESULTS, SECTIONS

ROOT = Path(__file__).parents[2]


def test_make_bench_measures_all_that_the_page_shows():
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (measured,) = re.findall(r"^BENCHMARKS = (.*)$", makefile, re.M)
    shown = [name for name, *_ in SECTIONS]
    assert sorted(measured.split()) == sorted(shown)
    assert {file.stem for file in RESULTS.glob("*.json")} <= set(shown)
