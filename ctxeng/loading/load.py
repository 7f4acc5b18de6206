"""Dispatches bytes to the loader of their family, and turns every failure into a LoadError."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

from ctxeng.errors import CtxengError, LoadError
from ctxeng.loading.detect import kind_of
from ctxeng.loading.walk import walk
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

Read = Callable[[bytes, str, LoadingSettings], Iterable[Document]]

_FAMILIES = {
    "text": "plain:read_text",
    "markdown": "plain:read_markdown",
    "rest": "plain:read_rest",
    "code": "plain:read_code",
    "html": "html:read_html",
    "delimited": "tables:read_delimited",
    "sheets": "tables:read_sheets",
    "json": "structured:read_json",
    "xml": "structured:read_xml",
    "notebook": "structured:read_notebook",
    "pdf": "pdf:read_pdf",
    "docx": "office:read_docx",
    "pptx": "office:read_pptx",
    "odt": "office:read_odt",
    "rtf": "office:read_rtf",
    "epub": "epub:read_epub",
    "mail": "mail:read_mail",
    "outlook": "mail:read_outlook",
    "zip": "archives:read_zip",
    "tar": "archives:read_tar",
    "gzip": "archives:read_tar",
    "bzip2": "archives:read_tar",
    "xz": "archives:read_tar",
}
"""Family → module and function; imported when first used."""


def load(path: str | Path, *, settings: LoadingSettings | None = None) -> list[Document]:
    """What the index would see of a file or folder.

    Files of a folder that cannot be read are left out; ``Engine.index`` reports them.

    Raises:
        LoadError: the path does not exist, or is a file that cannot be read.
    """
    root, limits = Path(path), settings or LoadingSettings()
    if not root.exists():
        raise LoadError(str(path), "no such file or folder", "Check the path")
    documents: list[Document] = []
    for found in walk(root.resolve(), settings=limits):
        try:
            if isinstance(found, LoadError):
                raise found
            documents += load_bytes(_bytes_of(found), found.as_posix(), settings=limits)
        except LoadError:
            if root.is_file():
                raise
    return documents


def load_bytes(data: bytes, uri: str, *, settings: LoadingSettings | None = None) -> list[Document]:
    """The documents in the bytes of one source; same bytes and uri, same ids and hashes.

    Raises:
        LoadError: they are empty, broken, encrypted, binary or over a limit.
    """
    if not data.strip(b" \t\r\n\0"):
        raise LoadError(uri, "is empty", "Nothing to do")
    kind = kind_of(data, uri)
    if kind not in _FAMILIES:
        raise LoadError(uri, _unknown(kind), "Save it as PDF, DOCX, PPTX or text")
    module, function = _FAMILIES[kind].split(":")
    read: Read = getattr(import_module(f"ctxeng.loading.{module}"), function)
    try:
        documents = list(read(data, uri, settings or LoadingSettings()))
    except CtxengError:
        raise
    except RecursionError as error:
        raise LoadError(uri, "is nested too deeply", "Flatten it or leave it out") from error
    except Exception as error:  # what a parser raises on broken input is of any kind
        why = f"cannot be read as {kind}: {type(error).__name__}: {str(error)[:200]}"
        raise LoadError(uri, why, "It may be damaged: open and save it again") from error
    documents = [document for document in documents if document.text.strip()]
    if not documents:
        raise LoadError(uri, "holds no text", "If it is scanned, run text recognition (OCR) first")
    return documents


def _unknown(kind: str) -> str:
    if kind == "ole":
        return "is an old Office file, or an encrypted one, which cannot be read"
    return f"is of a kind that cannot be read ({kind})"


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LoadError(str(path), f"cannot be read: {error.strerror}", "Check its permissions"
                        ) from error  # fmt: skip
