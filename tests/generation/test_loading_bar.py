"""The bar of a model that is loaded: on a terminal, once, and nowhere else."""

import io
import sys

import pytest

pytest.importorskip("xllamacpp", reason="needs the extra `llama`")
pytest.importorskip("torch", reason="the tiny model is made with the extra `local`")

from ctxeng.errors import BackendError
from ctxeng.generation.llama_server import llama_server
from ctxeng.generation.loading_bar import file_bar_where_watched
from tests.generation.tiny import make_model
from tests.generation.tiny_gguf import as_gguf


class Terminal(io.StringIO):
    """Takes what is drawn, as a terminal does."""

    def isatty(self):
        return True


@pytest.fixture
def watch(monkeypatch):
    """Call it in the test: what pytest captures by itself is put back before that."""

    def call():
        for name in ("NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return call


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    return as_gguf(make_model(place / "tiny"), place / "tiny.gguf")


def test_a_terminal_sees_a_bar_to_the_end_and_only_for_the_first_who_asks(gguf, watch):
    terminal = watch()
    first = llama_server(gguf, 256)
    drawn = terminal.getvalue()
    assert "Loading tiny.gguf" in drawn
    size = f"{gguf.stat().st_size / 1000:.1f}"
    assert f"{size}/{size} kB" in drawn
    assert drawn.rstrip().endswith("\x1b[2K")  # what was drawn is wiped out again
    assert llama_server(gguf, 256) is first
    assert terminal.getvalue() == drawn


def test_no_other_stream_sees_anything(gguf, monkeypatch, capfd):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    llama_server(gguf, 512)
    assert sys.stderr.getvalue() == ""
    assert capfd.readouterr() == ("", "")


def test_without_a_watcher_the_file_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with file_bar_where_watched(tmp_path / "nowhere.gguf"):
        pass
    assert sys.stderr.getvalue() == ""


def test_what_is_wrong_with_a_file_is_told_by_the_loading_and_no_bar_stays(tmp_path, watch):
    terminal = watch()
    with pytest.raises(BackendError, match="cannot be loaded"):
        llama_server(tmp_path / "nowhere.gguf", 256)
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(BackendError, match="cannot be loaded"):
        llama_server(tmp_path / "broken.gguf", 256)
    assert terminal.getvalue().rstrip().endswith("\x1b[2K")
