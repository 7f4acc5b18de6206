"""PDF by PDFium: the text of each page, in reading order, with the page's number kept."""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import JsonValue

from ctxeng.errors import LoadError
from ctxeng.loading.made import Parts, made
from ctxeng.loading.zipped import MAX_RATIO, inflated, is_bomb, too_large
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document, Metadata

if TYPE_CHECKING:
    import pypdfium2

_ONE_AT_A_TIME = threading.Lock()
"""PDFium is not thread-safe."""
_NO_TITLE = re.compile(
    r"\A(?:\W*(?:untitled|anonymous|unknown)\W*\Z|Microsoft (?:Word|PowerPoint) - )", re.I
)
"""What programs write where nobody gave a title."""
_STREAM = re.compile(rb"(?<!end)stream\r?\n")


def read_pdf(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """Opens what the empty password opens."""
    import pypdfium2

    _check_streams(data, uri, settings)
    parts = Parts()
    with _ONE_AT_A_TIME:
        try:
            pdf = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if "assword" in str(error) or "ecurity" in str(error):
                raise LoadError(uri, "is encrypted", "Save it without a password") from error
            raise
        try:
            unread = [number for number in range(1, len(pdf) + 1) if not _add(parts, pdf, number)]
            if len(unread) == len(pdf):
                raise LoadError(uri, "is damaged: no page of it can be read", "Get it again")
            info = pdf.get_metadata_dict(skip_empty=True)
            metadata: Metadata = {"pages": len(pdf), "author": info.get("Author", "")}
            metadata |= {"unread_pages": list[JsonValue](unread)} if unread else {}
        finally:
            pdf.close()
    title = _NO_TITLE.sub("", info.get("Title", ""))
    yield made(
        uri, parts.text, "application/pdf", title=title, metadata=metadata, parts=parts.parts
    )


def _check_streams(data: bytes, uri: str, settings: LoadingSettings) -> None:
    """Refuse what unpacks like a bomb: PDFium takes sixty times the memory of a page's content.

    Pictures may unpack to anything; for the text they are not unpacked.
    """
    total = 0
    for found in _STREAM.finditer(data):
        about = data[max(0, found.start() - 1_000) : found.start()].rpartition(b" obj")[2]
        if b"/Fl" not in about or b"/Image" in about:
            continue
        size = 0
        try:
            for taken, size in inflated(memoryview(data)[found.end() :]):
                if is_bomb(taken, size):
                    why = f"holds a stream of over {MAX_RATIO} times its size, as bombs do"
                    raise LoadError(uri, why, "Print it to a new PDF if you trust it")
                if total + size > settings.max_expanded_bytes:
                    raise too_large(uri, settings)
        except zlib.error:
            pass  # PDFium mends what it can, or says what is wrong
        total += size


def _add(parts: Parts, pdf: pypdfium2.PdfDocument, number: int) -> bool:
    """Whether the page could be read; one that is damaged does not cost the others."""
    import pypdfium2

    try:
        page = pdf[number - 1]
        text = page.get_textpage().get_text_bounded()
        page.close()
    except pypdfium2.PdfiumError:
        return False
    parts.add(f"page {number}", _tidy(text))
    return True


def _tidy(text: str) -> str:
    """Line ends, soft hyphens and the marks that PDFium puts for missing characters."""
    text = (
        text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufffe\n", "").replace("\x00", "")
    )
    return text.replace("\u00ad\n", "").replace("\ufffe", "-").replace("\x02\n", "")
