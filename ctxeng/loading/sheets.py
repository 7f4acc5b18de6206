"""Excel workbooks: each sheet a part, one line per row, cells joined by `` | ``.

XLSX is read here, by lxml: calamine, four times as fast, ends the whole process on small files that
say large things, and openpyxl is slower and refuses more. XLS is read by xlrd.
"""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from ctxeng.errors import LoadError
from ctxeng.loading.made import Parts, made, table_row, too_much_text
from ctxeng.loading.office import drawing_text, drawn
from ctxeng.loading.opc import Package, each, local, reference
from ctxeng.loading.zipped import opened
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document, Metadata

if TYPE_CHECKING:
    import xlrd
    from lxml.etree import _Element

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_EPOCHS = (datetime(1899, 12, 30), datetime(1904, 1, 1))
MAX_COLUMNS = 16_384
_BUILT_IN_DATES = frozenset([*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)])
_NOT_DATE = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]|general|e[+-]', re.I)
"""What of a number format stands for itself: quoted, escaped, padding, colours; and exponents."""
_DATE_CODE = re.compile(r"[dmyhs]", re.I)

Row = dict[int, str]
"""Text by column; only what is not empty."""


def read_xlsx(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    with opened(data, uri, settings) as archive:
        package = Package(archive)
        book = _Workbook(package)
        parts = Parts()
        for name, part in book.sheets():
            lines = _lines(list(book.rows(part)), uri, settings)
            if lines:
                parts.add(f"sheet {name}", "\n".join([f"# {name}", *lines]), format="table")
            notes = "\n\n".join(note for note in book.notes(part) if note)
            parts.add(f"notes on sheet {name}", notes, format="plain")
        title, author = package.about()
    yield made(
        uri, parts.text, MEDIA_TYPE, title=title, format="table", metadata={"author": author},
        parts=parts.parts,
    )  # fmt: skip


def _lines(rows: Sequence[Row], uri: str, settings: LoadingSettings) -> list[str]:
    """Columns that no row uses are left out, so that cells far apart cost nothing."""
    used = sorted({column for row in rows for column in row})
    lines: list[str] = []
    left = settings.max_expanded_bytes
    for row in rows:
        if not row:
            continue
        width = bisect_right(used, max(row))
        left -= sum(map(len, row.values())) + 3 * width
        if left < 0:  # before the line is made: cells may share one long string
            raise too_much_text(uri, settings)
        lines.append(table_row([row.get(column, "") for column in used[:width]]))
    return lines


class _Workbook:
    """What an XLSX file says of its sheets, strings and styles."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._part = package.main("xl/workbook.xml")
        self._book = package.xml(self._part)
        self._strings = [
            _said(element)
            for part in package.parts(self._part, "sharedStrings")
            for element in each(package.open(part), "si")
        ]
        self._dates = self._date_styles()
        settings = next(self._book.iter("{*}workbookPr"), None)
        from_1904 = settings is not None and settings.get("date1904") in {"1", "true"}
        self._epoch = _EPOCHS[from_1904]

    def sheets(self) -> Iterator[tuple[str, str]]:
        """(name, part) in the order of the tabs."""
        relations = self._package.relations(self._part)
        for sheet in self._book.iter("{*}sheet"):
            kind, part = relations.get(reference(sheet), ("", ""))
            if kind in {"worksheet", "dialogsheet"} and self._package.has(part):
                yield sheet.get("name", ""), part

    def rows(self, part: str) -> Iterator[Row]:
        for element in each(self._package.open(part), "row"):
            row: Row = {}
            column = -1
            for cell in element.iterchildren("{*}c"):
                column = _column(cell.get("r", ""), column + 1)
                text = self._text(cell)
                if text.strip() and column < MAX_COLUMNS:
                    row[column] = text
            yield row

    def notes(self, part: str) -> Iterator[str]:
        """Comments on cells, and the words of text boxes, charts and diagrams."""
        for comments in self._package.parts(part, "comments"):
            for comment in self._package.xml(comments).iter("{*}comment"):
                yield f"{comment.get('ref', '')}: {' '.join(_said(comment).split())}"
        for drawing in self._package.parts(part, "drawing"):
            for box in self._package.xml(drawing).iter("{*}txBody"):
                yield " ".join(drawing_text(box).split())
            yield from drawn(self._package, drawing)

    def _date_styles(self) -> frozenset[int]:
        """Numbers of the cell styles that show a number as a date or time."""
        part = next(iter(self._package.parts(self._part, "styles")), "")
        if not part:
            return frozenset()
        styles = self._package.xml(part)
        codes = {e.get("numFmtId"): e.get("formatCode", "") for e in styles.iter("{*}numFmt")}
        cells = next(styles.iter("{*}cellXfs"), None)
        dates = set()
        for number, style in enumerate(cells if cells is not None else ()):
            identity = style.get("numFmtId", "0")
            if identity in codes:
                shows_date = bool(_DATE_CODE.search(_NOT_DATE.sub("", codes[identity])))
            else:
                shows_date = identity.isdecimal() and int(identity) in _BUILT_IN_DATES
            if shows_date:
                dates.add(number)
        return frozenset(dates)

    def _text(self, cell: _Element) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return _said(cell)
        value = next(cell.iterchildren("{*}v"), None)
        text = (value.text or "") if value is not None else ""
        if kind == "s":
            at = int(text) if text.strip().isdecimal() else -1
            return self._strings[at] if 0 <= at < len(self._strings) else ""
        if kind == "b":
            return "TRUE" if text.strip() == "1" else "FALSE"
        if not text and (formula := next(cell.iterchildren("{*}f"), None)) is not None:
            return f"={formula.text}" if formula.text else ""  # nobody has calculated it yet
        if kind != "n" or not text:
            return text
        style = cell.get("s", "0")
        is_date = style.isdecimal() and int(style) in self._dates
        return number_text(text, self._epoch if is_date else None)


def _said(element: _Element) -> str:
    """Of a string with runs; what only says how it is read aloud (phonetic) is left out."""
    return "".join(
        text.text or ""
        for text in element.iter("{*}t")
        if (above := text.getparent()) is None or local(above) != "rPh"
    )


def _column(place: str, default: int) -> int:
    """Of a cell, from 0, by the letters of its place; the next one where it names none."""
    column = _numbered(place.rstrip("0123456789"))
    return default if column < 0 else column


@lru_cache(maxsize=MAX_COLUMNS)
def _numbered(letters: str) -> int:
    if not letters.isascii() or not letters.isalpha() or len(letters) > 3:
        return -1
    column = 0
    for letter in letters.upper():
        column = 26 * column + ord(letter) - 64
    return column - 1


def number_text(text: str, epoch: datetime | None) -> str:
    """A number as Excel shows it: 15 digits; a date in ISO form where there is an epoch."""
    try:
        number = float(text)
    except ValueError:
        return text
    if epoch is not None and 0 <= number < 2_958_466:  # the year 10000
        moment = epoch + timedelta(seconds=round(number * 86_400))
        if number < 1:
            return f"{moment.time()}"
        return f"{moment.date()}" if moment.time() == time() else f"{moment}"
    return f"{number:.15g}" if abs(number) < 1e15 else text


def read_xls(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """Excel 2 to 2003."""
    import xlrd

    try:
        book = xlrd.open_workbook(
            file_contents=data, logfile=io.StringIO(), on_demand=True, ragged_rows=True
        )
    except xlrd.XLRDError as error:
        if "ncrypt" in str(error):
            raise LoadError(uri, "is encrypted", "Save it without a password") from error
        raise
    epoch = _EPOCHS[book.datemode == 1]
    parts = Parts()
    for name in book.sheet_names():
        sheet = book.sheet_by_name(name)
        rows = [
            {at: text for at, cell in enumerate(row) if (text := _xls_text(cell, epoch)).strip()}
            for row in sheet.get_rows()
        ]
        lines = _lines(rows, uri, settings)
        if lines:
            parts.add(f"sheet {name}", "\n".join([f"# {name}", *lines]), format="table")
        book.unload_sheet(name)
    metadata: Metadata = {"author": book.user_name or ""}
    yield made(
        uri, parts.text, "application/vnd.ms-excel", format="table", metadata=metadata,
        parts=parts.parts,
    )  # fmt: skip


def _xls_text(cell: xlrd.sheet.Cell, epoch: datetime) -> str:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_DATE:
        return number_text(str(cell.value), epoch)
    if cell.ctype == xlrd.XL_CELL_NUMBER:
        return number_text(str(cell.value), None)
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return "TRUE" if cell.value else "FALSE"
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(cell.value, ""))
    return str(cell.value)
