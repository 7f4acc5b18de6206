"""Bombs, entities, endless nesting and lies: a clear error or documents, soon, in little memory."""

import io
import json
import subprocess
import sys
import time
import zipfile

import pytest
from family_samples import SAID, SAMPLES, W, doc, docx, epub, odf, paragraph, row, xhtml, xlsx
from made_by_hand import ole, pdf, zipped

from ctxeng.errors import LoadError
from ctxeng.loading import load_source
from ctxeng.settings import LoadingSettings

OPEN = LoadingSettings(archives=True)
SECONDS = 4.0
"""Of CPU; most cases take a hundredth of it, and CI machines are slow."""
BY_NAME = {sample.uri: sample.data for sample in SAMPLES}


def outcome(data, name, settings=OPEN):
    """What came of it; anything but documents and a LoadError fails the test, and so does time."""
    began = time.process_time()
    documents, error = load_source(data, name, settings=settings)
    assert time.process_time() - began < SECONDS
    assert documents or error is not None
    if error is not None:
        assert error.uri == name
        assert error.why
        assert error.hint
    return documents, error


DEEP = 100_000
NESTED = {
    "arrays.json": b"[" * DEEP + b"]" * DEEP,
    "objects.json": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "cells.ipynb": b'{"cells":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "open.html": b"<div>" * DEEP + b"lamp",
    "inline.html": b"<b><i>" * (DEEP // 2) + b"lamp",
    "tables.html": b"<table><tr><td>" * (DEEP // 5) + b"lamp",
    "multipart.eml": b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(3_000)
    ),
    "forwarded.eml": b"Subject: x\n" + b"Content-Type: message/rfc822\n\n" * 5_000 + b"lamp",
    "deep.docx": docx("<w:sdt>" * 5_000 + paragraph(SAID) + "</w:sdt>" * 5_000),
    "deep.odt": odf("text", "<text:list>" * 5_000 + "<text:p>a</text:p>" + "</text:list>" * 5_000),
}


@pytest.mark.parametrize("name", NESTED)
def test_what_is_nested_without_end_is_one_bad_file(name):
    documents, error = outcome(NESTED[name], name)
    assert not documents
    assert "nested too deeply" in error.why or "Excessive depth" in error.why


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("quotes.md", b"> " * 10_000 + b"lamp\n"),
        ("lists.md", b"".join(b"  " * n + b"- lamp\n" for n in range(1_000))),
        ("elements.xml", b"<a>" * DEEP + b"lamp" + b"</a>" * DEEP),
        ("groups.rtf", b"{\\rtf1 " + b"{" * DEEP + b"lamp" + b"}" * DEEP + b"}"),
        ("few.json", b'{"a":' * 900 + b'"lamp"' + b"}" * 900),
        ("few.html", b"<div>" * 2_000 + b"lamp"),
    ],
)
def test_what_may_be_nested_is_read(name, data):
    documents, error = outcome(data, name)
    assert error is None
    assert "lamp" in documents[0].text


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("quotes.txt", b'"a"' * 50_000 + b"!"),
        ("quotes.csv", b'"a"' * 50_000 + b"!"),
        ("commas.csv", b",'x" * 50_000),
        ("spaces.csv", b" " * 8_000 + b'"' + b" " * 50_000 + b"x"),
        ("underline.rst", b"a" + b"=" * 200_000 + b"\n" + b"-" * 200_000),
        ("front.md", b"---\n" * 100_000),
        ("hashes.md", b"# " * 200_000),
        ("fields.rtf", b"{\\rtf1 " + b'{\\field{\\*\\fldinst{HYPERLINK "' * 20_000),
        ("fonts.rtf", b"{\\rtf1{\\fonttbl" + b"\\f1\\fcharset" * 50_000),
        (
            "addresses.eml",
            b"To: " + b", ".join(b"a%d@b.c" % n for n in range(50_000)) + b"\n\nlamp",
        ),
        ("words.eml", b"Subject: " + b"=?utf-8?q?a?= " * 100_000 + b"\n\nlamp"),
        ("comments.eml", b"From: " + b"(" * DEEP + b"\n\nlamp"),
        (
            "boundaries.eml",
            b'Content-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n\n" * 30_000,
        ),
        ("charset.eml", b"Content-Type: text/plain; charset=punycode\n\n" + b"a-b" * 100_000),
        ("entities.html", b"&" * 200_000 + b"&amp" * 50_000),
        ("attributes.html", b"<p " + b"a=" * 200_000 + b">lamp"),
        ("spans.html", b"<table>" + b"<tr><td rowspan=9 colspan=9999>a" * 3_000),
        ("numbers.json", b"[" + b"9" * 100_000 + b"]"),
        ("high.txt", bytes(range(0x80, 0x100)) * 2_000),
    ],
)
def test_hostile_text_takes_time_in_proportion(name, data):
    outcome(data, name)


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.py", "a.csv", "a.json", "a.html", "a"])
def test_binary_under_a_name_for_text_is_told(name):
    data = bytes(range(256)) * 400
    documents, error = outcome(data, name)
    assert not documents
    assert "binary" in error.why or "no encoding" in error.why


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv", "a.json", "a.html", "a.rst", "a.py"])
def test_a_few_bad_bytes_and_nul_bytes_cost_nothing_else(name):
    text = '"' + "The lamp glows – all night. " * 50
    data = text.encode().replace(b"night", b"ni\xffght", 1).replace(b"glows", b"gl\0ows", 1) + b'"'
    documents, _ = outcome(data, name)
    assert documents[0].text.count("The lamp glows – all night.") >= 48
    assert "\0" not in documents[0].text


