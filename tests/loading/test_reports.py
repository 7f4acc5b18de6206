"""What cannot be read in a folder is one line each in the report; the rest is found."""

import os
from pathlib import Path

import pytest
from family_samples import SAID
from made_by_hand import zipped

from ctxeng import Engine, Settings
from ctxeng.settings import EmbeddingSettings, LoadingSettings

SETTINGS = Settings(
    loading=LoadingSettings(archives=True), embedding=EmbeddingSettings(model="none")
)


@pytest.fixture
def engine():
    with Engine.open(":memory:", settings=SETTINGS) as engine:
        yield engine


def test_an_archive_read_in_part_is_one_line_and_its_members_are_found(engine, tmp_path):
    members = {"a.txt": SAID, "b.pdf": b"%PDF-1.7 broken", "c.md": "# Wicks\n\nThey burn slowly."}
    (tmp_path / "x.zip").write_bytes(zipped(members))
    (tmp_path / "plain.txt").write_text("The hall is dark.")
    report = engine.index(tmp_path)
    (failure,) = report.failed
    assert failure.uri.endswith("x.zip")
    assert failure.why.startswith("could not be read in part: b.pdf (")
    assert failure.hint
    assert report.added == 2
    assert engine.search("wicks burn")[0].uri.endswith("x.zip!/c.md")
    again = engine.index(tmp_path)
    assert again.failed == report.failed
    assert (again.added, again.changed, again.unchanged) == (0, 0, 2)
    (tmp_path / "x.zip").write_bytes(zipped({"a.txt": SAID}))
    mended = engine.index(tmp_path)
    assert (mended.failed, mended.changed) == ((), 1)


def test_each_bad_file_of_a_folder_is_one_line_with_what_to_do(engine, tmp_path):
    (tmp_path / "good.txt").write_text(SAID)
    (tmp_path / "empty.md").write_text("")
    (tmp_path / "broken.docx").write_bytes(b"PK\x03\x04 cut off")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "gone").symlink_to("nowhere")
    try:
        (tmp_path / os.fsdecode(b"\xff.txt")).write_text("lamp")
        named = 1
    except OSError:
        named = 0
    report = engine.index(tmp_path)
    assert report.added == 1
    assert len(report.failed) == 2 + named
    assert {Path(one.uri).name for one in report.skipped} == {"empty.md", "binary.txt"}
    assert all(one.why and one.hint for one in (*report.failed, *report.skipped))
    assert engine.search("lamp")[0].uri.endswith("good.txt")
