"""What is found below a root, in which order, and what is refused."""

import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctxeng.errors import ConfigError, LoadError
from ctxeng.loading import load, walk
from ctxeng.settings import LoadingSettings


def write(root, name, text=""):
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def found(root, **options):
    """Relative names of the files; refusals as ``name: why``."""
    return [
        f"{Path(one.uri).name}: {one.why}"
        if isinstance(one, LoadError)
        else one.relative_to(root.resolve()).as_posix()
        for one in walk(root, **options)
    ]


def test_the_order_is_that_of_the_names(tmp_path):
    for name in ("b/2.txt", "b/10.txt", "a.txt", "Z.txt", "b.txt"):
        write(tmp_path, name)
    assert found(tmp_path) == ["Z.txt", "a.txt", "b/10.txt", "b/2.txt", "b.txt"]


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ("*.log\n", ["a.txt", "keep/b.txt", "x/a.txt"]),
        ("*.log\n!keep.log\n", ["a.txt", "keep.log", "keep/b.txt", "x/a.txt"]),
        ("keep/\n", ["a.log", "a.txt", "keep.log", "x/a.txt"]),
        ("/a.txt\n", ["a.log", "keep.log", "keep/b.txt", "x/a.txt"]),
        ("x\n!x/a.txt\n", ["a.log", "a.txt", "keep.log", "keep/b.txt"]),
        ("*\n!*/\n!*.log\n", ["a.log", "keep.log"]),
        ("# a comment\n\n!\n\\\nx/**\n", ["a.log", "a.txt", "keep.log", "keep/b.txt"]),
    ],
)
@pytest.mark.parametrize("name", [".gitignore", ".ctxengignore"])
def test_ignore_files_mean_what_git_means(tmp_path, name, rules, kept):
    for file in ("a.log", "a.txt", "keep.log", "keep/b.txt", "x/a.txt"):
        write(tmp_path, file)
    write(tmp_path, name, rules)
    assert sorted(found(tmp_path)) == kept
    assert len(found(tmp_path, settings=LoadingSettings(ignore_files=False))) == 5


def test_the_innermost_ignore_file_decides_and_ours_before_git_s(tmp_path):
    for file in ("a.log", "in/a.log", "in/b.log", "in/c.txt"):
        write(tmp_path, file)
    write(tmp_path, ".gitignore", "*.log\n")
    write(tmp_path, "in/.gitignore", "!a.log\nc.txt\n")
    write(tmp_path, "in/.ctxengignore", "!c.txt\n")
    assert found(tmp_path) == ["in/a.log", "in/c.txt"]


def test_globs_choose_files_and_folders(tmp_path):
    for file in ("a.md", "docs/b.md", "docs/c.py", "docs/old/d.md"):
        write(tmp_path, file)
    assert found(tmp_path, include=["*.md"]) == ["a.md", "docs/b.md", "docs/old/d.md"]
    assert found(tmp_path, include=["/docs/*"], exclude=["old/"]) == ["docs/b.md", "docs/c.py"]
    assert found(tmp_path, include=["*.md", "!b.md"], exclude=["/a.md"]) == ["docs/old/d.md"]
    with pytest.raises(ConfigError, match="gitignore"):
        found(tmp_path, exclude=["!"])


def test_hidden_files_and_the_folders_of_tools_are_left_out(tmp_path):
    for file in (".env", ".git/config", "node_modules/a.js", "__pycache__/a.py", ".ctxeng/a", "a"):
        write(tmp_path, file)
    assert found(tmp_path) == ["a"]
    assert found(tmp_path, settings=LoadingSettings(hidden=True)) == [".env", "a"]


def test_limits_on_size_and_depth_are_reported_with_their_setting(tmp_path):
    write(tmp_path, "large.txt", "x" * 101)
    write(tmp_path, "a/b/c/deep.txt")
    write(tmp_path, "a/b/fits.txt", "x" * 100)
    limits = LoadingSettings(max_file_bytes=100, max_depth=2)
    assert found(tmp_path, settings=limits) == [
        "c: lies over 2 folders deep",
        "a/b/fits.txt",
        "large.txt: has 101 bytes, more than loading.max_file_bytes (100)",
    ]
    (refused,) = (one for one in walk(tmp_path / "large.txt", settings=limits))
    assert refused.hint


