"""One small valid file of each family, made by hand, and the words that a person reads in it."""

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile

from made_by_hand import ole, pdf, shown_at, zipped

from ctxeng.testing.loaders import Sample

SAID = "The lamp glows. Its oil lasts twelve hours."
RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE_RELS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STRICT_RELS = "http://purl.oclc.org/ooxml/officeDocument/relationships"
W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
P = "http://schemas.openxmlformats.org/presentationml/2006/main"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"
S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
CORE = (
    '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/'
    'core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title>'
    "<dc:creator>Ada</dc:creator></cp:coreProperties>"
)


def relations(*kinds_and_targets, office=OFFICE_RELS):
    rows = "".join(
        f'<Relationship Id="r{n}" Type="{office}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(kinds_and_targets, start=1)
    )
    return f'<Relationships xmlns="{RELS}">{rows}</Relationships>'


def package(main, parts, *, title="", office=OFFICE_RELS):
    top = [("officeDocument", main)]
    if title:
        parts = {"docProps/core.xml": CORE.format(title=title), **parts}
        top.append(("core-properties", "docProps/core.xml"))
    start = {"[Content_Types].xml": "<Types/>", "_rels/.rels": relations(*top, office=office)}
    return zipped({**start, **parts})


def docx(body, *, beside=(), styles="", namespace=W, title="", office=OFFICE_RELS):
    """``beside``: (kind, file name, content) of header, footnotes …"""
    space = f'xmlns:w="{namespace}"'
    parts = {
        "word/document.xml": f"<w:document {space}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": f'<w:styles xmlns:w="{namespace}">{styles}</w:styles>',
        "word/_rels/document.xml.rels": relations(
            ("styles", "styles.xml"), *((kind, name) for kind, name, _ in beside), office=office
        ),
    }
    for kind, name, content in beside:
        parts[f"word/{name}"] = f'<w:{kind} xmlns:w="{namespace}">{content}</w:{kind}>'
    return package("word/document.xml", parts, title=title, office=office)


def paragraph(text, style=""):
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def pptx(*slides, notes=None):
    """Each slide: its shape tree."""
    ids = "".join(f'<p:sldId id="{255 + n}" r:id="r{n}"/>' for n in range(1, len(slides) + 1))
    parts = {
        "ppt/presentation.xml": f'<p:presentation xmlns:p="{P}" xmlns:r="{OFFICE_RELS}">'
        f"<p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            *(("slide", f"slides/slide{n}.xml") for n in range(1, len(slides) + 1))
        ),
    }
    tree = '<p:{0} xmlns:p="{1}" xmlns:a="{2}"><p:cSld><p:spTree>{3}</p:spTree></p:cSld></p:{0}>'
    for number, shapes in enumerate(slides, start=1):
        parts[f"ppt/slides/slide{number}.xml"] = tree.format("sld", P, A, shapes)
    if notes:
        parts["ppt/notesSlides/n.xml"] = tree.format("notes", P, A, notes)
        parts["ppt/slides/_rels/slide1.xml.rels"] = relations(
            ("notesSlide", "../notesSlides/n.xml")
        )
    return package("ppt/presentation.xml", parts)


def shape(*texts, kind=""):
    place = f'<p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>' if kind else ""
    lines = "".join(f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p>" for text in texts)
    return f"<p:sp>{place}<p:txBody>{lines}</p:txBody></p:sp>"


def xlsx(*sheets, strings=(), styles="", book="", beside=None, office=OFFICE_RELS, namespace=S):
    """Each sheet: (name, rows as XML)."""
    tabs = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, (name, _) in enumerate(sheets, 1)
    )
    shared = "".join(f"<si>{text}</si>" for text in strings)
    parts = {
        "xl/workbook.xml": f'<workbook xmlns="{namespace}" xmlns:r="{office}">{book}'
        f"<sheets>{tabs}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relations(
            *(("worksheet", f"worksheets/s{n}.xml") for n in range(1, len(sheets) + 1)),
            ("sharedStrings", "sharedStrings.xml"), ("styles", "styles.xml"), office=office,
        ),
        "xl/sharedStrings.xml": f'<sst xmlns="{namespace}">{shared}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{namespace}">{styles}</styleSheet>',
    }  # fmt: skip
    for number, (_, rows) in enumerate(sheets, start=1):
        parts[f"xl/worksheets/s{number}.xml"] = (
            f'<worksheet xmlns="{namespace}"><sheetData>{rows}</sheetData></worksheet>'
        )
    return package("xl/workbook.xml", {**parts, **(beside or {})}, office=office)


