"""Word and PowerPoint: headings, tables, notes, charts, slides."""

import io
import zipfile

import docx as python_docx
import pytest
from family_samples import (
    STRICT_RELS,
    docx,
    paragraph,
    pptx,
    relations,
    shape,
)
from made_by_hand import zipped

from ctxeng.loading import load_bytes

STYLES = (
    '<w:style w:styleId="H1"><w:name w:val="heading 1"/></w:style>'
    '<w:style w:styleId="T"><w:name w:val="Title"/></w:style>'
    '<w:style w:styleId="U"><w:name w:val="Überschrift 3"/></w:style>'
    '<w:style w:styleId="Mine"><w:name w:val="Mine"/><w:basedOn w:val="H1"/></w:style>'
    '<w:style w:styleId="Out"><w:name w:val="Out"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr>'
    "</w:style>"
    '<w:style w:styleId="A"><w:name w:val="A"/><w:basedOn w:val="B"/></w:style>'
    '<w:style w:styleId="B"><w:name w:val="B"/><w:basedOn w:val="A"/></w:style>'
)


def text(data, name="a.docx"):
    (document,) = load_bytes(data, name)
    return document.text


@pytest.mark.parametrize(
    ("style", "marks"),
    [("H1", "# "), ("T", "# "), ("U", "### "), ("Mine", "# "), ("Out", "## "), ("A", ""), ("", "")],
)
def test_headings_are_known_by_name_outline_or_origin(style, marks):
    assert text(docx(paragraph("Oil", style), styles=STYLES)) == f"{marks}Oil"


def test_a_paragraph_may_give_its_own_outline_level():
    own = '<w:p><w:pPr><w:outlineLvl w:val="2"/></w:pPr><w:r><w:t>Oil</w:t></w:r></w:p>'
    body_level = own.replace('"2"', '"9"')
    assert text(docx(own + body_level)) == "### Oil\n\nOil"


def test_items_of_lists_are_marked():
    def numbered(number, style=""):
        named = f'<w:pStyle w:val="{style}"/>' if style else ""
        numbers = f'<w:numPr><w:numId w:val="{number}"/></w:numPr>'
        return f"<w:p><w:pPr>{named}{numbers}</w:pPr><w:r><w:t>Oil</w:t></w:r></w:p>"

    item = '<w:pPr><w:numPr><w:numId w:val="3"/></w:numPr></w:pPr>'
    styles = f'{STYLES}<w:style w:styleId="L"><w:name w:val="List Bullet"/>{item}</w:style>'
    body = numbered(1) + paragraph("Wax", "L") + numbered(0, "L") + numbered(2, "H1")
    assert text(docx(body, styles=styles)) == "- Oil\n\n- Wax\n\nOil\n\n# Oil"


def test_tables_are_rows_with_the_first_as_header():
    def cell(words, span=""):
        properties = f'<w:tcPr><w:gridSpan w:val="{span}"/></w:tcPr>' if span else ""
        return f"<w:tc>{properties}{paragraph(words)}</w:tc>"

    inner = f"<w:tbl><w:tr>{cell('deep')}</w:tr></w:tbl>"
    table = (
        f"<w:tbl><w:tr>{cell('City')}{cell('Litres')}{cell('Cost')}</w:tr>"
        f"<w:tr>{cell('Porto', 2)}{cell('9')}</w:tr>"
        f"<w:tr><w:tc>{paragraph('Faro')}{inner}</w:tc>{cell('12')}</w:tr></w:tbl>"
    )
    assert text(docx(table)).splitlines() == [
        "| City | Litres | Cost |",
        "| --- | --- | --- |",
        "| Porto |  | 9 |",
        "| Faro deep | 12 |",
    ]


def test_what_was_deleted_or_stands_twice_is_left_out():
    body = (
        "<w:p><w:r><w:t>kept </w:t></w:r><w:del><w:r><w:delText>gone</w:delText><w:t>gone</w:t>"
        "</w:r></w:del><w:ins><w:r><w:t>added</w:t></w:r></w:ins></w:p>"
        "<w:moveFrom><w:p><w:r><w:t>moved away</w:t></w:r></w:p></w:moveFrom>"
        '<w:p xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><w:r>'
        f"<mc:AlternateContent><mc:Choice><w:txbxContent>{paragraph('box')}</w:txbxContent>"
        f"</mc:Choice><mc:Fallback><w:txbxContent>{paragraph('box')}</w:txbxContent></mc:Fallback>"
        "</mc:AlternateContent></w:r></w:p>"
        f"<w:sdt><w:sdtContent>{paragraph('control')}</w:sdtContent></w:sdt>"
    )
    assert text(docx(body)) == "kept added\n\nbox\n\ncontrol"