BOMBS = """
import json, pathlib, resource, sys, time
from ctxeng.loading import load_source
from ctxeng.settings import LoadingSettings
folder, warm = map(pathlib.Path, sys.argv[1:])
settings = LoadingSettings(archives=True)
for file in sorted(warm.iterdir()):
    load_source(file.read_bytes(), file.name, settings=settings)
before, found = peak(), {}
for file in sorted(folder.iterdir()):
    began = time.process_time()
    documents, error = load_source(file.read_bytes(), file.name, settings=settings)
    found[file.name] = [len(documents), error.why, time.process_time() - began, peak() - before]
print(json.dumps(found))
"""
ONE_FILE = """
import json, pathlib, resource, sys, time
from ctxeng.loading import load_source
file = pathlib.Path(sys.argv[1])
began = time.process_time()
documents, error = load_source(file.read_bytes(), file.name)
seconds = time.process_time() - began
print(json.dumps([sum(len(d.text) for d in documents), str(error), seconds, peak()]))
"""


PEAK = """
import pathlib, resource
def peak():  # MB; ru_maxrss begins with that of whoever started the process, VmHWM does not
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
"""


def in_a_process(code, *arguments):
    """What the code prints, run where its peak of memory is its own."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK + code, *arguments],
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


BOMBED = {
    "bomb.docx": "word/document.xml",
    "bomb.pptx": "ppt/presentation.xml",
    "bomb.xlsx": "xl/worksheets/s1.xml",
    "bomb.odt": "content.xml",
    "bomb.epub": "OEBPS/c 0.xhtml",
    "bomb.zip": "b.txt",
}
BASES = {"bomb.epub": "a.epub", "bomb.odt": "a.odt", "bomb.zip": "a.zip"}
EXPANDED = 199_000_000
"""Below ``max_expanded_bytes``: what it declares alone refuses it not."""


def write_bomb(name, file):
    """A valid file of the kind, one of whose members unpacks to 199 MB, in 200 kB."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        base = BASES.get(name, name.replace("bomb", "a"))
        with zipfile.ZipFile(io.BytesIO(BY_NAME[base])) as original:
            for part in original.namelist():
                if part != BOMBED[name]:
                    archive.writestr(part, original.read(part))
        with archive.open(BOMBED[name], "w") as member:
            member.write(b'<?xml version="1.0"?><w xmlns="%b">' % W.encode())
            for _ in range(199):
                member.write(b"<w/>" * 250_000)
            member.write(b"</w>")
    assert file.stat().st_size < 1_000_000


