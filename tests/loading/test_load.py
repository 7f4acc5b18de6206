"""One source: documents, errors, and errors of its members."""

import pytest
from family_samples import SAID, SAMPLES
from made_by_hand import pdf, zipped

from ctxeng.errors import LoadError
from ctxeng.loading import document_id, load, load_bytes, load_source
from ctxeng.settings import LoadingSettings

OPEN = LoadingSettings(archives=True)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.uri)
def test_a_document_has_a_title_a_media_type_and_parts_within_its_text(sample):
    documents = load_bytes(sample.data, f"folder/{sample.uri}", settings=OPEN)
    for document in documents:
        assert document.title
        assert "/" in document.media_type
        end = 0
        for part in document.parts:
            assert end <= part.span.start < part.span.end <= len(document.text)
            assert document.text[part.span.start : part.span.end].strip()
            end = part.span.end
    if len(documents) == 1 and documents[0].uri == f"folder/{sample.uri}":
        assert documents[0].id == document_id(f"folder/{sample.uri}")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.uri)
def test_a_file_is_a_document_wherever_it_came_from(sample):
    """Also a mail, a member of an archive and a page that names its address: nobody fetched it."""
    loaded = load_bytes(sample.data, sample.uri, settings=OPEN)
    page = b"<!-- saved from url=(0019)http://evil.example/ --><link rel=canonical href=//e><p>Oil"
    assert {one.trust for one in (*loaded, *load_bytes(page, "page.html"))} == {"document"}


def test_the_content_decides_before_the_name(tmp_path):
    page = b"<!DOCTYPE html><title>Oil</title><p>The lamp.</p>"
    assert load_bytes(page, "saved.txt")[0].media_type == "text/html"
    assert load_bytes(pdf(b"BT /F1 9 Tf (Lamp) Tj ET"), "a.docx")[0].media_type == "application/pdf"
    assert load_bytes(SAMPLES[-10].data, "renamed.txt")[0].text.startswith(("# Oil", "Oil"))


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n", b"\0\0\0\0", b"\xff\xfe", b"\xef\xbb\xbf \n"])
@pytest.mark.parametrize("name", ["a.txt", "a.pdf", "a.docx", "a.html", "a.json", "a.eml", "a"])
def test_nothing_is_an_error_that_says_so(name, data):
    with pytest.raises(LoadError) as refused:
        load_bytes(data, name)
    assert refused.value.uri == name
    assert refused.value.why
    assert refused.value.hint


def test_what_is_known_but_not_read_says_what_to_do():
    with pytest.raises(LoadError, match=r"a\.7z: is of a kind that is not read \(7z\)\. Save"):
        load_bytes(b"7z\xbc\xaf\x27\x1c" + b"x" * 50, "a.7z")
    with pytest.raises(LoadError, match=r"Set loading\.archives = true"):
        load_bytes(zipped({"a.txt": SAID}), "a.zip")
    binary = zipped({"[Content_Types].xml": "", "xl/workbook.bin": "x"})
    with pytest.raises(LoadError, match=r"binary workbook\. Save it as XLSX"):
        load_bytes(binary, "a.xlsb")


def test_members_that_fail_are_one_error_and_the_others_are_there():
    files = {"a.txt": SAID, "b.pdf": b"%PDF-1.7 broken", "c.bin": bytes(range(256)), "d.md": ""}
    documents, error = load_source(zipped(files), "x.zip", settings=OPEN)
    assert [document.uri for document in documents] == ["x.zip!/a.txt"]
    assert error.uri == "x.zip"
    assert error.why.startswith("could not be read in part: b.pdf (cannot be read as pdf")
    assert "c.bin (is binary" in error.why
    assert "d.md (is empty)" in error.why
    assert load_bytes(zipped(files), "x.zip", settings=OPEN) == documents


def test_when_all_members_fail_the_archive_fails():
    files = {f"{n}.txt": b"" for n in range(5)}
    with pytest.raises(
        LoadError, match=r"holds nothing that can be read: .* and 2 more"
    ) as refused:
        load_bytes(zipped(files), "x.zip", settings=OPEN)
    assert refused.value.uri == "x.zip"


def test_a_folder_is_loaded_without_what_fails_in_it(tmp_path):
    (tmp_path / "a.txt").write_text(SAID)
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.7 broken")
    (document,) = load(tmp_path)
    assert document.uri == (tmp_path / "a.txt").resolve().as_posix()
    with pytest.raises(LoadError, match=r"b\.pdf"):
        load(tmp_path / "b.pdf")


def test_a_file_over_the_limit_is_refused_by_name(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text(SAID)
    with pytest.raises(LoadError, match=r"loading\.max_file_bytes"):
        load(file, settings=LoadingSettings(max_file_bytes=10))
