"""HTML as Markdown: headings, lists, tables and code kept; scripts and navigation left out.

Parsed by lxml. The tree is walked by events, so that neither its depth nor its size costs more
than time in proportion.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ctxeng.loading.decoding import decoded, forced, in_encoding
from ctxeng.loading.made import made, markdown_table, table_row
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

if TYPE_CHECKING:
    from lxml.etree import _Element

_SILENT = frozenset(
    "head script style noscript template svg iframe object canvas audio video nav button select "  # noqa: SIM905
    "datalist".split()
)
_SILENT_ROLES = frozenset({"navigation", "search", "menu", "menubar"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details dialog div dl dt fieldset "  # noqa: SIM905
    "figcaption figure footer form header hr html legend li main ol option p pre section summary "
    "table tbody td tfoot th thead tr ul".split()
) | set(_HEADINGS)
_DECLARED = re.compile(
    rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*[\"']?([\w-]+)", re.I
)
_XML_HEAD = re.compile(r"\A\s*(?:<\?xml[^>]*\?>\s*)?(?:<!DOCTYPE[^>\[]*(?:\[[^\]]*\]\s*)?>)?", re.I)
_NAMED = re.compile(r"&(\w+);")
MAIN_SHARE = 0.5
MAX_COLUMNS = 50
"""That one cell may span."""


def read_html(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    text = _declared(data, None)
    title, text = html_as_markdown(decoded(data, uri) if text is None else text)
    yield made(uri, text, "text/html", title=title, format="markdown")


def html_as_markdown(page: str | bytes, *, encoding: str | None = None) -> tuple[str, str]:
    """(title, Markdown) of a page.

    Args:
        encoding: what carried the page says of it; None: as the page declares, else as found.
    """
    if isinstance(page, bytes):
        declared = _declared(page, encoding)
        page = forced(page) if declared is None else declared
    root = _parsed(page)
    if root is None:
        return "", ""
    title = next((_words("".join(map(str, e.itertext()))) for e in root.iter("{*}title")), "")
    return title, _shown(root)


def _shown(root: _Element) -> str:
    """Of the element that the page names as its main one, where that holds most of the words."""
    named = [e for e in root.iter() if _name(e) == "main" or e.get("role") == "main"]
    whole = _markdown(root)
    main = _markdown(named[0]) if len(named) == 1 else ""
    return main if len(main) > MAIN_SHARE * len(whole) else whole


def _markdown(root: _Element) -> str:
    from lxml import etree

    page = _Page()
    walk = etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        if event == "start":
            if not page.enter(element):
                walk.skip_subtree()
        elif element is not root:
            page.leave(element)
    return page.text()


def _declared(data: bytes, encoding: str | None) -> str | None:
    """The text, where an encoding is named and fits."""
    found = _DECLARED.search(data[:4_096])
    declared = found.group(1).decode("ascii") if found else ""
    for name in (encoding, declared):
        # A declaration that can be read is not in UTF-16, whatever it says.
        if name and not name.lower().startswith("utf-16"):
            text = in_encoding(data, name)
            if text is not None:
                return text
    return None


def _parsed(text: str) -> _Element | None:
    """As XML where it says that it is, for there ``<title/>`` is whole; else as browsers do."""
    from lxml import etree

    head = _XML_HEAD.match(text)
    start = head.end() if head else 0
    if "http://www.w3.org/1999/xhtml" in text[start : start + 1_000]:
        known = _NAMED.sub(_unescaped, text[start:]).encode("utf-8", "replace")
        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, huge_tree=True,
            remove_comments=True, remove_pis=True,
        )  # fmt: skip
        try:
            return etree.fromstring(known, parser)
        except etree.XMLSyntaxError:
            pass  # most pages that say XHTML are not
    browser = etree.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True
    )
    root = etree.fromstring(text[start:].encode("utf-8", "replace") or b" ", browser)
    if any(error.type_name == "ERR_RESOURCE_LIMIT" for error in browser.error_log):
        raise RecursionError("elements over 2,048 deep: the parser has let go of all text")
    return root


def _unescaped(entity: re.Match[str]) -> str:
    name = entity.group(1)
    return (
        entity.group()
        if name in {"lt", "gt", "amp", "quot", "apos"}
        else html.unescape(f"&{name};")
    )


def _words(text: str) -> str:
    return " ".join(text.split())


class _Page:
    """Collects blocks of text while a tree is walked."""

    def __init__(self) -> None:
        self._blocks: list[tuple[str, bool]] = []
        """Text, and whether it is an item of a list, which stands close to the item above."""
        self._line: list[str] = []
        self._heading = 0
        self._lists: list[int | None] = []
        """Per open list the number of its next item; None where it has bullets."""
        self._item = ""

    def enter(self, element: _Element) -> bool:
        """Whether what lies inside is to be walked, too."""
        name = _name(element)
        if _is_silent(element, name):
            return False
        if name in _BLOCKS:
            self._end_block()
        if name in _HEADINGS:
            self._heading = _HEADINGS[name]
        elif name in {"ul", "ol"}:
            self._lists.append(1 if name == "ol" else None)
        elif name == "li":
            self._begin_item()
        elif name == "br":
            self._line.append("\n")
        elif name == "img":
            self._line.append(f" {element.get('alt') or ''} ")
        elif name == "pre":
            self._add_code(element)
            return False
        elif name == "table" and _is_data(element):
            self._add_table(element)
            return False
        if element.text:
            self._line.append(_spaced(element.text))
        return True

    def leave(self, element: _Element) -> None:
        name = _name(element)
        if name in _BLOCKS:
            self._end_block()
        if name in _HEADINGS:
            self._heading = 0
        elif name in {"ul", "ol"} and self._lists:
            self._lists.pop()
        if element.tail:
            self._line.append(_spaced(element.tail))

    def text(self) -> str:
        self._end_block()
        shown: list[str] = []
        close = False
        for block, is_item in self._blocks:
            if shown:
                shown.append("\n" if close and is_item else "\n\n")
            shown.append(block)
            close = is_item
        return "".join(shown)

    def _begin_item(self) -> None:
        number = self._lists[-1] if self._lists else None
        indent = "  " * (len(self._lists) - 1)
        self._item = f"{indent}- " if number is None else f"{indent}{number}. "
        if number is not None:
            self._lists[-1] = number + 1

    def _end_block(self) -> None:
        lines = [" ".join(line.split()) for line in "".join(self._line).split("\n")]
        self._line.clear()
        text = "\n".join(line for line in lines if line)
        if not text:
            return
        if self._heading:
            text = f"{'#' * self._heading} {' '.join(text.split())}"
        self._blocks.append((f"{self._item}{text}", bool(self._item)))
        self._item = ""

    def _add_code(self, element: _Element) -> None:
        code = "".join(str(piece) for piece in element.itertext()).strip("\n")
        if code.strip():
            fence = "~~~" if "```" in code else "```"
            self._blocks.append((f"{fence}\n{code}\n{fence}", False))

    def _add_table(self, table: _Element) -> None:
        for caption in table.iter("{*}caption", "caption"):
            self._line.append(_cell(caption))
            self._end_block()
        if shown := markdown_table(list(_rows(table))):
            self._blocks.append((shown, False))


def _is_silent(element: _Element, name: str) -> bool:
    return (
        name in _SILENT
        or element.get("hidden") is not None
        or element.get("role") in _SILENT_ROLES
        or element.get("aria-hidden") == "true"
    )


def _is_data(table: _Element) -> bool:
    """Tables that hold tables or headings lay out a page."""
    inside = {_name(element) for element in table.iterdescendants()}
    return "table" not in inside and not inside & _HEADINGS.keys() and "tr" in inside


def _rows(table: _Element) -> Iterator[str]:
    """A cell that spans columns or rows leaves the others that it covers empty."""
    covered: dict[int, int] = {}
    for row in table.iterdescendants("tr", "{*}tr"):
        cells: list[str] = []
        for cell in row:
            if _name(cell) not in {"td", "th"}:
                continue
            while covered.get(len(cells), 0):
                covered[len(cells)] -= 1
                cells.append("")
            first, columns = len(cells), _span(cell, "colspan")
            cells += [_cell(cell)] + [""] * (columns - 1)
            if (rows := _span(cell, "rowspan")) > 1:
                covered.update(dict.fromkeys(range(first, first + columns), rows - 1))
        if any(cells):
            yield table_row(cells)


def _span(cell: _Element, name: str) -> int:
    value = (cell.get(name) or "1").strip()
    return min(max(int(value), 1), MAX_COLUMNS) if value.isdecimal() else 1


def _cell(cell: _Element) -> str:
    return _words(_markdown(cell))


def _name(element: _Element) -> str:
    tag = element.tag
    return tag.rsplit("}", 1)[-1].lower() if isinstance(tag, str) else ""


def _spaced(text: str) -> str:
    """Line ends of the source are spaces."""
    return text.replace("\n", " ").replace("\r", " ")
