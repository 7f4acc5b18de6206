"""Word, PowerPoint, OpenDocument and RTF as Markdown."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ctxeng.errors import LoadError
from ctxeng.loading.archives import check_zip
from ctxeng.loading.made import Parts, made, table_row
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document, Metadata

if TYPE_CHECKING:
    from lxml.etree import _Element

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_DELETED = frozenset({f"{_W}del", f"{_W}instrText", _FALLBACK})
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_HEADING = re.compile(r"(?:heading|überschrift|titre|título) ?(\d)", re.I)


def read_docx(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """Body with headings and tables, then headers, footers, footnotes and comments."""
    import docx

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_zip(archive, uri, settings)
        notes = [n for n in archive.namelist() if re.match(r"word/(foot|end)notes|word/comm", n)]
        extra = [archive.read(name) for name in notes]
    document = docx.Document(io.BytesIO(data))
    levels = _heading_levels(document)
    blocks = list(_word_blocks(document.element.body, levels))
    around = {
        text
        for section in document.sections
        for part in (section.header, section.footer)
        for text in _word_blocks(part._element, levels)
    }
    blocks += sorted(around - set(blocks))
    for part in extra:
        blocks += _word_blocks(_parsed(part), levels)
    properties = document.core_properties
    metadata: Metadata = {"author": properties.author or ""}
    yield made(
        uri,
        "\n\n".join(blocks),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        title=properties.title or "",
        format="markdown",
        metadata=metadata,
    )


def _heading_levels(document: object) -> dict[str, int]:
    levels: dict[str, int] = {}
    for style in getattr(document, "styles", ()):
        name = style.name or ""
        found = _HEADING.match(name)
        if found or name.lower() == "title":
            levels[style.style_id] = int(found.group(1)) if found else 1
    return levels


def _word_blocks(parent: _Element, levels: dict[str, int]) -> Iterator[str]:
    """Paragraphs and tables in order; content controls and text boxes are looked into."""
    for element in parent:
        if element.tag == f"{_W}p":
            text = _word_text(element).strip()
            style = element.find(f"{_W}pPr/{_W}pStyle")
            level = levels.get(style.get(f"{_W}val", ""), 0) if style is not None else 0
            if text:
                yield f"{'#' * level} {' '.join(text.split())}" if level else text
        elif element.tag == f"{_W}tbl":
            rows = [
                table_row([_word_text(cell) for cell in row.iter(f"{_W}tc")])
                for row in element.iter(f"{_W}tr")
            ]
            shown = _table([row for row in rows if row.strip(" |")])
            if shown:
                yield shown
        elif element.tag not in _DELETED and len(element):
            yield from _word_blocks(element, levels)


def _word_text(element: _Element) -> str:
    found: list[str] = []
    for event in element.iter(f"{_W}t", f"{_W}tab", f"{_W}br", f"{_W}p"):
        if any(above.tag in _DELETED for above in event.iterancestors()):
            continue
        if event.tag == f"{_W}t":
            found.append(event.text or "")
        else:  # a paragraph in a text box or cell, a break, a tab
            found.append("\t" if event.tag == f"{_W}tab" else "\n")
    return "".join(found).strip("\n")


def _table(rows: list[str]) -> str:
    """A Markdown table: the first row is the header."""
    if not rows:
        return ""
    rule = "|".join([" --- "] * (rows[0].count(" | ") + 1))
    return "\n".join([f"| {rows[0]} |", f"|{rule}|", *(f"| {row} |" for row in rows[1:])])


def read_pptx(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """Each slide a part: its title as heading, texts and tables, then the notes."""
    from pptx import Presentation

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_zip(archive, uri, settings)
    presentation = Presentation(io.BytesIO(data))
    parts = Parts()
    for number, slide in enumerate(presentation.slides, start=1):
        title = slide.shapes.title
        lines = [f"# {' '.join(title.text.split())}"] if title and title.text.strip() else []
        for shape in slide.shapes:
            if title is None or shape.shape_id != title.shape_id:
                lines += _shape_text(shape)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            lines.append(slide.notes_slide.notes_text_frame.text)
        shown = "\n\n".join(line.replace("\v", "\n") for line in lines if line.strip())
        parts.add(f"slide {number}", shown, format="markdown")
    properties = presentation.core_properties
    yield made(
        uri,
        parts.text,
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        title=properties.title or "",
        format="markdown",
        metadata={"author": properties.author or "", "slides": len(presentation.slides)},
        parts=parts.parts,
    )


def _shape_text(shape: object) -> Iterator[str]:
    for inner in getattr(shape, "shapes", ()):
        yield from _shape_text(inner)
    if getattr(shape, "has_text_frame", False):
        yield shape.text_frame.text  # type: ignore[attr-defined]
    if getattr(shape, "has_table", False):
        rows = [table_row([c.text for c in r.cells]) for r in shape.table.rows]  # type: ignore[attr-defined]
        yield _table(rows)
    if getattr(shape, "has_chart", False):
        chart = shape.chart._chartSpace  # type: ignore[attr-defined]
        said = [e.text or "" for e in chart.iter(f"{_A}t", f"{_C}v")]
        yield ", ".join(dict.fromkeys(text for text in said if text.strip()))


def read_odt(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """OpenDocument text and presentations: headings, paragraphs, lists and tables."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_zip(archive, uri, settings)
        if b"encryption-data" in archive.read("META-INF/manifest.xml"):
            raise LoadError(uri, "is encrypted", "Save it without a password")
        root = _parsed(archive.read("content.xml"))
    body = next(root.iter("{urn:oasis:names:tc:opendocument:xmlns:office:1.0}body"), root)
    blocks = list(_odf_blocks(body))
    yield made(
        uri, "\n\n".join(blocks), "application/vnd.oasis.opendocument.text", format="markdown"
    )


