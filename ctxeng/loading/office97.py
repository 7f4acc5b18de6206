"""Word and PowerPoint files of before 2007: the text of their binary streams.

The layouts are those of [MS-DOC] and [MS-PPT]; olefile opens the container.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import olefile

from ctxeng.errors import LoadError
from ctxeng.loading.decoding import encoding_of_code_page
from ctxeng.loading.made import Parts, made
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document, Metadata

MAX_PROPERTIES, MAX_FIELDS = 100, 100
_TEXT = 30
"""Kind of a property that is text in the code page."""
_WORD_97 = 0xA5EC
_FIELD_MARK = re.compile(r"([\x13-\x15])")
_ROW_END = re.compile(r"\x07\x07\n?")
_UNSHOWN = re.compile(r"[\x00-\x08\x0e-\x1f]")


def read_doc(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """Body, then footnotes, headers, comments and text boxes; headings by their built-in style."""
    with olefile.OleFileIO(io.BytesIO(data)) as container:
        stream = container.openstream("WordDocument").read()
        flags = _u16(stream, 0x0A)
        if flags & 0x0100:
            raise LoadError(uri, "is encrypted", "Save it without a password")
        if _u16(stream, 0) == _WORD_97:
            table = container.openstream("1Table" if flags & 0x0200 else "0Table").read()
            text = _word_97(stream, table)
        else:
            start, end = struct.unpack_from("<II", stream, 0x18)
            text = stream[start:end].decode("cp1252", "replace")
        title, metadata = _properties(container)
    yield made(
        uri, _shown(text), "application/msword", title=title, format="markdown", metadata=metadata
    )


def _word_97(stream: bytes, table: bytes) -> str:
    headings = _headings(stream, table)
    position, length = struct.unpack_from("<II", stream, 0x01A2)
    pieces = table[position : position + length]
    at = 0
    while pieces[at] == 1:  # formatting that pieces share
        at += 3 + _u16(pieces, at + 1)
    size = struct.unpack_from("<I", pieces, at + 1)[0]
    plan = pieces[at + 5 : at + 5 + size]
    count = (len(plan) - 4) // 12
    ends = struct.unpack_from(f"<{count + 1}I", plan)
    lines: list[str] = []
    left = len(stream)  # pieces may not share text, or a small file could grow without end
    for number in range(count):
        characters = min(max(0, ends[number + 1] - ends[number]), left)
        left -= characters
        place = struct.unpack_from("<I", plan, 4 * (count + 1) + 8 * number + 2)[0]
        narrow = bool(place & 0x4000_0000)
        start = (place & 0x3FFF_FFFF) // 2 if narrow else place
        width = 1 if narrow else 2
        raw = stream[start : start + characters * width]
        text = raw.decode("cp1252" if narrow else "utf-16-le", "replace")
        lines.append(_with_headings(text, start, width, headings))
    return "".join(lines)


def _with_headings(text: str, start: int, width: int, headings: dict[int, int]) -> str:
    """Each paragraph that a heading style begins at gets its marks."""
    if not headings:
        return text
    paragraphs = text.split("\r")
    at = start
    for number, paragraph in enumerate(paragraphs):
        level = headings.get(at)
        if level and paragraph.strip():
            paragraphs[number] = "#" * level + " " + paragraph
        at += (len(paragraph) + 1) * width
    return "\r".join(paragraphs)


def _headings(stream: bytes, table: bytes) -> dict[int, int]:
    """Place of a paragraph's first byte → level, from the pages of paragraph formatting.

    Styles 1 to 9 of every Word file are the headings.
    """
    position, length = struct.unpack_from("<II", stream, 0x0102)
    count = max(0, (length - 4) // 8)
    pages = struct.unpack_from(f"<{count}I", table, position + 4 * (count + 1)) if count else ()
    found: dict[int, int] = {}
    for number in pages:
        page = stream[(number & 0x3F_FFFF) * 512 :][:512]
        if len(page) < 512:
            continue
        paragraphs = min(page[511], 29)
        places = struct.unpack_from(f"<{paragraphs + 1}I", page)
        for index in range(paragraphs):
            at = 2 * page[4 * (paragraphs + 1) + 13 * index]
            at += 1 if page[at] else 2
            style = _u16(page, at) if 0 < at < 510 else 0
            if 1 <= style <= 9:
                found[places[index]] = min(style, 6)
    return found


def _shown(text: str) -> str:
    """Words' own marks for cells, breaks and fields as what they look like."""
    text = _ROW_END.sub("\n", _without_field_codes(text)).replace("\x07", " | ")
    text = text.replace("\r", "\n\n").replace("\x0b", "\n").replace("\x0c", "\n\n")
    text = _UNSHOWN.sub("", text.replace("\x1e", "-").replace("\xa0", " "))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _without_field_codes(text: str) -> str:
    """Fields nest: ``\\x13 code \\x14 what shows \\x15``, and codes hold fields, too."""
    shown: list[str] = []
    fields: list[bool] = []  # per open field: is its result reached?
    for piece in _FIELD_MARK.split(text):
        if piece == "\x13":
            fields.append(False)
        elif piece == "\x14" and fields:
            fields[-1] = True
        elif piece == "\x15" and fields:
            fields.pop()
        elif all(fields[-MAX_FIELDS:]):
            shown.append(piece)
    return "".join(shown)