def row(number, *cells):
    """Each cell: (column letter, text)."""
    inside = "".join(
        f'<c r="{column}{number}" t="inlineStr"><is><t>{text}</t></is></c>'
        for column, text in cells
    )
    return f'<row r="{number}">{inside}</row>'


OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
ODF_SPACES = " ".join(
    f'xmlns:{name}="{OASIS}{path}:1.0"'
    for name, path in (("office", "office"), ("text", "text"), ("table", "table"),
                       ("draw", "drawing"), ("meta", "meta"))
)  # fmt: skip


def odf(kind, body, *, title=""):
    parts = {
        "mimetype": f"application/vnd.oasis.opendocument.{kind}",
        "content.xml": f"<office:document-content {ODF_SPACES}><office:body><office:{kind}>{body}"
        f"</office:{kind}></office:body></office:document-content>",
    }
    if title:
        parts["meta.xml"] = (
            f'<office:document-meta {ODF_SPACES} xmlns:dc="http://purl.org/dc/elements/1.1/">'
            f"<office:meta><dc:title>{title}</dc:title></office:meta></office:document-meta>"
        )
    return zipped(parts)


def epub(*chapters, title="", folder="OEBPS/"):
    items = "".join(f'<item id="c{n}" href="c%20{n}.xhtml"/>' for n in range(len(chapters)))
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:'
        f'container"><rootfiles><rootfile full-path="{folder}p.opf"/></rootfiles></container>',
        f"{folder}p.opf": '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/'
        f'dc/elements/1.1/"><metadata><dc:title>{title}</dc:title></metadata><manifest>{items}'
        f"</manifest><spine>{spine}</spine></package>",
    }
    parts |= {f"{folder}c {n}.xhtml": chapter for n, chapter in enumerate(chapters)}
    return zipped(parts)


def xhtml(body, title="<title/>"):
    return (
        '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml">'
        f"<head>{title}</head><body>{body}</body></html>"
    )


def biff(*records):
    return b"".join(struct.pack("<HH", kind, len(body)) + body for kind, body in records)


def xls(rows, *, sheet="Oil"):
    """A workbook of Excel 97. Rows of texts and numbers."""
    cells = [(0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0, 0, 0))]
    for at, values in enumerate(rows):
        for column, value in enumerate(values):
            place = struct.pack("<HHH", at, column, 0)
            if isinstance(value, str):
                text = struct.pack("<HB", len(value), 1) + value.encode("utf-16-le")
                cells.append((0x0204, place + text))
            else:
                cells.append((0x0203, place + struct.pack("<d", value)))
    inside = biff(*cells, (0x000A, b""))
    name = struct.pack("<BB", len(sheet), 0) + sheet.encode("latin-1")
    globals_size = 4 + 16 + 4 + 6 + len(name) + 4
    book = biff(
        (0x0809, struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0, 0, 0)),
        (0x0085, struct.pack("<IH", globals_size, 0) + name),
        (0x000A, b""),
    )
    assert len(book) == globals_size
    return ole({"Workbook": book + inside})


