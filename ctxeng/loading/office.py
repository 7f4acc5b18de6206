"""Word and PowerPoint as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ctxeng.loading.made import Parts, made, markdown_table, table_row
from ctxeng.loading.opc import Package, local, reference
from ctxeng.loading.zipped import opened
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

if TYPE_CHECKING:
    from lxml.etree import _Element

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
POWERPOINT = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
MAX_SPAN = 63
"""Columns of a Word table."""
_DELETED = frozenset({"del", "moveFrom", "Fallback", "pPr", "rPr", "tblPr", "trPr", "tcPr"})
_BESIDE = ("header", "footer", "footnotes", "endnotes", "comments")
_SPACES = {"tab": "\t", "br": "\n", "cr": "\n", "p": "\n", "noBreakHyphen": "-"}
_HEADING = re.compile(r"(?:heading|überschrift|titre|título|titolo|标题|見出し) ?([1-9])", re.I)
_TITLES = frozenset({"title", "ctrTitle"})


def read_docx(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """Body with headings and tables, then charts, headers, footers, notes and comments."""
    with opened(data, uri, settings) as archive:
        package = Package(archive)
        main = package.main("word/document.xml")
        styles = _styles(package, main)
        blocks = list(_word_blocks(package.xml(main), styles))
        blocks += drawn(package, main)
        for part in package.parts(main, *_BESIDE):
            beside = _word_blocks(package.xml(part), styles)
            blocks += [block for block in dict.fromkeys(beside) if block not in blocks]
        title, author = package.about()
    yield made(
        uri, "\n\n".join(blocks), WORD, title=title, format="markdown", metadata={"author": author}
    )


class _Styles(NamedTuple):
    """Of paragraphs, by id."""

    levels: dict[str, int]
    """Of those that make headings by their name, outline or origin."""
    lists: frozenset[str]
    """Those that make items of lists."""


def _styles(package: Package, main: str) -> _Styles:
    levels: dict[str, int] = {}
    origins: dict[str, str] = {}
    lists: set[str] = set()
    for part in package.parts(main, "styles"):
        for style in package.xml(part).iter("{*}style"):
            identity = reference(style, "styleId")
            name = next((reference(e, "val") for e in style.iterchildren("{*}name")), "")
            properties = next(style.iterchildren("{*}pPr"), None)
            origins[identity] = next(
                (reference(e, "val") for e in style.iterchildren("{*}basedOn")), ""
            )
            found = _HEADING.match(name)
            if found or name.lower() == "title":
                levels[identity] = int(found.group(1)) if found else 1
            elif outline := _outline(properties):
                levels[identity] = outline
            elif _is_numbered(properties):
                lists.add(identity)
    for identity in origins:
        above, seen = identity, set[str]()
        while above and above not in seen:
            seen.add(above)
            if above in levels:
                levels[identity] = levels[above]
                break
            above = origins.get(above, "")
    return _Styles(levels, frozenset(lists))


def _is_numbered(properties: _Element | None) -> bool:
    """Whether they make an item of a list; number 0 takes what a style made back."""
    found = properties.find("{*}numPr/{*}numId") if properties is not None else None
    return found is not None and reference(found, "val") not in {"", "0"}


def _outline(properties: _Element | None) -> int:
    """Level that paragraph properties give; 0: none."""
    found = properties.find("{*}outlineLvl") if properties is not None else None
    value = reference(found, "val") if found is not None else ""
    return int(value) + 1 if value.isdecimal() and int(value) < 9 else 0


def _word_blocks(parent: _Element, styles: _Styles) -> Iterator[str]:
    """Paragraphs and tables in order; content controls and the like are looked into."""
    for element in parent:
        name = local(element)
        if name == "p":
            if text := drawing_text(element).strip():
                mark = _mark(element, styles)
                yield f"{mark}{' '.join(text.split())}" if mark else text
        elif name == "tbl":
            if shown := markdown_table(list(_word_rows(element))):
                yield shown
        elif name not in _DELETED and len(element):
            yield from _word_blocks(element, styles)


def _mark(paragraph: _Element, styles: _Styles) -> str:
    """What Markdown puts before it: headings have ``#``, items of lists ``-``."""
    properties = paragraph.find("{*}pPr")
    if properties is None:
        return ""
    named = properties.find("{*}pStyle")
    style = reference(named, "val") if named is not None else ""
    if level := _outline(properties) or styles.levels.get(style, 0):
        return f"{'#' * min(level, 6)} "
    own = properties.find("{*}numPr") is not None
    is_item = _is_numbered(properties) if own else style in styles.lists
    return "- " if is_item else ""


