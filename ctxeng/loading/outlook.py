"""Outlook messages (.msg): the properties that [MS-OXMSG] puts into the streams of a container."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.parser import HeaderParser

import olefile

from ctxeng.errors import LoadError
from ctxeng.loading.decoding import encoding_of_code_page
from ctxeng.loading.html import html_as_markdown
from ctxeng.loading.mail import MAX_ATTACHMENTS, Attachment, attached, mail_document
from ctxeng.loading.richtext import rtf_as_markdown
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

_SUBJECT, _BODY, _HTML, _RTF, _HEADERS = 0x0037, 0x1000, 0x1013, 0x1009, 0x007D
_SENDER, _SENDER_ADDRESS, _SENDER_SMTP = 0x0C1A, 0x0C1F, 0x5D01
_NAME, _ADDRESS, _SMTP, _RECIPIENT_KIND = 0x3001, 0x3003, 0x39FE, 0x0C15
_SENT, _DELIVERED = 0x0039, 0x0E06
_FILE_NAME, _SHORT_FILE_NAME, _FILE = 0x3707, 0x3704, 0x3701
_CODE_PAGE, _BODY_CODE_PAGE = 0x3FFD, 0x3FDE


def read_outlook(
    data: bytes, uri: str, settings: LoadingSettings
) -> Iterator[Document | LoadError]:
    with olefile.OleFileIO(io.BytesIO(data)) as container:
        yield from _message(_Properties(container, "", 32), uri, settings)


def _message(
    properties: _Properties, uri: str, settings: LoadingSettings
) -> Iterator[Document | LoadError]:
    sent = HeaderParser().parsestr(properties.text(_HEADERS))
    people = [
        _Properties(properties.container, place, 8)
        for place in properties.below("recip")[:MAX_ATTACHMENTS]
    ]
    headers = {
        "Subject": properties.text(_SUBJECT),
        "From": str(sent.get("From", "")) or _person(properties, _SENDER, _SENDER_ADDRESS),
        "To": ", ".join(_recipient(one) for one in people if one.number(_RECIPIENT_KIND) != 2),
        "Cc": ", ".join(_recipient(one) for one in people if one.number(_RECIPIENT_KIND) == 2),
        "Date": properties.time(_SENT) or properties.time(_DELIVERED),
    }
    yield mail_document(uri, headers, _body(properties), "application/vnd.ms-outlook")
    attachments: list[Attachment] = []
    for place in properties.below("attach")[: MAX_ATTACHMENTS + 1]:
        one = _Properties(properties.container, place, 8)
        name = one.text(_FILE_NAME) or one.text(_SHORT_FILE_NAME) or one.text(_NAME)
        inner = f"{place}/__substg1.0_{_FILE:04X}000D/"
        if properties.container.exists(inner + "__properties_version1.0"):
            if uri.count("!/") < settings.max_depth:
                message = _Properties(properties.container, inner, 24)
                yield from _message(message, f"{uri}!/{name or 'message'}", settings)
        else:
            attachments.append(Attachment(name, one.binary(_FILE)))
    yield from attached(uri, attachments, settings)


def _person(properties: _Properties, name: int, address: int) -> str:
    shown, place = properties.text(name), properties.text(_SENDER_SMTP) or properties.text(address)
    return f"{shown} <{place}>" if "@" in place else shown


def _recipient(properties: _Properties) -> str:
    name = properties.text(_NAME)
    address = properties.text(_SMTP) or properties.text(_ADDRESS)
    return f"{name} <{address}>" if "@" in address and address != name else name or address


def _body(properties: _Properties) -> str:
    """Plain where there is one, else HTML, else the compressed RTF."""
    if body := properties.text(_BODY).strip():
        return body.replace("\r\n", "\n")
    if html := properties.binary(_HTML) or properties.text(_HTML).encode():
        page = properties.number(_BODY_CODE_PAGE) if properties.has(_HTML) else 65001
        return html_as_markdown(html, encoding=encoding_of_code_page(page))[1]
    if rtf := properties.binary(_RTF):
        return rtf_as_markdown(_uncompressed(rtf))
    return ""


class _Properties:
    """Those of one message, recipient or attachment: a storage of the container."""

    def __init__(self, container: olefile.OleFileIO, place: str, header: int) -> None:
        self.container = container
        self._place = place if not place or place.endswith("/") else place + "/"
        table = self._stream("__properties_version1.0")[header:]
        self._fixed = {
            struct.unpack_from("<H", table, at + 2)[0]: table[at + 8 : at + 16]
            for at in range(0, len(table) - 15, 16)
        }

    def below(self, kind: str) -> list[str]:
        depth = self._place.count("/")
        return sorted(
            "/".join(path)
            for path in self.container.listdir(streams=False, storages=True)
            if len(path) == depth + 1
            and "/".join(path).startswith(f"{self._place}__{kind}_version1.0_#")
        )

    def has(self, identity: int) -> bool:
        return bool(self.container.exists(f"{self._place}__substg1.0_{identity:04X}0102"))

    def binary(self, identity: int) -> bytes:
        return self._stream(f"__substg1.0_{identity:04X}0102")

    def text(self, identity: int) -> str:
        wide = self._stream(f"__substg1.0_{identity:04X}001F")
        if wide:
            return wide.decode("utf-16-le", "replace").strip("\x00")
        narrow = self._stream(f"__substg1.0_{identity:04X}001E")
        page = self.number(_BODY_CODE_PAGE if identity == _BODY else _CODE_PAGE)
        encoding = encoding_of_code_page(page or self.number(_CODE_PAGE))
        return narrow.decode(encoding, "replace").strip("\x00")

    def number(self, identity: int) -> int:
        return int.from_bytes(self._fixed.get(identity, b"")[:4], "little")

    def time(self, identity: int) -> str:
        """UTC, to the second; the file counts 100 ns from the year 1601."""
        ticks = int.from_bytes(self._fixed.get(identity, b""), "little")
        if not 0 < ticks < 2**61:
            return ""
        return f"{datetime(1601, 1, 1, tzinfo=UTC) + timedelta(seconds=ticks // 10_000_000)}"

    def _stream(self, name: str) -> bytes:
        place = self._place + name
        return self.container.openstream(place).read() if self.container.exists(place) else b""


_LZFU_DICTIONARY = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript "
    rb"\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)


def _uncompressed(data: bytes) -> bytes:
    """RTF out of [MS-OXRTFCP]: LZ77 with a window of 4,096 bytes that begins filled."""
    length, _, magic = struct.unpack_from("<III", data)
    if magic != 0x75465A4C:  # "LZFu"; else it is stored as it is
        return data[16:]
    window = bytearray(_LZFU_DICTIONARY.ljust(4_096, b"\0"))
    write, out, at = len(_LZFU_DICTIONARY), bytearray(), 16
    end = min(len(data), length + 4)
    while at < end:
        control = data[at]
        at += 1
        for bit in range(8):
            if control >> bit & 1:
                if at + 2 > end:
                    return bytes(out)
                pair = data[at] << 8 | data[at + 1]
                at += 2
                read, count = pair >> 4, (pair & 0xF) + 2
                if read == write:
                    return bytes(out)
                piece = bytearray()
                for _ in range(count):
                    byte = window[read]
                    piece.append(byte)
                    window[write] = byte
                    read, write = (read + 1) % 4_096, (write + 1) % 4_096
                out += piece
            else:
                if at >= end:
                    return bytes(out)
                window[write] = data[at]
                out.append(data[at])
                write = (write + 1) % 4_096
                at += 1
    return bytes(out)
