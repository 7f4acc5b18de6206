"""Mail: headers, the right body, attachments and mails within."""

from email.message import EmailMessage
from email.mime.application import MIMEApplication
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart

import pytest
from family_samples import SAID, docx, paragraph
from made_by_hand import pdf

from ctxeng.errors import LoadError
from ctxeng.loading import load_bytes, load_source


def test_headers_stand_above_the_body_and_in_the_metadata():
    data = (
        b"From: =?iso-8859-1?q?J=F6rg?= <j@example.org>\nTo: Ada\n <ada@example.org>\nCc: Bo\n"
        b"Subject: =?utf-8?b?w5Zs?= und\n Docht\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n"
        b"X-Other: no\n\nIt glows.\n"
    )
    (document,) = load_bytes(data, "a.eml")
    assert document.text == (
        "Subject: Öl und Docht\nFrom: Jörg <j@example.org>\nTo: Ada <ada@example.org>\nCc: Bo\n"
        "Date: Mon, 1 Jan 2024 10:00:00 +0000\n\nIt glows."
    )
    assert document.title == "Öl und Docht"
    assert document.metadata["from"] == "Jörg <j@example.org>"


@pytest.mark.parametrize(
    "raw", ["Öl".encode("latin-1"), "Öl".encode(), b"=?no-such?q?=C3=96l?=", b"=?utf-8?b?w5Zs?="]
)
def test_a_header_is_read_however_it_is_encoded(raw):
    (document,) = load_bytes(b"Subject: " + raw + b"\n\nIt glows.\n", "a.eml")
    assert document.title == "Öl"


def test_of_alternatives_the_plain_one_is_read():
    mail = EmailMessage()
    mail.set_content("plain lamp")
    mail.add_alternative("<p>html lamp</p>", subtype="html")
    (document,) = load_bytes(mail.as_bytes(), "a.eml")
    assert document.text.strip() == "plain lamp"


def test_html_alone_is_read_as_markdown_and_an_empty_plain_one_does_not_win():
    mail = EmailMessage()
    mail["Subject"] = "Oil"
    mail.set_content("\n \n")
    mail.add_alternative("<h1>Lamp</h1><p>It <b>glows</b>.</p>", subtype="html")
    (document,) = load_bytes(mail.as_bytes(), "a.eml")
    assert document.text == "Subject: Oil\n\n# Lamp\n\nIt glows."


@pytest.mark.parametrize(
    ("charset", "raw", "shown"),
    [
        (b"iso-2022-jp", "灯油".encode("iso2022_jp"), "灯油"),
        (b"us-ascii", "Öl in allen Lämpchen".encode("latin-1"), "Öl in allen Lämpchen"),
        (b"no-such", "Öl".encode(), "Öl"),
        (b"utf-7", b"+ANY-l", "Öl"),
    ],
)
def test_a_body_is_read_by_its_charset_where_that_fits(charset, raw, shown):
    head = (
        b"Subject: x\nContent-Transfer-Encoding: 8bit\nContent-Type: text/plain; charset=" + charset
    )
    (document,) = load_bytes(head + b"\n\n" + raw, "a.eml")
    assert document.text == f"Subject: x\n\n{shown}"


def test_attachments_are_documents_and_pictures_no_failure():
    mail = EmailMessage()
    mail["Subject"] = "Oil"
    mail.set_content(SAID)
    mail.add_attachment(docx(paragraph("in the file")), "application", "x", filename="ä b.docx")
    mail.add_attachment(b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "image", "png", filename="x.png")
    documents, error = load_source(mail.as_bytes(), "a.eml")
    assert error is None
    assert [document.uri for document in documents] == ["a.eml", "a.eml!/1 ä b.docx"]
    assert documents[1].text == "in the file"


def test_an_attachment_that_should_be_read_and_cannot_is_reported():
    mail = EmailMessage()
    mail["Subject"] = "Oil"
    mail.set_content(SAID)
    mail.add_attachment(b"%PDF-1.7 broken", "application", "pdf", filename="a.pdf")
    documents, error = load_source(mail.as_bytes(), "a.eml")
    assert len(documents) == 1
    assert error.why.startswith("could not be read in part: 1 a.pdf (cannot be read as pdf")


def test_mails_within_are_documents_with_their_own_headers():
    inner = EmailMessage()
    inner["Subject"] = "Inner"
    inner.set_content("deep lamp")
    outer = MIMEMultipart()
    outer["Subject"] = "Outer"
    outer.attach(MIMEMessage(inner))
    outer.attach(MIMEApplication(pdf(b"BT /F1 9 Tf (Lamp) Tj ET"), "pdf"))
    documents = load_bytes(outer.as_bytes(), "a.eml")
    assert [(document.uri, document.title) for document in documents] == [
        ("a.eml", "Outer"), ("a.eml!/1", "1"), ("a.eml!/message 1", "Inner"),
    ]  # fmt: skip
    assert documents[2].text == "Subject: Inner\n\ndeep lamp"


def test_mails_within_mails_are_read_five_deep():
    mail = EmailMessage()
    mail["Subject"] = "0"
    mail.set_content("lamp")
    for depth in range(1, 9):
        outer = MIMEMultipart()
        outer["Subject"] = str(depth)
        outer.attach(MIMEMessage(mail))
        mail = outer
    documents, error = load_source(mail.as_bytes(), "a.eml")
    assert [document.title for document in documents] == ["8", "7", "6", "5", "4", "3"]
    assert "lies over 5 mails deep" in error.why


def test_a_delivery_report_says_what_it_reports():
    data = (
        b'Subject: Failed\nContent-Type: multipart/report; boundary="b"\n\n--b\n'
        b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nStatus: 5.1.1\n\n"
        b"--b--\n"
    )
    (document,) = load_bytes(data, "a.eml")
    assert "Status: 5.1.1" in document.text


def test_each_message_of_a_mailbox_is_a_document():
    data = (
        b"From a@b Mon Jan 1\nSubject: One\n\nlamp\n>From here\n\nnot\nFrom the middle\n\n"
        b"From c@d Tue Jan 2\r\nSubject: Two\r\n\r\noil\r\n"
    )
    first, second = load_bytes(data, "all.mbox")
    assert (first.uri, second.uri) == ("all.mbox!/1", "all.mbox!/2")
    assert first.text == "Subject: One\n\nlamp\nFrom here\n\nnot\nFrom the middle"
    assert second.title == "Two"
    with pytest.raises(LoadError, match="no message that begins with a From line"):
        load_bytes(b"Subject: x\n\nlamp", "a.mbox")
