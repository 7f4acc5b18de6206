"""Tables: one line per row, cells joined by `` | ``, the header first."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator

from ctxeng.errors import LoadError
from ctxeng.loading.archives import check_zip
from ctxeng.loading.detect import decoded
from ctxeng.loading.made import Parts, made, table_row
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document


def read_delimited(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """CSV and its kin; the delimiter is found, quotes and line breaks in cells are understood."""
    text = decoded(data, uri)
    csv.field_size_limit(settings.max_file_bytes)
    rows = csv.reader(io.StringIO(text), _dialect(text, uri))
    lines = [table_row(row) for row in rows]
    media_type = "text/tab-separated-values" if uri.endswith(".tsv") else "text/csv"
    yield made(uri, "\n".join(line for line in lines if line), media_type, format="table")


def _dialect(text: str, uri: str) -> type[csv.Dialect] | csv.Dialect:
    if uri.endswith(".tsv"):
        return csv.excel_tab()
    try:
        return csv.Sniffer().sniff(text[:8_192], delimiters=",;\t|:")
    except csv.Error:
        return csv.excel()


def read_sheets(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """XLSX, XLS, XLSB and ODS: each sheet a part."""
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_zip(archive, uri, settings)
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        parts = Parts()
        for name in workbook.sheet_names:
            rows = workbook.get_sheet_by_name(name).to_python(skip_empty_area=True)
            lines = [table_row([_cell(value) for value in row]) for row in rows]
            shown = "\n".join(line for line in lines if line.strip(" |"))
            if shown:
                parts.add(f"sheet {name}", f"# {name}\n{shown}", format="table")
    except PasswordError as error:
        raise LoadError(uri, "is encrypted", "Save it without a password") from error
    except CalamineError as error:
        why = str(error)
        if "assword" in why or "ncrypt" in why:
            raise LoadError(uri, "is encrypted", "Save it without a password") from error
        raise
    yield made(uri, parts.text, "application/vnd.ms-excel", format="table", parts=parts.parts)


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
