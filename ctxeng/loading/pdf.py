"""PDF by PDFium: the text of each page, in reading order, with the page's number kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from ctxeng.errors import LoadError
from ctxeng.loading.made import Parts, made
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document, Metadata

_ONE_AT_A_TIME = threading.Lock()
"""PDFium is not thread-safe."""


def read_pdf(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """Opens what the empty password opens."""
    import pypdfium2

    parts = Parts()
    with _ONE_AT_A_TIME:
        try:
            pdf = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if "assword" in str(error) or "ecurity" in str(error):
                raise LoadError(uri, "is encrypted", "Save it without a password") from error
            raise
        try:
            for number in range(len(pdf)):
                page = pdf[number]
                text = page.get_textpage().get_text_bounded()
                parts.add(f"page {number + 1}", _tidy(text))
                page.close()
            info = pdf.get_metadata_dict(skip_empty=True)
            metadata: Metadata = {"pages": len(pdf), "author": info.get("Author", "")}
        finally:
            pdf.close()
    title = info.get("Title", "")
    yield made(
        uri, parts.text, "application/pdf", title=title, metadata=metadata, parts=parts.parts
    )


def _tidy(text: str) -> str:
    """Line ends, soft hyphens and the marks that PDFium puts for missing characters."""
    text = (
        text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufffe\n", "").replace("\x00", "")
    )
    return text.replace("\u00ad\n", "").replace("\ufffe", "-").replace("\x02\n", "")