def _properties(container: olefile.OleFileIO) -> tuple[str, Metadata]:
    """Title and author. (olefile would read as many values as a damaged count says.)"""
    name = "\x05SummaryInformation"
    data = container.openstream(name).read() if container.exists(name) else b""
    found: dict[int, bytes] = {}
    code_page = 1252
    if len(data) >= 56:
        section = data[struct.unpack_from("<I", data, 44)[0] :]
        for at in range(8, min(len(section), 8 + 8 * MAX_PROPERTIES) - 7, 8):
            identity, place = struct.unpack_from("<II", section, at)
            value = section[place : place + 4_000]
            if identity == 1 and len(value) >= 6:
                code_page = _u16(value, 4)
            elif identity in (2, 4) and len(value) >= 8 and _u16(value, 0) == _TEXT:
                found.setdefault(identity, value[8 : 8 + struct.unpack_from("<I", value, 4)[0]])
    encoding = encoding_of_code_page(code_page)
    title, author = (
        found.get(identity, b"").decode(encoding, "replace").strip("\x00 ") for identity in (2, 4)
    )
    return title, {"author": author}


def _u16(data: bytes, at: int) -> int:
    return int(struct.unpack_from("<H", data, at)[0])


# -- PowerPoint: a tree of records, each with an instance, a kind, and bytes or records in it


@dataclass(frozen=True, slots=True)
class _Record:
    instance: int
    kind: int
    body: memoryview
    holds_records: bool

    def __iter__(self) -> Iterator[_Record]:
        return _records(self.body) if self.holds_records else iter(())

    def below(self) -> Iterator[_Record]:
        """All records inside, in order."""
        stack = [iter(self)]
        while stack:
            record = next(stack[-1], None)
            if record is None:
                stack.pop()
            else:
                yield record
                stack.append(iter(record))


_SLIDE_LIST, _SLIDE_PLACE, _USER_EDIT, _PERSIST = 0x0FF0, 0x03F3, 0x0FF5, 0x1772
_TEXT_KIND, _WIDE_TEXT, _NARROW_TEXT = 0x0F9F, 0x0FA0, 0x0FA8
_TITLES = (0, 6)


def read_ppt(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """Each slide a part: its title as heading, the other texts, then its notes."""
    with olefile.OleFileIO(io.BytesIO(data)) as container:
        if container.exists("EncryptedSummary"):
            raise LoadError(uri, "is encrypted", "Save it without a password")
        current = container.openstream("Current User").read()
        stream = memoryview(container.openstream("PowerPoint Document").read())
        title, metadata = _properties(container)
    places, document = _places(stream, struct.unpack_from("<I", current, 16)[0])
    lists = {record.instance: record for record in document if record.kind == _SLIDE_LIST}
    notes = dict(_slides(lists.get(2), stream, places))
    parts = Parts()
    for number, (slide, texts) in enumerate(_slides(lists.get(0), stream, places), start=1):
        said = texts + notes.get(slide, [])
        parts.add(f"slide {number}", "\n\n".join(dict.fromkeys(said)), format="markdown")
    yield made(
        uri, parts.text, "application/vnd.ms-powerpoint", title=title, format="markdown",
        metadata={**metadata, "slides": len(parts.parts)}, parts=parts.parts,
    )  # fmt: skip


def _records(body: memoryview) -> Iterator[_Record]:
    at = 0
    while at + 8 <= len(body):
        first, kind, length = struct.unpack_from("<HHI", body, at)
        inside = body[at + 8 : at + 8 + length]
        yield _Record(first >> 4, kind, inside, first & 0xF == 0xF)
        at += 8 + length


def _record_at(stream: memoryview, place: int) -> _Record:
    return next(_records(stream[place:]))


def _places(stream: memoryview, newest: int) -> tuple[dict[int, int], _Record]:
    """Where each object lies after the last of the edits that the file keeps, and the document."""
    places: dict[int, int] = {}
    document, seen, at = 0, set[int](), newest
    while at not in seen and (at or not seen):
        seen.add(at)
        edit = _record_at(stream, at)
        if edit.kind != _USER_EDIT:
            break
        at, persisted, identity = struct.unpack_from("<III", edit.body, 8)
        document = document or identity
        table = _record_at(stream, persisted).body
        here = 0
        while here + 4 <= len(table):
            head = struct.unpack_from("<I", table, here)[0]
            count = min(head >> 20, (len(table) - here - 4) // 4)
            for index, place in enumerate(struct.unpack_from(f"<{count}I", table, here + 4)):
                places.setdefault((head & 0xF_FFFF) + index, place)
            here += 4 + 4 * count
    return places, _record_at(stream, places[document])


def _slides(
    listed: _Record | None, stream: memoryview, places: dict[int, int]
) -> Iterator[tuple[int, list[str]]]:
    """(id, texts) of each slide: of the outline, then of its own text boxes."""
    slides: list[tuple[int, int, list[_Record]]] = []
    for record in listed or ():
        if record.kind == _SLIDE_PLACE:
            place, identity = struct.unpack_from("<I8xI", record.body)
            slides.append((identity, place, []))
        elif slides:
            slides[-1][2].append(record)
    for identity, place, outline in slides:
        at = places.pop(place, None)  # a slide shows once, however often it is listed
        own = _record_at(stream, at).below() if at is not None else ()
        yield identity, [*_texts(outline), *_texts(own)]


def _texts(records: object) -> Iterator[str]:
    kind = -1
    for record in records:  # type: ignore[attr-defined]
        if record.kind == _TEXT_KIND and len(record.body) >= 4:
            kind = struct.unpack_from("<I", record.body)[0]
        elif record.kind in (_WIDE_TEXT, _NARROW_TEXT):
            encoding = "utf-16-le" if record.kind == _WIDE_TEXT else "latin-1"
            text = bytes(record.body).decode(encoding, "replace")
            text = _UNSHOWN.sub("", text.replace("\r", "\n").replace("\x0b", "\n")).strip()
            if text:
                yield f"# {' '.join(text.split())}" if kind in _TITLES else text
