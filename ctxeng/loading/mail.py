"""Mail: who wrote to whom about what, the body, and each attachment as a document of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from typing import NamedTuple

from ctxeng.errors import LoadError
from ctxeng.loading.decoding import forced, in_encoding
from ctxeng.loading.detect import kind_of
from ctxeng.loading.html import html_as_markdown
from ctxeng.loading.load import load_each
from ctxeng.loading.made import made
from ctxeng.loading.zipped import too_many
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

MAX_NESTING = 5
MAX_ATTACHMENTS = 1_000
MAX_WORK = 50_000_000
"""Lines times declared boundaries: the parser compares each line with each boundary around it."""
MAX_HEADER = 20_000
"""Longer headers are cut: decoding them takes time that grows with the square."""
_SHOWN = ("Subject", "From", "To", "Cc", "Date")
_BOUNDARY = re.compile(rb"boundary", re.I)
_FROM_LINE = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From [^\r\n]*\r?\n")
_QUOTED_FROM = re.compile(rb"(?m)^>(>*From )")


class Attachment(NamedTuple):
    name: str
    content: bytes


class _Body(NamedTuple):
    text: str
    is_plain: bool


class _Found:
    """What the parts of one message hold."""

    def __init__(self) -> None:
        self.bodies: list[_Body] = []
        self.attachments: list[Attachment] = []
        self.messages: list[Message] = []

    def __iadd__(self, other: _Found) -> _Found:
        self.bodies += other.bodies
        self.attachments += other.attachments
        self.messages += other.messages
        return self


def read_mail(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document | LoadError]:
    # The older policy: the newer one parses every header into a tree, 12 GB of it for 1 MB.
    if data.count(b"\n") * len(_BOUNDARY.findall(data)) > MAX_WORK:
        raise RecursionError("more boundaries than its length lets be parsed in time")
    yield from _message(message_from_bytes(data), uri, settings)


def read_mailbox(
    data: bytes, uri: str, settings: LoadingSettings
) -> Iterator[Document | LoadError]:
    """Each message of an mbox file is a document."""
    starts = [found.end() for found in _FROM_LINE.finditer(data)]
    if not starts:
        raise LoadError(uri, "holds no message that begins with a From line", "Save it as .eml")
    if len(starts) > settings.max_archive_members:
        raise too_many(uri, settings)
    ends = [found.start() for found in _FROM_LINE.finditer(data)][1:]
    for number, (start, end) in enumerate(zip(starts, [*ends, len(data)], strict=True), start=1):
        message = message_from_bytes(_QUOTED_FROM.sub(rb"\1", data[start:end]))
        yield from _message(message, f"{uri}!/{number}", settings)


def _message(
    message: Message, uri: str, settings: LoadingSettings
) -> Iterator[Document | LoadError]:
    found = _parts(message)
    headers = {name: _header(message, name) for name in _SHOWN}
    body = "\n\n".join(body.text for body in found.bodies)
    yield mail_document(uri, headers, body, "message/rfc822")
    yield from attached(uri, found.attachments, settings)
    for number, inner in enumerate(found.messages, start=1):
        place = f"{uri}!/message {number}"
        if uri.count("!/") >= MAX_NESTING:
            yield LoadError(place, f"lies over {MAX_NESTING} mails deep", "Save it on its own")
        else:
            yield from _message(inner, place, settings)


def mail_document(uri: str, headers: dict[str, str], body: str, media_type: str) -> Document:
    top = "\n".join(f"{name}: {value}" for name, value in headers.items() if value)
    return made(
        uri,
        f"{top}\n\n{body.strip()}",
        media_type,
        title=headers["Subject"],
        metadata={name.lower(): value for name, value in headers.items() if name != "Subject"},
    )


def attached(
    uri: str, attachments: Iterable[Attachment], settings: LoadingSettings
) -> Iterator[Document | LoadError]:
    """The documents attached; pictures, signatures and the like are no failure of the mail."""
    for number, (name, content) in enumerate(attachments, start=1):
        if number > MAX_ATTACHMENTS:
            why = f"carries more than {MAX_ATTACHMENTS:,} attachments; the others were left out"
            yield LoadError(f"{uri}!/…", why, "Save them on their own")
            return
        place = f"{uri}!/{number} {name}".rstrip()
        if uri.count("!/") >= MAX_NESTING:
            yield LoadError(place, f"lies over {MAX_NESTING} mails deep", "Save it on its own")
            continue
        loaded = load_each(content, place, settings=settings)
        if isinstance(loaded[0], Document) or kind_of(content, place) != "text":
            yield from loaded


def _header(message: Message, name: str) -> str:
    values = [value for key, value in message.raw_items() if key.lower() == name.lower()]
    if not values:
        return ""
    raw = str(values[0])[:MAX_HEADER]
    try:
        pieces = decode_header(raw)
    except (HeaderParseError, ValueError):
        pieces = [(raw, None)]
    text = "".join(
        piece if isinstance(piece, str) else _text(piece, charset) for piece, charset in pieces
    )
    if any("\udc80" <= character <= "\udcff" for character in text):  # bytes, not encoded at all
        text = _text(text.encode("utf-8", "surrogateescape"), None)
    return " ".join(text.split())


def _parts(part: Message) -> _Found:
    """Of alternatives the plain one, where there is one."""
    found = _Found()
    kind = part.get_content_type()
    payload = part.get_payload()
    inside = [one for one in payload if isinstance(one, Message)] if part.is_multipart() else None
    if inside is None:
        _leaf(part, kind, found)
    elif kind == "message/rfc822":
        found.messages += inside
    elif kind == "multipart/alternative":
        versions = [_parts(inner) for inner in inside]
        said = [version for version in versions if version.bodies]
        plain = (v for v in said if all(body.is_plain for body in v.bodies))
        chosen = next(plain, said[-1] if said else None)
        for version in versions:
            if version is not chosen:
                version.bodies = []
            found += version
    else:
        for inner in inside:
            found += _parts(inner)
        if kind == "message/delivery-status":
            shown = "\n\n".join(
                "\n".join(f"{key}: {value}" for key, value in inner.items()) for inner in inside
            )
            found.bodies.insert(0, _Body(shown, is_plain=True))
    return found


def _leaf(part: Message, kind: str, found: _Found) -> None:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    name = part.get_filename()
    if name or part.get_content_disposition() == "attachment" or not kind.startswith("text/"):
        found.attachments.append(Attachment(_file_name(name), content))
        return
    charset = part.get_content_charset()
    is_html = kind == "text/html"
    text = html_as_markdown(content, encoding=charset)[1] if is_html else _text(content, charset)
    if text.strip():
        found.bodies.append(_Body(text.strip(), is_plain=not is_html))


def _file_name(name: str | None) -> str:
    if not name:
        return ""
    try:
        pieces = decode_header(name[:MAX_HEADER])
    except (HeaderParseError, ValueError):
        return name
    return "".join(p if isinstance(p, str) else _text(p, charset) for p, charset in pieces)


def _text(content: bytes, charset: str | None) -> str:
    text = in_encoding(content, charset or "utf-8")
    return forced(content) if text is None else text