def lying(data, name, declared=1_000):
    """Declares that a member unpacks to less than it does, in both places that say so."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        member = archive.getinfo(name)
    changed = bytearray(data)
    changed[member.header_offset + 22 : member.header_offset + 26] = declared.to_bytes(4, "little")
    at = changed.rindex(name.encode()) - 46 + 24
    changed[at : at + 4] = declared.to_bytes(4, "little")
    return bytes(changed)


@pytest.mark.slow
def test_bombs_are_refused_in_less_than_64_mb(tmp_path):
    for name in BOMBED:
        write_bomb(name, tmp_path / name)
    inner = (tmp_path / "bomb.zip").read_bytes()
    liar = lying((tmp_path / "bomb.docx").read_bytes(), "word/document.xml")
    (tmp_path / "lies.docx").write_bytes(liar)
    (tmp_path / "nested.zip").write_bytes(zipped({f"{n}.zip": inner for n in range(20)}))
    (tmp_path / "many.zip").write_bytes(many_entries(100_000))
    (tmp_path / "page.pdf").write_bytes(pdf(b"BT /F1 1 Tf " + b"(Lamp) Tj " * 5_000_000 + b"ET"))
    warm = tmp_path.with_name("warm")
    warm.mkdir()
    for sample in SAMPLES:
        (warm / sample.uri).write_bytes(sample.data)
    found = json.loads(in_a_process(BOMBS, tmp_path, warm))
    assert set(found) == {*BOMBED, "lies.docx", "nested.zip", "many.zip", "page.pdf"}
    for name, (documents, why, seconds, grown) in found.items():
        assert seconds < SECONDS, name
        assert grown < 64, name
        assert documents == {"bomb.zip": 1, "nested.zip": 20}.get(name, 0), name  # small neighbours
        assert any(word in why for word in ("times its size", "max_", "bomb")), why


def many_entries(count):
    """A zip of empty files, made without the memory that a hundred thousand objects take."""
    head = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x06\0\0\0"
    entry = b"PK\x01\x02\x14\0\x14\0" + b"\0" * 20 + b"\x06\0" + b"\0" * 12
    out, directory = bytearray(), bytearray()
    for number in range(count):
        name = b"%06d" % number
        directory += entry + len(out).to_bytes(4, "little") + name
        out += head + name
    size, start = len(directory).to_bytes(4, "little"), len(out).to_bytes(4, "little")
    end = b"PK\x05\x06\0\0\0\0" + min(count, 0xFFFF).to_bytes(2, "little") * 2
    return bytes(out + directory + end + size + start + b"\0\0")


def test_a_member_larger_than_it_declares_is_refused():
    data = lying(zipped({"[Content_Types].xml": "", "word/document.xml": b"<a/>" * 50_000}),
                 "word/document.xml")  # fmt: skip
    _, error = outcome(data, "lies.docx")
    assert "larger than it declares" in error.why


def test_methods_of_packing_without_steps_are_refused():
    _, error = outcome(zipped({"a.txt": "a" * 99_999}, method=zipfile.ZIP_BZIP2), "x.zip")
    assert "method 12" in error.why


SHARED = "<t>" + "lamp " * 6_000 + "</t>"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("strings.xlsx", xlsx(
            ("S", "".join(f'<row r="{n}"><c t="s"><v>0</v></c></row>' for n in range(1, 1_000))),
            strings=[SHARED],
        )),
        ("row.xlsx", xlsx(
            ("S", '<row r="1">' + '<c t="s"><v>0</v></c>' * 16_000 + "</row>"), strings=[SHARED]
        )),
        ("keys.json", json.dumps({"k" * 100_000: [{"a": 1}] * 5_000}).encode()),
    ],
)  # fmt: skip
def test_what_is_said_once_and_meant_often_has_a_limit(name, data):
    limits = LoadingSettings(max_expanded_bytes=20_000_000)
    documents, error = outcome(data, name, limits)
    assert not documents
    assert "comes to more text than loading.max_expanded_bytes" in error.why


def test_cells_far_apart_cost_nothing():
    data = xlsx(("S", row(1, ("A", "lamp")) + row(1_048_576, ("XFD", "oil"))))
    documents, _ = outcome(data, "far.xlsx")
    assert documents[0].text == "# S\nlamp\n| oil"


def test_a_sheet_that_says_more_than_it_holds_is_no_matter():
    book = xlsx(("S", row(1, ("A", "lamp"), ("B", "oil"))))
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/sharedStrings.xml"] = b'<sst count="4000000000" uniqueCount="4000000000"/>'
    documents, _ = outcome(zipped(parts), "says.xlsx")
    assert documents[0].text == "# S\nlamp | oil"


def test_repeated_cells_and_chapters_come_a_bounded_number_of_times():
    repeated = (
        '<table:table table:name="S"><table:table-row table:number-rows-repeated="1048576">'
        '<table:table-cell table:number-columns-repeated="16384"><text:p>lamp</text:p>'
        "</table:table-cell></table:table-row></table:table>"
    )
    documents, _ = outcome(odf("spreadsheet", repeated), "a.ods")
    assert documents[0].text.count("lamp") == 1_000
    book = epub(xhtml(f"<p>{SAID}</p>"))
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    spine = b'<itemref idref="c0"/>'
    parts["OEBPS/p.opf"] = parts["OEBPS/p.opf"].replace(spine, spine * 9_999)
    documents, _ = outcome(zipped(parts), "a.epub")
    assert documents[0].text == SAID


ENTITIES = "".join(
    f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "lamp"}">' for n in range(10)
)  # fmt: skip
DOCTYPES = {
    "bomb": f"<!DOCTYPE x [{ENTITIES}]>",
    "file": '<!DOCTYPE x [<!ENTITY l9 SYSTEM "{secret}">]>',
    "parameter": '<!DOCTYPE x [<!ENTITY % p SYSTEM "{secret}"> %p; <!ENTITY l9 "lamp">]>',
    "network": '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
}


@pytest.mark.parametrize("kind", DOCTYPES)
@pytest.mark.parametrize(
    "name", ["a.xml", "a.docx", "a.xlsx", "a.odt", "a.epub", "a.html", "a.svg"]
)
def test_entities_are_never_unfolded_nor_fetched(tmp_path, name, kind):
    secret = tmp_path / "secret.txt"
    secret.write_text("swordfish")
    doctype = DOCTYPES[kind].replace("{secret}", secret.as_uri())
    use = "" if kind == "network" else "&l9;"
    bodies = {
        "a.docx": ("word/document.xml", f'<w:document xmlns:w="{W}"><w:body>'
                   f"{paragraph('A lamp ' + use)}</w:body></w:document>"),
        "a.xlsx": ("xl/sharedStrings.xml", f"<sst><si><t>{use}</t></si></sst>"),
        "a.odt": ("content.xml", None),
        "a.epub": ("OEBPS/c 0.xhtml", f'<html xmlns="http://www.w3.org/1999/xhtml"><body><p>A lamp '
                   f"{use}</p></body></html>"),
    }  # fmt: skip
    if name in bodies:
        part, body = bodies[name]
        with zipfile.ZipFile(io.BytesIO(BY_NAME[name])) as archive:
            parts = {one: archive.read(one) for one in archive.namelist()}
        body = parts[part].decode().replace(SAID, f"A lamp {use}") if body is None else body
        data = zipped({**parts, part: doctype + body})
    else:
        data = f'<?xml version="1.0"?>{doctype}<x><p>A lamp {use}</p></x>'.encode()
    documents, _ = outcome(data, name)
    for document in documents:
        assert "swordfish" not in document.text
        assert document.text.count("lamp") < 100


ENCRYPTED_PDF = (
    b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O (%b) /U (%b) >> "
    b"/ID [(0123456789abcdef) (0123456789abcdef)]" % (b"o" * 32, b"u" * 32)
)


def test_encrypted_files_are_called_encrypted():
    office = ole({"EncryptionInfo": b"x", "EncryptedPackage": b"x"})
    manifest = "<manifest:encryption-data/>"
    flagged = bytearray(zipped({"a.txt": SAID}))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        flagged[flagged.index(mark) + at] |= 1
    for name, data in {
        "a.pdf": pdf(b"BT ET", extra=ENCRYPTED_PDF),
        "a.docx": office,
        "a.xlsx": office,
        "a.doc": doc(SAID, flags=0x0100),
        "a.odt": zipped({"mimetype": "application/vnd.oasis.opendocument.text",
                         "META-INF/manifest.xml": manifest, "content.xml": "x"}),
        "a.zip": bytes(flagged),
    }.items():  # fmt: skip
        documents, error = outcome(data, name)
        assert not documents, name
        assert "is encrypted" in error.why, name
        assert error.hint == "Save it without a password"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.uri)
def test_a_file_cut_anywhere_is_read_or_refused(sample):
    for end in range(1, len(sample.data), max(1, len(sample.data) // 25)):
        outcome(sample.data[:end], sample.uri)


ONE_LINE = {
    "a.txt": b"%b",
    "a.md": b"# %b",
    "a.rst": b"%b",
    "a.py": b'x = "%b"',
    "a.csv": b"%b",
    "a.json": b'"%b"',
    "a.xml": b"<a>%b</a>",
    "a.html": b"<p>%b</p>",
    "a.rtf": b"{\\rtf1 %b}",
    "a.eml": b"Subject: a\n\n%b",
    "a.ipynb": b'{"cells": [{"cell_type": "raw", "source": "%b"}]}',
}


@pytest.mark.slow
def test_fifty_megabytes_of_one_line_are_read_in_bounded_time_and_memory(tmp_path):
    for name, form in ONE_LINE.items():
        (tmp_path / name).write_bytes(form % (b"lamp " * 9_999_900))
        found = in_a_process(ONE_FILE, tmp_path / name)
        characters, error, seconds, peak = json.loads(found)
        assert characters > 49_000_000, (name, error)
        assert seconds < 10, name
        assert peak < 1_200, name
        (tmp_path / name).unlink()


def test_a_load_error_says_what_why_and_what_to_do():
    _, error = outcome(b"%PDF-1.7 broken", "folder/a.pdf")
    assert isinstance(error, LoadError)
    assert str(error) == (
        "folder/a.pdf: cannot be read as pdf: PdfiumError: Failed to load document "
        "(PDFium: Data format error).. It may be damaged: open and save it again"
    )