def test_links_are_not_followed_and_those_out_of_the_root_are_reported(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    write(root, "real/a.txt")
    write(outside, "secret.txt", "secret")
    (root / "a_link").symlink_to(root / "real")
    (root / "b_link").symlink_to(root / "real" / "a.txt")
    (root / "loop").symlink_to(root)
    (root / "real" / "up").symlink_to("..")
    (root / "self").symlink_to("self")
    (root / "gone").symlink_to("nowhere")
    (root / "out").symlink_to(outside)
    (root / "out.txt").symlink_to(outside / "secret.txt")
    why = "is a link that leads out of the folder, or nowhere"
    assert found(root) == [
        f"gone: {why}", f"out: {why}", f"out.txt: {why}", "real/a.txt", f"self: {why}",
    ]  # fmt: skip
    assert not any("secret" in document.text for document in load(root))


def test_a_link_named_as_the_root_is_meant(tmp_path):
    write(tmp_path, "real/a.txt", "A lamp.")
    (tmp_path / "link").symlink_to("real")
    assert [document.text for document in load(tmp_path / "link")] == ["A lamp."]


def test_a_relative_root_gives_whole_paths(tmp_path, monkeypatch):
    write(tmp_path, "in/a.txt")
    write(tmp_path, "in/b.log")
    monkeypatch.chdir(tmp_path)
    paths = list(walk(Path("in"), exclude=["/b.log"]))
    assert paths == [(tmp_path / "in" / "a.txt").resolve()]


def test_an_empty_folder_gives_nothing_and_a_missing_path_says_so(tmp_path):
    assert found(tmp_path) == []
    assert load(tmp_path) == []
    assert found(tmp_path / "absent") == ["absent: cannot be entered: No such file or directory"]
    with pytest.raises(LoadError, match=r"no such file or folder\. Check the path"):
        load(tmp_path / "absent")


def test_what_is_neither_file_nor_folder_is_passed_over(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    write(tmp_path, "a.txt", "A lamp.")
    assert found(tmp_path) == ["a.txt"]
    with pytest.raises(LoadError, match="cannot be entered"):
        load(tmp_path / "pipe")


def test_a_name_that_is_not_utf_8_is_reported(tmp_path):
    name = os.fsdecode(b"f\xfcr.txt")
    try:
        (tmp_path / name).write_text("A lamp.")
    except OSError:
        pytest.skip("this file system takes no such names")
    (refused,) = walk(tmp_path)
    assert "not UTF-8" in refused.why
    refused.uri.encode("utf-8")


@contextmanager
def as_nobody():
    """Permissions do not bind root: be somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no such permissions")
def test_what_may_not_be_read_is_reported_and_the_rest_goes_on():
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        write(root, "closed/a.txt").parent.chmod(0)
        write(root, "in/.gitignore", "b.txt").chmod(0)
        write(root, "in/b.txt", "A lamp.")
        write(root, "in/c.txt", "No lamp.").chmod(0)
        found(root)  # whatever is imported late is here before this is somebody else
        with as_nobody():
            names = found(root)
            documents = load(root)
            with pytest.raises(
                LoadError, match=r"c\.txt: cannot be read: Permission denied\. Check"
            ):
                load(root / "in" / "c.txt")
        (root / "closed").chmod(0o700)
    assert names[0] == "closed: cannot be entered: Permission denied"
    assert names[1].startswith(".gitignore: cannot be read, so that it ignores nothing")
    assert names[2:] == ["in/b.txt", "in/c.txt"]
    assert [document.text for document in documents] == ["A lamp."]


def test_a_folder_that_cannot_be_listed_is_an_error_of_its_own(tmp_path, monkeypatch):
    write(tmp_path, "closed/a.txt")
    write(tmp_path, "open/a.txt", "A lamp.")
    listed = os.scandir

    def scandir(folder):
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert found(tmp_path) == ["closed: cannot be entered: Permission denied", "open/a.txt"]
    assert [document.text for document in load(tmp_path)] == ["A lamp."]


@pytest.mark.slow
def test_ten_thousand_small_files_are_walked_and_loaded_in_bounded_time(tmp_path):
    for folder in range(100):
        (tmp_path / f"{folder:02}").mkdir()
        for file in range(100):
            (tmp_path / f"{folder:02}" / f"{file:02}.txt").write_text(f"lamp {folder} {file}")
    write(tmp_path, ".gitignore", "*.log\n/build/\n!keep.log\n")
    began = time.process_time()
    paths = list(walk(tmp_path))
    walked = time.process_time() - began
    assert len(paths) == 10_000
    assert paths == sorted(paths)
    assert walked < 3
    assert len(load(tmp_path)) == 10_000
    assert time.process_time() - began < 12
