"""OpenDocument: text, sheets, slides."""

from family_samples import odf

from ctxeng.loading import load_bytes


def load_one(data, name="a.odt"):
    (document,) = load_bytes(data, name)
    return document


def table(*rows, name=""):
    inside = "".join(
        "<table:table-row>"
        + "".join(f"<table:table-cell><text:p>{cell}</text:p></table:table-cell>" for cell in cells)
        + "</table:table-row>"
        for cells in rows
    )
    return f'<table:table table:name="{name}">{inside}</table:table>'


def test_headings_paragraphs_lists_and_tables_come_in_order():
    body = (
        '<text:h text:outline-level="2">Oil</text:h>'
        "<text:p>It<text:s/>glows<text:line-break/>long</text:p>"
        "<text:list><text:list-item><text:p>one</text:p></text:list-item></text:list>"
        + table(("City", "Litres"), ("Porto", "12"))
    )
    assert load_one(odf("text", body)).text == (
        "## Oil\n\nIt glows\nlong\n\none\n\n| City | Litres |\n| --- | --- |\n| Porto | 12 |"
    )


def test_spans_and_tails_of_text_keep_their_order():
    body = "<text:p>a<text:span>b<text:span>c</text:span>d</text:span>e</text:p>"
    assert load_one(odf("text", body)).text == "abcde"


def test_notes_are_read_and_deletions_are_not():
    body = (
        "<text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p>"
        "</text:deletion></text:changed-region></text:tracked-changes>"
        "<text:p>Oil<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        "<text:p>from olives</text:p></text:note-body></text:note> glows</text:p>"
    )
    assert load_one(odf("text", body)).text == "Oil\nfrom olives\n glows"


def test_title_is_that_of_the_properties():
    assert load_one(odf("text", "<text:p>x</text:p>", title="The Lamp")).title == "The Lamp"


def test_sheets_are_parts_and_repeated_cells_come_as_often():
    twice = (
        '<table:table table:name="B"><table:table-row><table:table-cell '
        'table:number-columns-repeated="2"><text:p>12</text:p></table:table-cell>'
        '<table:table-cell table:number-columns-repeated="1020"/></table:table-row>'
        '<table:table-row table:number-rows-repeated="1048570"><table:table-cell/>'
        "</table:table-row></table:table>"
    )
    document = load_one(odf("spreadsheet", table(("City", "Litres"), name="A") + twice), "a.ods")
    assert document.text == "# A\nCity | Litres\n\n# B\n12 | 12"
    assert [part.label for part in document.parts] == ["sheet A", "sheet B"]
    assert document.format == "table"


def test_pages_of_a_presentation_are_slides():
    body = "".join(
        f"<draw:page><draw:frame><draw:text-box><text:p>{words}</text:p></draw:text-box>"
        "</draw:frame></draw:page>"
        for words in ("first", "second")
    )
    document = load_one(odf("presentation", body), "a.odp")
    assert document.text == "first\n\nsecond"
    assert [part.label for part in document.parts] == ["slide 1", "slide 2"]
