"""Outlook messages: the same document as a mail, out of a container."""

import struct

from family_samples import SAID, msg, properties
from made_by_hand import ole

from ctxeng.loading import load_bytes, load_source


def test_the_headers_of_transport_and_the_recipients_are_shown():
    data = msg(
        texts={0x007D: "From: Jörg <j@example.org>\r\nX: y\r\n"},
        extra=properties(
            {0x3001: "Cy"}, header=8, place="__recip_version1.0_#00000001/",
            numbers=[(0x0C15, 0x0003, 2)],
        ),
    )  # fmt: skip
    (document,) = load_bytes(data, "a.msg")
    assert document.text == (
        "Subject: Oil\nFrom: Jörg <j@example.org>\nTo: Bo <bo@example.org>\nCc: Cy\n"
        f"Date: 2024-01-17 21:20:00+00:00\n\n{SAID}"
    )
    assert document.title == "Oil"


def test_a_message_without_plain_text_is_read_from_its_html():
    (document,) = load_bytes(msg("", texts={0x1013: b"<h1>Lamp</h1><p>glows"}), "a.msg")
    assert document.text.endswith("# Lamp\n\nglows")


def compressed_rtf(rtf):
    """Literals only, which is a valid compression, and one reference into the dictionary."""
    body = bytearray()
    for at in range(0, len(rtf), 8):
        body += b"\0" + rtf[at : at + 8]
    return struct.pack("<IIII", len(body) + 12, len(rtf), 0x75465A4C, 0) + body


def test_a_message_that_has_only_rtf_is_read_from_it():
    rtf = rb"{\rtf1\ansi The lamp glows.\par}    "
    (document,) = load_bytes(msg("", texts={0x1009: compressed_rtf(rtf)}), "a.msg")
    assert document.text.endswith("The lamp glows.")
    stored = struct.pack("<IIII", 0, 0, 0x414C454D, 0) + rtf
    (document,) = load_bytes(msg("", texts={0x1009: stored}), "a.msg")
    assert document.text.endswith("The lamp glows.")


def test_references_of_the_compression_are_followed():
    """The example of [MS-OXRTFCP] 4.1.1."""
    example = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a"
        "800fa0"
    )
    from ctxeng.loading.outlook import _uncompressed

    assert _uncompressed(example) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"


def test_text_in_a_code_page_is_decoded():
    streams = properties({0x0037: "Oil"}, numbers=[(0x3FFD, 3, 950), (0x3FDE, 3, 950)])
    streams["__substg1.0_1000001E"] = "燈油".encode("cp950")
    (document,) = load_bytes(ole(streams), "a.msg")
    assert document.text.strip("\0").endswith("燈油")


def test_attachments_and_messages_within_are_documents():
    place = "__attach_version1.0_#00000000/"
    extra = properties(
        {0x3707: "oil.csv", 0x3701: b"city,litres\nPorto,12" + b"\n" * 4_096}, header=8, place=place
    )
    place = "__attach_version1.0_#00000001/"
    extra |= properties({0x3001: "Forwarded"}, header=8, place=place)
    extra |= properties({0x0037: "Inner", 0x1000: "deep lamp"}, header=24,
                        place=f"{place}__substg1.0_3701000D/")  # fmt: skip
    documents, error = load_source(msg(extra=extra), "a.msg")
    assert error is None
    assert [document.uri for document in documents] == [
        "a.msg", "a.msg!/Forwarded", "a.msg!/1 oil.csv",
    ]  # fmt: skip
    assert documents[1].title == "Inner"
    assert documents[2].text.startswith("city | litres\nPorto | 12")