def _odf_blocks(parent: _Element) -> Iterator[str]:
    for element in parent:
        if element.tag == f"{_TEXT}tracked-changes":
            continue
        if element.tag == f"{_TEXT}h":
            level = int(element.get(f"{_TEXT}outline-level", "1"))
            yield f"{'#' * min(level, 6)} {' '.join(_odf_text(element).split())}"
        elif element.tag == f"{_TEXT}p":
            if text := _odf_text(element).strip():
                yield text
        elif element.tag == f"{_TABLE}table":
            rows = [
                table_row([_odf_text(cell) for cell in row.iter(f"{_TABLE}table-cell")])
                for row in element.iter(f"{_TABLE}table-row")
            ]
            if shown := _table([row for row in rows if row.strip(" |")]):
                yield shown
        elif len(element):
            yield from _odf_blocks(element)


def _odf_text(element: _Element) -> str:
    spaced = {f"{_TEXT}s": " ", f"{_TEXT}tab": "\t", f"{_TEXT}line-break": "\n"}
    found: list[str] = []
    for event in element.iter():
        found.append(spaced.get(str(event.tag), ""))
        if event is not element and event.tag == f"{_TEXT}p":
            found.append("\n")
        found.append(event.text or "")
        for ended in [event] if not len(event) else []:
            while ended is not element:
                found.append(ended.tail or "")
                above = ended.getparent()
                if above is None or ended.getnext() is not None:
                    break
                ended = above  # noqa: PLW2901
    return "".join(found)


def _parsed(data: bytes) -> _Element:
    """XML without entities, DTDs or network."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    return etree.fromstring(data, parser)


def read_rtf(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    from striprtf.striprtf import rtf_to_text

    text = str(rtf_to_text(data.decode("latin-1"), encoding="cp1252", errors="replace"))  # type: ignore[no-untyped-call]
    text = "\n".join(line.replace("|", " | ").strip() for line in text.splitlines())
    yield made(uri, re.sub(r"\n{3,}", "\n\n", text), "application/rtf")
