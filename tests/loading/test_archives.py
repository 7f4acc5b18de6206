"""Archives, when they are asked for: what is in them, and where looking ends."""

import gzip
import io
import tarfile

import pytest
from family_samples import SAID, tar
from made_by_hand import zipped

from ctxeng.errors import LoadError
from ctxeng.loading import load_bytes, load_source
from ctxeng.settings import LoadingSettings

OPEN = LoadingSettings(archives=True)


def uris(data, name, settings=OPEN):
    return [document.uri for document in load_bytes(data, name, settings=settings)]


def test_members_are_documents_in_the_order_of_their_names():
    files = {"b.txt": SAID, "a/c.md": "# Oil", "a/": ""}
    assert uris(zipped(files), "x.zip") == ["x.zip!/a/c.md", "x.zip!/b.txt"]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_read_however_it_is_packed(mode):
    data = tar({"a.txt": SAID.encode(), "b.md": b"# Oil"}, mode)
    assert uris(data, "x.tar") == ["x.tar!/a.txt", "x.tar!/b.md"]


def test_a_compressed_file_is_read_by_the_name_within():
    (document,) = load_bytes(gzip.compress(b"# Oil\n"), "notes.md.gz", settings=OPEN)
    assert (document.uri, document.media_type) == ("notes.md.gz!/notes.md", "text/markdown")


def test_archives_in_archives_are_read_two_deep():
    inner = zipped({"a.txt": SAID})
    assert uris(zipped({"in.zip": inner}), "x.zip") == ["x.zip!/in.zip!/a.txt"]
    three = zipped({"1.zip": zipped({"2.zip": inner})})
    with pytest.raises(LoadError, match=r"lies over 2 archives deep\)\. Unpack it"):
        load_bytes(three, "x.zip", settings=OPEN)


def test_a_name_that_climbs_out_is_only_a_name():
    assert uris(zipped({"../../etc/x.txt": SAID}), "x.zip") == ["x.zip!/../../etc/x.txt"]


def test_links_in_a_tar_are_not_followed():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        link = tarfile.TarInfo("passwd.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(LoadError, match="holds no text"):
        load_bytes(file.getvalue(), "x.tar", settings=OPEN)


def test_a_damaged_member_costs_only_itself():
    data = bytearray(zipped({"a.txt": "x" * 999 + "a", "b.txt": SAID}))
    at = data.index(b"a.txt") + 7
    data[at : at + 3] = b"\xff\xff\xff"
    documents, error = load_source(bytes(data), "x.zip", settings=OPEN)
    assert [document.uri for document in documents] == ["x.zip!/b.txt"]
    assert "a.txt (is damaged" in error.why


def test_a_tar_that_is_cut_off_keeps_what_was_read():
    data = tar({"a.txt": SAID.encode(), "b.txt": b"x" * 5_000})
    documents, error = load_source(data[:3_000], "x.tar", settings=OPEN)
    assert [document.uri for document in documents] == ["x.tar!/a.txt"]
    assert error is not None


@pytest.mark.parametrize("make", [zipped, tar], ids=["zip", "tar"])
def test_limits_name_their_settings(make):
    files = {f"{n}.txt": b"lamp " * 100 for n in range(10)}
    few = LoadingSettings(archives=True, max_archive_members=9)
    with pytest.raises(LoadError, match=r"loading\.max_archive_members \(9\)"):
        raise load_source(make(files), "x", settings=few).error
    small = LoadingSettings(archives=True, max_expanded_bytes=4_000)
    with pytest.raises(LoadError, match=r"loading\.max_expanded_bytes \(4,000\)"):
        raise load_source(make(files), "x", settings=small).error
    short = LoadingSettings(archives=True, max_file_bytes=499)
    with pytest.raises(LoadError, match=r"loading\.max_file_bytes \(499\)"):
        load_bytes(make(files), "x", settings=short)


def test_text_of_many_small_archives_counts_together():
    inner = zipped({"a.txt": "lamp " * 2_000})
    data = zipped({f"{n}.zip": inner for n in range(5)})
    limits = LoadingSettings(archives=True, max_expanded_bytes=25_000)
    documents, error = load_source(data, "x.zip", settings=limits)
    assert len(documents) == 2
    assert "loading.max_expanded_bytes" in error.why
