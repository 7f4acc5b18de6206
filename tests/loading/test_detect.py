"""What bytes are is told by their content before their name."""

import pytest
from family_samples import SAMPLES
from made_by_hand import ole, zipped

from ctxeng.loading.detect import kind_of, language_of

KINDS = {
    "a.pdf": "pdf", "a.docx": "docx", "a.pptx": "pptx", "a.xlsx": "xlsx", "a.xls": "xls",
    "a.doc": "doc", "a.ppt": "ppt", "a.msg": "outlook", "a.odt": "odf", "a.epub": "epub",
    "a.rtf": "rtf", "a.zip": "zip", "a.tar": "tar", "a.tar.gz": "compressed",
    "a.txt.bz2": "compressed", "a.txt.xz": "compressed",
}  # fmt: skip


@pytest.mark.parametrize("name", ["a", "a.txt", "a.md", "a.html", "a.docx", "a.xls"])
@pytest.mark.parametrize("uri", KINDS)
def test_containers_are_known_under_any_name(uri, name):
    data = next(sample.data for sample in SAMPLES if sample.uri == uri)
    assert kind_of(data, name) == KINDS[uri]


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (b"<!doctype html><p>x", "page", "html"),
        (b"\xef\xbb\xbf  <HTML>", "page.xls", "html"),
        (b'<?xml version="1.0"?><a/>', "data", "xml"),
        (b"plain", "a.MD", "markdown"),
        (b"plain", "x.zip!/b.RST", "rest"),
        (b"plain", "a.py", "code"),
        (b"plain", "README", "text"),
        (b"x" * 500 + b"%PDF-1.4", "a", "pdf"),
        (b"PK\x03\x04 cut off", "a.docx", "docx"),
        (b"PK\x03\x04 cut off", "a", "zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 cut off", "a.xls", "xls"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 cut off", "a", "ole"),
        (ole({"Other": b"x"}), "a.doc", "ole"),
        (ole({"EncryptedPackage": b"x"}), "a.xlsx", "encrypted"),
        (zipped({"[Content_Types].xml": "", "word/document2.xml": ""}), "a", "docx"),
        (zipped({"[Content_Types].xml": "", "xl\\workbook.xml": ""}), "a", "xlsx"),
        (zipped({"word/notes.txt": ""}), "a", "zip"),
    ],
)
def test_the_rest_is_known_by_its_head_or_its_name(data, name, kind):
    assert kind_of(data, name) == kind


def test_languages_are_known_by_the_name_of_the_file():
    names = ("src/a.py", "x.zip!/b.GO", "Makefile", "a.md", "a")
    assert [language_of(name) for name in names] == ["python", "go", "make", "", ""]
