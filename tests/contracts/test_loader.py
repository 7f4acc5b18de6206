"""The packaged loader keeps the laws of the Loader contract, for every family of formats."""

import io
import json
import zipfile
from email.message import EmailMessage

import docx
import pptx
import pytest

from ctxeng.loading import load_bytes
from ctxeng.settings import LoadingSettings
from ctxeng.testing.loaders import LOADER_LAWS, Sample


class PackagedLoader:
    """``load_bytes`` as the Protocol has it."""

    def load(self, data, uri):
        return load_bytes(data, uri, settings=LoadingSettings(archives=True))


def sample_of(name, written, text=""):
    """``text`` is what a person reads, where that is not what was written."""
    data = written.encode() if isinstance(written, str) else written
    return Sample(f"folder/{name}", data, text or written)


def zipped(members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def saved(office):
    packed = io.BytesIO()
    office.save(packed)
    return packed.getvalue()


def word():
    document = docx.Document()
    document.add_heading("Leave", 1)
    document.add_paragraph("Staff may take twenty weeks.")
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "office", "Berlin"
    return saved(document)


def slides():
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Roadmap"
    slide.placeholders[1].text = "Ship the pump in March"
    return saved(deck)


def mail():
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = (
        "Pump order",
        "ann@a.example",
        "b@b.example",
    )
    message["Date"] = "Mon, 02 Mar 2026 10:00:00 +0000"
    message.set_content("Please order two pumps.")
    return message.as_bytes()


def pdf(line):
    content = f"BT /F1 12 Tf 72 720 Td ({line}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >> stream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    data, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += b"%d 0 obj %s endobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return data + (
        b"xref\n0 6\n0000000000 65535 f \n%strailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"  # noqa: E501
        % (table, len(data))
    )


EPUB = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="book.opf"/></rootfiles></container>',
    "book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
    '<item id="one" href="one.xhtml" media-type="application/xhtml+xml"/></manifest>'
    '<spine><itemref idref="one"/></spine></package>',
    "one.xhtml": "<html><body><h1>Whaling</h1><p>Call me Ishmael.</p></body></html>",
}
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# Report\n", "What follows counts."], "metadata": {}},
        {"cell_type": "code", "source": "total = 1", "metadata": {}, "outputs": []},
    ],
    "metadata": {"language_info": {"name": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}
SHEET = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'  # noqa: E501
    '<Default Extension="xml" ContentType="application/xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
    'officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '  # noqa: E501
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>'
    '<sheet name="Budget" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": "<Relationships "
    'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" '
    'Target="worksheets/sheet1.xml"/></Relationships>',
    "xl/worksheets/sheet1.xml": '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/'
    'main"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>office</t></is></c>'
    '<c r="B1" t="inlineStr"><is><t>rent</t></is></c></row><row r="2"><c r="A2" t="inlineStr"><is><t>'  # noqa: E501
    'Berlin</t></is></c><c r="B2"><v>900</v></c></row></sheetData></worksheet>',
}
SAMPLES = {
    "text": sample_of("a.txt", "Plain words, ünd more.\n\nSecond paragraph 42."),
    "latin": sample_of("a.txt", "Grüße aus Köln, schöne.".encode("cp1252"), "Grüße aus Köln schöne"),  # noqa: E501
    "markdown": sample_of("a.md", "# Title\n\nSome *bold* text.\n\n- one\n- two"),
    "rest": sample_of("a.rst", "Title\n=====\n\nSome text."),
    "code": sample_of("a.py", "def pay(amount):\n    return amount * rate\n"),
    "html": sample_of(
        "a.html",
        "<html><head><title>Home</title><style>x{}</style></head><body><h1>Home</h1><p>Hello <b>you"
        "</b></p><script>evil()</script></body></html>",
        "Home Hello you",
    ),
    "csv": sample_of("a.csv", "city,rent\nBerlin,900\nParis,1200\n"),
    "json": sample_of("a.json", json.dumps({"city": "Berlin", "rents": [{"year": 2026}]})),
    "jsonl": sample_of("a.jsonl", '{"city": "Berlin"}\n{"city": "Paris"}\n'),
    "xml": sample_of("a.xml", "<?xml version='1.0'?><list><city>Berlin</city></list>", "city Berlin"),  # noqa: E501
    "notebook": sample_of("a.ipynb", json.dumps(NOTEBOOK), "Report What follows counts total = 1"),
    "mail": sample_of(
        "a.eml",
        mail(),
        "Subject Pump order From ann@a.example To b@b.example Date Mon 02 Mar 2026 10:00:00 +0000 "
        "Please order two pumps",
    ),
    "rtf": sample_of("a.rtf", r"{\rtf1\ansi Some \b bold\b0  words.}", "Some bold words"),
    "docx": sample_of("a.docx", word(), "Leave Staff may take twenty weeks office Berlin"),
    "pptx": sample_of("a.pptx", slides(), "Roadmap Ship the pump in March"),
    "xlsx": sample_of("a.xlsx", zipped(SHEET), "Budget office rent Berlin 900"),
    "epub": sample_of("a.epub", zipped(EPUB), "Whaling Call me Ishmael"),
    "pdf": sample_of("a.pdf", pdf("Rotor manual page one"), "Rotor manual page one"),
    "zip": sample_of("a.zip", zipped({"in/b.txt": "Inside words."}), "Inside words"),
}  # fmt: skip


@pytest.mark.parametrize("law", LOADER_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("family", SAMPLES)
def test_laws_hold(law, family):
    law(PackagedLoader(), [SAMPLES[family]])
