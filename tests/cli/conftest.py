"""A folder of files, and the command line as a function."""

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest

from ctxeng.cli.app import run

LEAVE = """# Leave

## Parental leave

Every parent may take 20 weeks of parental leave. Full pay continues for all of it.

## Sabbatical

After five years a sabbatical of three months is possible.
"""

PAY = '''"""Pay."""


def net_salary(gross: int) -> int:
    """Take off the tax."""
    return gross - gross // 4
'''


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def value(self):
        """The one JSON value of standard output."""
        return json.loads(self.out)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with a small handbook, no settings but these, and no terminal."""
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "leave.md").write_text(LEAVE)
    (folder / "offices.csv").write_text("city,desks\nBerlin,40\nPorto,12\n")
    (folder / "pay.py").write_text(PAY)
    (tmp_path / "ctxeng.toml").write_text('[embedding]\nmodel = "static"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ctxeng(place, capfd):
    """Runs a command line in this process: ``ctxeng("search", "leave", "--json")``."""

    def call(*arguments):
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        shown = capfd.readouterr()
        assert "Traceback" not in shown.out + shown.err
        return Ran(code, shown.out, shown.err)

    return call


@pytest.fixture
def indexed(ctxeng, place):
    """The handbook, indexed."""
    assert ctxeng("index", "handbook").code == 0
    return place


@pytest.fixture
def start(place):
    """Starts the command line as a process of its own, in the working folder."""
    children = []

    def call(*arguments, **options):
        child = subprocess.Popen(
            [sys.executable, "-m", "ctxeng", *(str(argument) for argument in arguments)],
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        children.append(child)
        return child

    yield call
    for child in children:
        child.kill()
        child.communicate(timeout=30)