def _word_rows(table: _Element) -> Iterator[str]:
    """One line per row that has text; a table inside a cell is text of the cell."""
    for row in table.iterchildren("{*}tr", "{*}sdt", "{*}ins", "{*}customXml"):
        if local(row) != "tr":
            for inside in row.iterchildren("{*}sdtContent"):
                yield from _word_rows(inside)
            continue
        cells: list[str] = []
        for cell in _cells(row):
            span = cell.find("{*}tcPr/{*}gridSpan")
            width = reference(span, "val") if span is not None else ""
            columns = min(int(width), MAX_SPAN) if width.isdecimal() else 1
            cells += [drawing_text(cell), *[""] * (columns - 1)]
        if any(cell.strip() for cell in cells):
            yield table_row(cells)


def _cells(row: _Element) -> Iterator[_Element]:
    for element in row:
        if local(element) == "tc":
            yield element
        elif local(element) in {"sdt", "sdtContent", "customXml"}:
            yield from _cells(element)


def drawing_text(element: _Element) -> str:
    """What shows, in order; paragraphs inside (of cells and text boxes) on lines of their own."""
    from lxml import etree

    found: list[str] = []
    walk = etree.iterwalk(element, events=("start",))
    for _, inside in walk:
        name = local(inside)
        if name in _DELETED and inside is not element:
            walk.skip_subtree()
        elif name == "t":
            found.append(inside.text or "")
        elif name in _SPACES:
            found.append(_SPACES[name])
    return "".join(found).strip("\n")


def drawn(package: Package, part: str) -> Iterator[str]:
    """The words of the charts and diagrams that a part shows."""
    for drawing in package.parts(part, "chart", "diagramData"):
        said = [
            " ".join((element.text or "").split())
            for element in package.xml(drawing).iter("{*}t", "{*}v")
        ]
        if shown := ", ".join(dict.fromkeys(text for text in said if text)):
            yield shown


def read_pptx(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """Each slide a part: its title as heading, texts and tables, then the notes."""
    with opened(data, uri, settings) as archive:
        package = Package(archive)
        main = package.main("ppt/presentation.xml")
        relations = package.relations(main)
        slides = [
            relations[identity].part
            for slide in package.xml(main).iterfind("{*}sldIdLst/{*}sldId")
            if (identity := reference(slide)) in relations
        ]
        parts = Parts()
        for number, slide in enumerate(slides, start=1):
            if package.has(slide):
                shown = "\n\n".join(_slide(package, slide))
                parts.add(f"slide {number}", shown, format="markdown")
        title, author = package.about()
    yield made(
        uri, parts.text, POWERPOINT, title=title, format="markdown",
        metadata={"author": author, "slides": len(slides)}, parts=parts.parts,
    )  # fmt: skip


def _slide(package: Package, part: str) -> Iterator[str]:
    titles: list[str] = []
    blocks: list[str] = []
    for tree in package.xml(part).iter("{*}spTree"):
        for is_title, text in _shapes(tree):
            (titles if is_title else blocks).append(text)
    yield from (f"# {' '.join(title.split())}" for title in titles)
    yield from blocks
    yield from drawn(package, part)
    for notes in package.parts(part, "notesSlide"):
        for tree in package.xml(notes).iter("{*}spTree"):
            yield from (text for _, text in _shapes(tree, only="body"))


def _shapes(tree: _Element, *, only: str = "") -> Iterator[tuple[bool, str]]:
    """(is a title, text) of each shape with text, in order.

    Args:
        only: kind of the placeholders that are wanted; empty: all but slide numbers.
    """
    for shape in tree:
        name = local(shape)
        if name in {"grpSp", "AlternateContent", "Choice"}:
            yield from _shapes(shape, only=only)
        elif name == "graphicFrame" and not only:
            for table in shape.iter("{*}tbl"):
                rows = [
                    table_row([drawing_text(cell) for cell in row.iterchildren("{*}tc")])
                    for row in table.iterchildren("{*}tr")
                ]
                yield False, markdown_table([row for row in rows if row.strip(" |")])
        elif name in {"sp", "cxnSp", "pic"}:
            place = next(shape.iter("{*}ph"), None)
            kind = place.get("type", "obj") if place is not None else ""
            body = next(shape.iterchildren("{*}txBody"), None)
            if body is None or kind == "sldNum" or (only and kind != only):
                continue
            if text := drawing_text(body).strip():
                yield kind in _TITLES, text