def doc(text, *, headings=(), flags=0):
    """A document of Word 97. ``headings``: (number of the paragraph, level)."""
    body = text.encode("utf-16-le")
    start = 2_048
    stream = bytearray(b"\0" * start + body)
    page_number = -(-len(stream) // 512)
    stream = stream.ljust(512 * page_number, b"\0")
    paragraphs = text.split("\r")
    ends = [0]
    for one in paragraphs:
        ends.append(ends[-1] + 2 * (len(one) + 1))
    levels = dict(headings)
    page = bytearray(512)
    count = len(paragraphs)
    struct.pack_into(f"<{count + 1}I", page, 0, *(start + end for end in ends))
    for index in range(count):
        at = 400 + 4 * index
        page[4 * (count + 1) + 13 * index] = at // 2
        struct.pack_into("<BH", page, at, 2, levels.get(index, 0))
    page[511] = count
    stream += page
    pieces = struct.pack("<BI", 2, 16) + struct.pack("<II", 0, len(text))
    pieces += struct.pack("<HIH", 0, start, 0)
    bins = struct.pack("<III", start, start + len(body), page_number)
    struct.pack_into("<H", stream, 0, 0xA5EC)
    struct.pack_into("<H", stream, 0x0A, 0x0200 | flags)
    struct.pack_into("<II", stream, 0x0102, 0, len(bins))
    struct.pack_into("<II", stream, 0x01A2, len(bins), len(pieces))
    return ole({"WordDocument": bytes(stream), "1Table": bins + pieces})


def record(kind, body, *, instance=0, container=False):
    return struct.pack("<HHI", instance << 4 | (0xF if container else 0), kind, len(body)) + body


def ppt(*slides, extra=None):
    """A presentation of PowerPoint 97. Each slide: (title, other text of the outline, text box)."""
    outline, boxes = b"", []
    for number, (title, text, box) in enumerate(slides):
        outline += record(0x03F3, struct.pack("<IIIII", number + 2, 0, 0, 256 + number, 0))
        outline += record(0x0F9F, struct.pack("<I", 0)) + record(0x0FA8, title.encode("latin-1"))
        outline += record(0x0F9F, struct.pack("<I", 1)) + record(0x0FA0, text.encode("utf-16-le"))
        inside = record(0x0F9F, struct.pack("<I", 4)) + record(0x0FA0, box.encode("utf-16-le"))
        boxes.append(record(0x03EE, record(0xF00D, inside, container=True), container=True))
    document = record(0x03E8, record(0x0FF0, outline, container=True), container=True)
    stream, places = b"", []
    for one in (document, *boxes):
        places.append(len(stream))
        stream += one
    persisted = len(stream)
    table = struct.pack("<I", 1 | len(places) << 20) + struct.pack(f"<{len(places)}I", *places)
    stream += record(0x1772, table)
    newest = len(stream)
    stream += record(0x0FF5, struct.pack("<IHBBIIIIHH", 0, 0, 0, 3, 0, persisted, 1, 9, 1, 0))
    user = struct.pack("<HHI", 0, 0x0FF6, 20) + struct.pack("<III", 20, 0xE391C05F, newest)
    own = {"Current User": user.ljust(40, b"\0"), "PowerPoint Document": stream}
    return ole({**own, **(extra or {})})


def properties(texts=(), *, numbers=(), header=32, place=""):
    """Streams of one storage of a .msg file: wide texts by property, and fixed values."""
    fixed = b"\0" * header + b"".join(
        struct.pack("<HHI", kind, identity, 6) + struct.pack("<Q", value)
        for identity, kind, value in numbers
    )
    streams = {f"{place}__properties_version1.0": fixed}
    for identity, content in dict(texts).items():
        kind, data = (
            (0x001F, content.encode("utf-16-le")) if isinstance(content, str) else (0x0102, content)
        )
        streams[f"{place}__substg1.0_{identity:04X}{kind:04X}"] = data
    return streams


SENT = 133_500_000_000_000_000  # 100 ns since 1601: in the January of 2024


def msg(body=SAID, *, extra=None, **more):
    texts = {0x0037: "Oil", 0x0C1A: "Ada", 0x0C1F: "ada@example.org"}
    texts |= {0x1000: body} if body else {}
    streams = properties(texts | more.get("texts", {}), numbers=[(0x0039, 0x0040, SENT)])
    streams |= properties({0x3001: "Bo", 0x39FE: "bo@example.org"}, header=8,
                          place="__recip_version1.0_#00000000/")  # fmt: skip
    return ole({**streams, **(extra or {})})


EML = f"""From: Ada <ada@example.org>
To: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>
Subject: Oil
Date: Mon, 1 Jan 2024 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: multipart/alternative; boundary="c"

--c
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

The lamp glows. Its oil l=
asts twelve hours.
--c
Content-Type: text/html

<p>{SAID}</p>
--c--
--b
Content-Type: text/csv; name="oil.csv"
Content-Disposition: attachment; filename="oil.csv"

city,litres
Porto,12
--b--
""".encode()

NOTEBOOK = {
    "metadata": {"language_info": {"name": "python"}},
    "nbformat": 4,
    "cells": [
        {"cell_type": "markdown", "source": ["# Lamps\n", "\n", SAID]},
        {
            "cell_type": "code",
            "source": "print(litres)",
            "outputs": [{"output_type": "stream", "text": ["12\n"]}],
        },
    ],
}


def tar(files, mode="w"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


RTF = (
    rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\stylesheet{\s1 heading 1;}}"
    rb"{\info{\title Lamps}}\pard\s1 Oil\par\pard The lamp glows. Its oil lasts twelve hours.\par}"
)

SAMPLES = [
    Sample("a.txt", SAID.encode(), SAID),
    Sample("utf16.txt", SAID.encode("utf-16"), SAID),
    Sample("a.md", f"# Oil\n\n{SAID}\n".encode(), f"Oil {SAID}"),
    Sample("a.rst", f"Oil\n===\n\n{SAID}\n".encode(), f"Oil {SAID}"),
    Sample("a.py", b"def glow(oil):\n    return oil\n", "def glow(oil): return oil"),
    Sample("a.html", f"<h1>Oil</h1><p>{SAID}</p><script>no</script>".encode(), f"Oil {SAID}"),
    Sample("a.csv", b'city;litres\n"Porto; old";12\n', "city litres Porto old 12"),
    Sample("a.json", b'{"lamp": {"oil": [12, true]}}', "lamp oil 12 True"),
    Sample("a.jsonl", b'{"oil": 12}\n{"oil": 14}\n', "oil 12 14"),
    Sample("a.xml", b'<lamp oil="12"><note>glows</note></lamp>', "lamp oil 12 note glows"),
    Sample("a.ipynb", json.dumps(NOTEBOOK).encode(), f"Lamps {SAID} print litres 12"),
    Sample("a.pdf", pdf(shown_at((72, 700, SAID.encode()))), SAID),
    Sample("a.docx", docx(paragraph("Oil", "H") + paragraph(SAID),
                          styles='<w:style w:styleId="H"><w:name w:val="heading 1"/></w:style>'),
           f"Oil {SAID}"),
    Sample("a.pptx", pptx(shape("Oil", kind="title") + shape(SAID)), f"Oil {SAID}"),
    Sample("a.xlsx", xlsx(("Oil", row(1, ("A", "city"), ("B", "litres")) + row(2, ("A", SAID)))),
           f"Oil city litres {SAID}"),
    Sample("a.xls", xls([["city", "litres"], ["Porto", 12.0]]), "Oil city litres Porto 12"),
    Sample("a.doc", doc(f"Oil\r{SAID}\r", headings=[(0, 1)]), f"Oil {SAID}"),
    Sample("a.ppt", ppt(("Oil", SAID, "Porto")), f"Oil {SAID} Porto"),
    Sample("a.odt", odf("text", f"<text:h>Oil</text:h><text:p>{SAID}</text:p>"), f"Oil {SAID}"),
    Sample("a.rtf", RTF, f"Oil {SAID}"),
    Sample("a.epub", epub(xhtml(f"<h1>Oil</h1><p>{SAID}</p>")), f"Oil {SAID}"),
    Sample("a.eml", EML, f"Subject Oil From Ada ada example org To Jörg joerg Date Mon 1 Jan 2024 "
           f"10 00 00 0000 {SAID} city litres Porto 12"),
    Sample("a.mbox", b"From a\nSubject: Oil\n\nIt glows.\n\nFrom b\nSubject: Oil\n\nIt lasts.\n",
           "Subject Oil It glows lasts"),
    Sample("a.msg", msg(), "Subject Oil From Ada ada example org To Bo bo Date 2024 01 17 21 20 "
           + f"00 00 {SAID}"),
    Sample("a.zip", zipped({"b.txt": SAID, "c/d.md": "# Oil"}), f"Oil {SAID}"),
    Sample("a.tar", tar({"b.txt": SAID.encode(), "c/d.md": b"# Oil"}), f"Oil {SAID}"),
    Sample("a.tar.gz", tar({"b.txt": SAID.encode()}, "w:gz"), SAID),
    Sample("a.txt.gz", gzip.compress(SAID.encode(), mtime=0), SAID),
    Sample("a.txt.bz2", bz2.compress(SAID.encode()), SAID),
    Sample("a.txt.xz", lzma.compress(SAID.encode()), SAID),
]  # fmt: skip