def test_headers_notes_and_comments_follow_once():
    beside = [
        ("header", "header1.xml", paragraph("Handbook")),
        ("header", "header2.xml", paragraph("Handbook")),
        ("footnotes", "footnotes.xml", f"<w:footnote>{paragraph('a note')}</w:footnote>"),
        ("comments", "comments.xml", f"<w:comment>{paragraph('a remark')}</w:comment>"),
    ]
    assert text(docx(paragraph("Body"), beside=beside)) == "Body\n\nHandbook\n\na note\n\na remark"


def test_the_strict_form_is_read_alike():
    space = "http://purl.oclc.org/ooxml/wordprocessingml/main"
    strict = docx(
        paragraph("Oil", "H1") + paragraph("glows"), styles=STYLES, namespace=space,
        office=STRICT_RELS,
    )  # fmt: skip
    assert text(strict) == "# Oil\n\nglows"


def test_title_and_author_come_from_the_properties():
    (document,) = load_bytes(docx(paragraph("x"), title="The Lamp"), "a.docx")
    assert (document.title, document.metadata) == ("The Lamp", {"author": "Ada"})


def test_a_file_of_python_docx_is_read(tmp_path):
    file = python_docx.Document()
    file.add_heading("Lamps", level=1)
    file.add_paragraph("First step", style="List Bullet")
    table = file.add_table(rows=2, cols=2)
    for at, words in enumerate(("City", "Litres", "Porto", "12")):
        table.cell(at // 2, at % 2).text = words
    file.sections[0].header.paragraphs[0].text = "Handbook"
    file.save(tmp_path / "a.docx")
    found = text((tmp_path / "a.docx").read_bytes())
    assert found == (
        "# Lamps\n\n- First step\n\n| City | Litres |\n| --- | --- |\n| Porto | 12 |\n\nHandbook"
    )


def test_slides_are_parts_with_title_first_and_notes_last():
    first = shape("one") + shape("Lamps", kind="ctrTitle") + shape("7", kind="sldNum")
    notes = shape("say this", kind="body") + shape("7", kind="sldNum")
    (document,) = load_bytes(pptx(first, "", shape("last"), notes=notes), "a.pptx")
    assert document.text == "# Lamps\n\none\n\nsay this\n\nlast"
    assert [part.label for part in document.parts] == ["slide 1", "slide 3"]
    assert document.metadata == {"slides": 3}


def test_groups_tables_and_charts_of_a_slide_are_read():
    def cell(words):
        return f"<a:tc><a:txBody><a:p><a:r><a:t>{words}</a:t></a:r></a:p></a:txBody></a:tc>"

    table = (
        f"<p:graphicFrame><a:tbl><a:tr>{cell('City')}{cell('Litres')}</a:tr>"
        f"<a:tr>{cell('Porto')}{cell('12')}</a:tr></a:tbl></p:graphicFrame>"
    )
    group = f"<p:grpSp>{shape('in', 'a group')}</p:grpSp>"
    data = pptx(group + table)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["ppt/slides/_rels/slide1.xml.rels"] = relations(("chart", "../charts/c.xml"))
    chart = (
        '<c:chart xmlns:c="c" xmlns:a="a"><a:t>Sales</a:t><c:v>2024</c:v><c:v>2024</c:v></c:chart>'
    )
    parts["ppt/charts/c.xml"] = chart
    assert text(zipped(parts), "a.pptx") == (
        "in\na group\n\n| City | Litres |\n| --- | --- |\n| Porto | 12 |\n\nSales, 2024"
    )


def test_parts_that_are_missing_cost_nothing_else():
    with zipfile.ZipFile(io.BytesIO(pptx(shape("one"), shape("two")))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    del parts["ppt/slides/slide1.xml"]
    assert text(zipped(parts), "a.pptx") == "two"
