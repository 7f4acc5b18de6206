"""Tables: one line per row, cells joined by `` | ``, the header first."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from ctxeng.loading.decoding import decoded
from ctxeng.loading.made import made, table_row
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
