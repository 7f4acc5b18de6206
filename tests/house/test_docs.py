"""Every Python block of the README and of docs/ runs, file by file, in order."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import ctxeng

ROOT = Path(__file__).parents[2]
PAGES = [page for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))] if page.exists()]
BLOCK = re.compile(r"^( *)```(python[^\n]*)\n(.*?)^\1```$", re.M | re.S)
NOT_RUN: set[str] = set()
"""Pages that may hold ``python no-run`` blocks; only shrinks."""


def python_blocks(page):
    """(info string, code) of each block."""
    return [(info, textwrap.dedent(code)) for _, info, code in BLOCK.findall(page.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_block_of_a_page_runs(page, tmp_path):
    blocks = python_blocks(page)
    left_out = [info for info, _ in blocks if info.strip() != "python"]
    assert not left_out or str(page.relative_to(ROOT)) in NOT_RUN
    code = "\n".join(code for info, code in blocks if info.strip() == "python")
    if code:
        run(code, tmp_path)


def test_the_example_of_the_package_runs(tmp_path):
    lines = (ctxeng.__doc__ or "").partition("The rooms")[0].splitlines()
    code = textwrap.dedent("\n".join(line for line in lines[1:] if line.startswith("    ")))
    assert "20 weeks" in run(code, tmp_path)


def run(code, folder):
    if (ROOT / "examples").exists():
        shutil.copytree(ROOT / "examples", folder / "examples")
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
