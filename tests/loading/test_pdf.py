"""PDF: pages in order, text in reading order, and what is no text."""

import pytest
from made_by_hand import pdf, shown_at

from ctxeng.errors import LoadError
from ctxeng.loading import load_bytes
from ctxeng.loading.pdf import _tidy


def test_pages_are_parts_with_their_numbers():
    pages = [shown_at((72, 700, b"First.")), b"", shown_at((72, 700, b"Third."))]
    (document,) = load_bytes(pdf(*pages), "a.pdf")
    assert document.text == "First.\n\nThird."
    assert [part.label for part in document.parts] == ["page 1", "page 3"]
    assert document.metadata == {"pages": 3}


def test_columns_are_read_in_the_order_in_which_they_were_set():
    left = [(72, 700 - 14 * n, b"left %d" % n) for n in range(3)]
    right = [(320, 700 - 14 * n, b"right %d" % n) for n in range(3)]
    (document,) = load_bytes(pdf(shown_at(*left, *right)), "a.pdf")
    assert document.text.split("\n") == [
        "left 0", "left 1", "left 2", "right 0", "right 1", "right 2",
    ]  # fmt: skip


def test_title_and_author_come_from_the_properties():
    info = b"<< /Title (The Lamp) /Author (Ada) >>"
    (document,) = load_bytes(pdf(shown_at((72, 700, b"glows")), info=info), "a.pdf")
    assert (document.title, document.metadata["author"]) == ("The Lamp", "Ada")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (b"untitled", "a.pdf"), (b"\\(anonymous\\)", "a.pdf"), (b"The Unknown", "The Unknown"),
        (b"Microsoft Word - lamp.doc", "lamp.doc"), (b"", "a.pdf"),
    ],
)  # fmt: skip
def test_what_programs_write_for_a_missing_title_is_none(given, shown):
    info = b"<< /Title (" + given + b") >>"
    (document,) = load_bytes(pdf(shown_at((72, 700, b"glows")), info=info), "a.pdf")
    assert document.title == shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("hyphen\ufffe\nated", "hyphenated"),
        ("soft\u00ad\nhyphen", "softhyphen"),
        ("a\x00b\x02\nc", "abc"),
    ],
)
def test_marks_of_the_setting_are_taken_out(raw, shown):
    assert _tidy(raw) == shown


def test_pages_without_text_say_what_to_do():
    with pytest.raises(LoadError, match=r"holds no text\. If it is scanned, run text recognition"):
        load_bytes(pdf(b"0 0 100 100 re f"), "scan.pdf")


def test_a_pdf_after_other_bytes_is_still_one():
    data = b"HTTP/1.1 200 OK\r\n\r\n" + pdf(shown_at((72, 700, b"glows")))
    assert load_bytes(data, "download")[0].text == "glows"


@pytest.mark.parametrize("count", [b"1000000000", b"-1", b"x"])
def test_a_count_that_lies_is_no_matter(count):
    data = pdf(shown_at((72, 700, b"glows")))
    data = data.replace(b"/Count 1 ", b"/Count " + count + b" ")
    (document,) = load_bytes(data, "a.pdf")
    assert document.text == "glows"


def test_a_tree_of_pages_that_holds_itself_ends():
    data = pdf(shown_at((72, 700, b"glows"))).replace(b"/Kids [4 0 R]", b"/Kids [2 0 R]")
    with pytest.raises(LoadError):
        load_bytes(data, "a.pdf")
