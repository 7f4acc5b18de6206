"""Mail: who wrote to whom about what, the body, and each attachment as a document of its own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

from ctxeng.errors import LoadError
from ctxeng.loading.html import html_as_markdown
from ctxeng.loading.load import load_bytes
from ctxeng.loading.made import made
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

MAX_NESTING = 5
_SHOWN = ("Subject", "From", "To", "Cc", "Date")


def read_mail(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    message = BytesParser(policy=policy.default).parsebytes(data)
    assert isinstance(message, EmailMessage)
    headers = {name: _header(message, name) for name in _SHOWN}
    bodies, attachments = _parts(message)
    yield _mail(uri, headers, "\n\n".join(bodies), "message/rfc822")
    yield from _attached(uri, attachments, settings)


def _header(message: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(message.get(name, "")).split())
    except (ValueError, IndexError, AttributeError):  # the header parser fails on broken ones
        raw = [value for key, value in message.raw_items() if key.lower() == name.lower()]
        return " ".join(str(raw[0]).split()) if raw else ""


def _parts(message: EmailMessage) -> tuple[list[str], list[tuple[str, bytes]]]:
    """Bodies as text, plain before HTML where both say the same, and (name, bytes) attached."""
    bodies: list[str] = []
    attachments: list[tuple[str, bytes]] = []
    chosen = message.get_body(preferencelist=("plain", "html"))
    for number, part in enumerate(message.walk(), start=1):
        if part.is_multipart():
            continue
        kind = part.get_content_type()
        name = part.get_filename()
        payload = part.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
        if name or part.get_content_disposition() == "attachment":
            attachments.append((name or f"part {number}", content))
        elif kind == "text/html":
            if part is chosen or not bodies:
                bodies.append(html_as_markdown(content)[1])
        elif kind.startswith("text/"):
            bodies.append(_text(part, content))
    return [body.strip() for body in bodies if body.strip()], attachments


def _text(part: object, content: bytes) -> str:
    charset = getattr(part, "get_content_charset", lambda _: "utf-8")("utf-8")
    try:
        text = content.decode(charset, "replace")
    except LookupError:
        text = content.decode("utf-8", "replace")
    return text.replace("\r\n", "\n")


def _mail(uri: str, headers: dict[str, str], body: str, media_type: str) -> Document:
    top = "\n".join(f"{name}: {value}" for name, value in headers.items() if value)
    return made(
        uri,
        f"{top}\n\n{body}",
        media_type,
        title=headers["Subject"],
        metadata={name.lower(): value for name, value in headers.items() if name != "Subject"},
    )


def _attached(
    uri: str, attachments: list[tuple[str, bytes]], settings: LoadingSettings
) -> Iterator[Document]:
    """What can be read of the attachments; pictures and the like are no failure of the mail."""
    if uri.count("!/") >= MAX_NESTING:
        return
    for number, (name, content) in enumerate(attachments, start=1):
        try:
            yield from load_bytes(content, f"{uri}!/{number} {name}", settings=settings)
        except LoadError:
            continue


def read_outlook(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    from oxmsg import Message

    message = Message.load(io.BytesIO(data))
    headers = {
        "Subject": message.subject or "",
        "From": message.sender or "",
        "To": ", ".join(f"{r.name} <{r.email_address}>" for r in message.recipients),
        "Cc": "",
        "Date": str(message.sent_date or ""),
    }
    body = message.body or html_as_markdown(message.html_body or "")[1]
    yield _mail(uri, headers, body.replace("\r\n", "\n"), "application/vnd.ms-outlook")
    attached = [(a.file_name or "attachment", a.file_bytes or b"") for a in message.attachments]
    yield from _attached(uri, attached, settings)
