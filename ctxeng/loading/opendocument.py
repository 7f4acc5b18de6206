"""OpenDocument (.odt, .ods, .odp, .odg): headings, paragraphs, tables, sheets and slides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ctxeng.errors import LoadError
from ctxeng.loading.made import Parts, made, markdown_table, table_row, within
from ctxeng.loading.opc import parsed
from ctxeng.loading.zipped import opened
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_REPEATS = 1_000
"""Of one cell; a sheet may say that its last cell goes on for a million columns."""
LONG_CELL, LONG_ROW = 100, 100_000
"""Characters; longer texts, and all in longer rows, are not repeated."""
_MANIFEST = "META-INF/manifest.xml"
_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
_TEXT, _TABLE = f"{{{_OASIS}text:1.0}}", f"{{{_OASIS}table:1.0}}"
_OFFICE, _DRAW = f"{{{_OASIS}office:1.0}}", f"{{{_OASIS}drawing:1.0}}"
_SPACES = {f"{_TEXT}s": " ", f"{_TEXT}tab": "\t", f"{_TEXT}line-break": "\n"}
_UNSHOWN = frozenset({f"{_TEXT}tracked-changes", f"{_TEXT}note-citation", f"{_OFFICE}forms"})
_BLOCKS = frozenset({f"{_TEXT}p", f"{_TEXT}h", f"{_TEXT}note", f"{_OFFICE}annotation"})


def read_odf(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    with opened(data, uri, settings) as archive:
        names = archive.namelist()
        manifest = archive.read(_MANIFEST) if _MANIFEST in names else b""
        if b"encryption-data" in manifest:
            raise LoadError(uri, "is encrypted", "Save it without a password")
        media_type = archive.read("mimetype").decode("ascii", "replace").strip()
        body = next(parsed(archive.read("content.xml")).iter(f"{_OFFICE}body"))
        about = parsed(archive.read("meta.xml")) if "meta.xml" in names else body
    title, author = (
        next(("".join(map(str, found.itertext())) for found in about.iter("{*}" + name)), "")
        for name in ("title", "creator")
    )
    parts = Parts()
    text, is_sheet = "", "spreadsheet" in media_type
    if is_sheet:
        for table in body.iter(f"{_TABLE}table"):
            name = table.get(f"{_TABLE}name", "")
            if lines := list(within(_rows(table), uri, settings)):
                parts.add(f"sheet {name}", "\n".join([f"# {name}", *lines]), format="table")
    elif pages := list(body.iter(f"{_DRAW}page")):
        word = "slide" if "presentation" in media_type else "page"
        for number, page in enumerate(pages, start=1):
            parts.add(f"{word} {number}", "\n\n".join(_blocks(page)))
    else:
        text = "\n\n".join(within(_blocks(body), uri, settings))
    yield made(
        uri, text or parts.text, media_type, title=title,
        format="table" if is_sheet else "markdown", metadata={"author": author}, parts=parts.parts,
    )  # fmt: skip


def _blocks(parent: _Element) -> Iterator[str]:
    for element in parent:
        if element.tag in _UNSHOWN:
            continue
        if element.tag == f"{_TEXT}h":
            level = element.get(f"{_TEXT}outline-level", "1")
            marks = "#" * (min(int(level), 6) if level.isdecimal() else 1)
            if text := " ".join(_inline(element).split()):
                yield f"{marks} {text}"
        elif element.tag == f"{_TEXT}p":
            if text := _inline(element).strip():
                yield text
        elif element.tag == f"{_TABLE}table":
            if shown := markdown_table(list(_rows(element, repeated=False))):
                yield shown
        elif len(element):
            yield from _blocks(element)


def _rows(table: _Element, *, repeated: bool = True) -> Iterator[str]:
    """One line per row that has text; a table inside a cell is text of the cell.

    Args:
        repeated: cells come as often as they say, as they do in sheets.
    """
    for element in table:
        if element.tag == f"{_TABLE}table-row":
            cells: list[str] = []
            size = 0
            for cell in element:
                text = " ".join(_inline(cell).split())
                repeats = cell.get(f"{_TABLE}number-columns-repeated", "1")
                short = repeated and len(text) <= LONG_CELL and size <= LONG_ROW
                times = min(int(repeats), MAX_REPEATS) if repeats.isdecimal() and short else 1
                cells += [text] * times
                size += (len(text) + 3) * times
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                yield table_row(cells)
        elif len(element) and element.tag != f"{_OFFICE}forms":
            yield from _rows(element, repeated=repeated)  # header rows, groups of rows


def _inline(element: _Element) -> str:
    """Text in order, where notes, comments and boxes stand on lines of their own."""
    found = [element.text or ""]
    for child in element:
        if not isinstance(child.tag, str):
            pass
        elif child.tag in _SPACES:
            found.append(_SPACES[child.tag])
        elif child.tag in _BLOCKS:
            found.append(f"\n{_inline(child).strip()}\n")
        elif child.tag not in _UNSHOWN:
            found.append(_inline(child))
        found.append(child.tail or "")
    return "".join(found)
