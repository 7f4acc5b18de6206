"""Workbooks: each sheet a part, rows as lines, values as a person reads them."""

import struct

import pytest
import xlsxwriter
from family_samples import STRICT_RELS, S, biff, relations, row, xls, xlsx

from ctxeng.loading import load_bytes
from ctxeng.loading.sheets import number_text


def load_one(data, name="a.xlsx"):
    (document,) = load_bytes(data, name)
    return document


def test_each_sheet_is_a_part_with_its_name_as_title():
    data = xlsx(("Oil", row(1, ("A", "city"))), ("Empty", ""), ("Wicks", row(2, ("B", "length"))))
    document = load_one(data)
    assert document.text == "# Oil\ncity\n\n# Wicks\nlength"
    assert [(part.label, part.format) for part in document.parts] == [
        ("sheet Oil", "table"), ("sheet Wicks", "table"),
    ]  # fmt: skip


def test_cells_stand_under_their_columns_and_unused_columns_are_left_out():
    rows = row(1, ("B", "city"), ("D", "litres"), ("E", "cost")) + row(
        2, ("B", "Porto"), ("E", "9")
    )
    assert load_one(xlsx(("S", rows))).text == "# S\ncity | litres | cost\nPorto |  | 9"


def test_a_line_break_in_a_cell_keeps_its_row_on_one_line():
    rows = row(1, ("A", "two\nlines"), ("B", "x"))
    assert load_one(xlsx(("S", rows))).text == "# S\ntwo lines | x"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ('<c t="s"><v>0</v></c>', "shared lamp"),
        ('<c t="s"><v>7</v></c>', ""),
        ('<c t="str"><v>formula</v></c>', "formula"),
        ("<c><f>SUM(A1:A2)</f><v>3</v></c>", "3"),
        ("<c><f>SUM(A1:A2)</f><v/></c>", "=SUM(A1:A2)"),
        ('<c><f t="shared" si="0"/></c>', ""),
        ('<c t="b"><v>1</v></c>', "TRUE"),
        ('<c t="b"><v>0</v></c>', "FALSE"),
        ('<c t="e"><v>#DIV/0!</v></c>', "#DIV/0!"),
        ('<c t="d"><v>2024-01-31</v></c>', "2024-01-31"),
        ("<c><v>0.1</v></c>", "0.1"),
        ("<c><v>0.30000000000000004</v></c>", "0.3"),
        ("<c><v>12.0</v></c>", "12"),
        ("<c><v>1E+20</v></c>", "1E+20"),
        ('<c s="1"><v>45322</v></c>', "2024-01-31"),
        ('<c s="1"><v>45322.75</v></c>', "2024-01-31 18:00:00"),
        ('<c s="1"><v>0.5</v></c>', "12:00:00"),
        ('<c s="2"><v>45322</v></c>', "2024-01-31"),
        ('<c s="3"><v>45322</v></c>', "45322"),
        ('<c s="4"><v>45322</v></c>', "45322"),
        ('<c s="5"><v>45322</v></c>', "45322"),
        ('<c s="9"><v>45322</v></c>', "45322"),
    ],
)
def test_values_are_shown_as_a_person_reads_them(cell, shown):
    styles = (
        '<numFmts><numFmt numFmtId="170" formatCode="dd/mm/yy"/>'
        '<numFmt numFmtId="171" formatCode="0.00E+00"/>'
        '<numFmt numFmtId="172" formatCode="General"/>'
        '<numFmt numFmtId="173" formatCode="#,##0 &quot;days&quot;"/></numFmts><cellXfs>'
        '<xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="170"/><xf numFmtId="171"/>'
        '<xf numFmtId="172"/><xf numFmtId="173"/></cellXfs>'
    )
    rows = f'<row r="1">{cell}<c t="str"><v>end</v></c></row>'
    spoken = "<r><t>shared </t></r><r><t>lamp</t></r><rPh><t>spoken</t></rPh>"
    text = load_one(xlsx(("S", rows), strings=[spoken], styles=styles)).text
    assert text == (f"# S\n{shown} | end" if shown else "# S\nend")


def test_the_calendar_of_1904_is_four_years_later():
    rows = '<row r="1"><c s="0"><v>43860</v></c></row>'
    styles = '<cellXfs><xf numFmtId="14"/></cellXfs>'
    data = xlsx(("S", rows), styles=styles, book='<workbookPr date1904="1"/>')
    assert load_one(data).text == "# S\n2024-01-31"


def test_numbers_keep_fifteen_digits():
    assert number_text("0.1234567890123456789", None) == "0.123456789012346"
    assert number_text("no number", None) == "no number"
    assert number_text("-5", None) == "-5"


def test_the_strict_form_is_read_alike():
    space = S.replace(
        "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
        "http://purl.oclc.org/ooxml/spreadsheetml/main",
    )
    data = xlsx(("S", row(1, ("A", "lamp"))), office=STRICT_RELS, namespace=space)
    assert load_one(data).text == "# S\nlamp"


def test_comments_and_text_boxes_are_a_part_of_their_own():
    beside = {
        "xl/worksheets/_rels/s1.xml.rels": relations(
            ("comments", "../comments1.xml"), ("drawing", "../drawings/d.xml")
        ),
        "xl/comments1.xml": f'<comments xmlns="{S}"><commentList><comment ref="A1"><text><r>'
        "<t>check this</t></r></text></comment></commentList></comments>",
        "xl/drawings/d.xml": '<x:wsDr xmlns:x="x" xmlns:a="a"><x:txBody><a:p><a:r><a:t>a box</a:t>'
        "</a:r></a:p></x:txBody></x:wsDr>",
    }
    document = load_one(xlsx(("S", row(1, ("A", "lamp"))), beside=beside))
    assert document.text == "# S\nlamp\n\nA1: check this\n\na box"
    assert [part.label for part in document.parts] == ["sheet S", "notes on sheet S"]


def test_a_file_of_another_writer_is_read(tmp_path):
    with xlsxwriter.Workbook(str(tmp_path / "a.xlsx")) as book:
        sheet = book.add_worksheet("Stock")
        day = book.add_format({"num_format": "d mmm yyyy"})
        for at, values in enumerate([("city", "litres", "day"), ("Porto", 12.5, 45322)]):
            for column, value in enumerate(values):
                sheet.write(at, column, value, day if value == 45322 else None)
        sheet.write_formula(2, 1, "=SUM(B2:B2)", None, 12.5)
    text = load_one((tmp_path / "a.xlsx").read_bytes()).text
    assert text == "# Stock\ncity | litres | day\nPorto | 12.5 | 2024-01-31\n| 12.5"


def test_a_workbook_of_excel_97_is_read():
    document = load_one(xls([["city", "litres"], ["Pôrto", 12.5]], sheet="Oil"), "a.xls")
    assert document.text == "# Oil\ncity | litres\nPôrto | 12.5"
    assert document.parts[0].label == "sheet Oil"
    assert document.media_type == "application/vnd.ms-excel"


def test_a_workbook_of_excel_4_needs_no_container():
    label = b"lamp"
    data = biff(
        (0x0409, struct.pack("<HHH", 0, 0x10, 0)),
        (0x0204, struct.pack("<HHHH", 0, 0, 0, len(label)) + label),
        (0x0203, struct.pack("<HHHd", 0, 1, 0, 12.0)),
        (0x000A, b""),
    )
    assert load_one(data, "old.xls").text.splitlines()[1] == "lamp | 12"
