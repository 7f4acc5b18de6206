"""Word and PowerPoint of before 2007."""

import struct

import pytest
from family_samples import SAID, doc, ppt
from made_by_hand import ole

from ctxeng.loading import load_bytes


def text(data, name):
    (document,) = load_bytes(data, name)
    return document.text


def test_headings_come_from_the_built_in_styles():
    words = "Oil\rIt glows.\rWicks\rThey burn.\r"
    assert text(doc(words, headings=[(0, 1), (2, 3)]), "a.doc") == (
        "# Oil\n\nIt glows.\n\n### Wicks\n\nThey burn."
    )


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("City\x07Litres\x07\x07Porto\x0712\x07\x07", "City | Litres\nPorto | 12"),
        ('see \x13HYPERLINK "x"\x14here\x15 now', "see here now"),
        ("a\x13 outer \x13 inner \x14x\x15 \x14shown\x15b", "ashownb"),
        ("one\x0btwo\x0cthree", "one\ntwo\n\nthree"),
        ("a\x1eb\xa0c\x01\x08", "a-b c"),
    ],
)
def test_the_marks_of_word_become_what_they_look_like(raw, shown):
    assert text(doc(raw), "a.doc") == shown


def test_pieces_of_either_width_are_joined_in_order():
    narrow, wide = b"The lamp \x93glows\x94. ", "Öl – brennt."
    start = 2_048
    stream = bytearray(start) + narrow + wide.encode("utf-16-le")
    ends = [0, len(narrow), len(narrow) + len(wide)]
    pieces = struct.pack("<3I", *ends)
    pieces += struct.pack("<HIH", 0, start * 2 | 0x4000_0000, 0)
    pieces += struct.pack("<HIH", 0, start + len(narrow), 0)
    table = b"\x01\x02\x00zz" + struct.pack("<BI", 2, len(pieces)) + pieces
    struct.pack_into("<H", stream, 0, 0xA5EC)
    struct.pack_into("<II", stream, 0x01A2, 0, len(table))
    data = ole({"WORDDOCUMENT": bytes(stream), "0Table": table})
    assert text(data, "a.doc") == "The lamp “glows”. Öl – brennt."


def test_word_6_keeps_its_text_in_one_stretch():
    stream = bytearray(1_024) + SAID.encode()
    struct.pack_into("<H", stream, 0, 0xA5DC)
    struct.pack_into("<II", stream, 0x18, 1_024, 1_024 + len(SAID))
    assert text(ole({"WordDocument": bytes(stream)}), "a.doc") == SAID


def test_title_and_author_come_from_the_properties():
    values = [(1, struct.pack("<IH", 2, 1252)), (2, _text(b"L\xe1mpara")), (4, _text(b"Ada"))]
    offset, table, body = 8 + 8 * len(values), b"", b""
    for identity, value in values:
        table += struct.pack("<II", identity, offset + len(body))
        body += value.ljust(-(-len(value) // 4) * 4, b"\0")
    section = struct.pack("<II", offset + len(body), len(values)) + table + body
    summary = b"\xfe\xff" + b"\0" * 26 + b"\0" * 16 + struct.pack("<I", 48) + section
    data = ppt(("Oil", SAID, "box"), extra={"\x05SummaryInformation": summary})
    (document,) = load_bytes(data, "a.ppt")
    assert document.title == "Lámpara"
    assert document.metadata == {"author": "Ada", "slides": 1}


def _text(words):
    return struct.pack("<II", 30, len(words) + 1) + words + b"\0"


def test_slides_are_parts_with_outline_before_boxes():
    data = ppt(("Oil", SAID, "Porto"), ("Wicks", "They burn.", "Faro"))
    (document,) = load_bytes(data, "a.ppt")
    assert document.text == f"# Oil\n\n{SAID}\n\nPorto\n\n# Wicks\n\nThey burn.\n\nFaro"
    assert [part.label for part in document.parts] == ["slide 1", "slide 2"]
