"""Dispatches bytes to the loader of their family, and turns every failure into a LoadError."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from ctxeng.errors import LoadError, SkippedError
from ctxeng.loading.detect import kind_of
from ctxeng.loading.walk import walk
from ctxeng.loading.zipped import check_count
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

_BLANK = b" \t\r\n\0" + codecs.BOM_UTF8 + codecs.BOM_UTF16
SHOWN = 3
"""Members that an error names."""

Read = Callable[[bytes, str, LoadingSettings], Iterable[Document | LoadError]]

_FAMILIES = {
    "text": "plain:read_text",
    "markdown": "plain:read_markdown",
    "rest": "plain:read_rest",
    "code": "plain:read_code",
    "html": "html:read_html",
    "delimited": "tables:read_delimited",
    "xlsx": "sheets:read_xlsx",
    "xls": "sheets:read_xls",
    "json": "structured:read_json",
    "xml": "structured:read_xml",
    "notebook": "structured:read_notebook",
    "pdf": "pdf:read_pdf",
    "docx": "office:read_docx",
    "pptx": "office:read_pptx",
    "doc": "office97:read_doc",
    "ppt": "office97:read_ppt",
    "odf": "opendocument:read_odf",
    "rtf": "richtext:read_rtf",
    "epub": "epub:read_epub",
    "mail": "mail:read_mail",
    "mailbox": "mail:read_mailbox",
    "outlook": "outlook:read_outlook",
    "zip": "archives:read_zip",
    "tar": "archives:read_tar",
    "compressed": "archives:read_compressed",
}
"""Family → module and function; imported when first used."""

_UNREAD = {
    "encrypted": ("is encrypted", "Save it without a password"),
    "ole": ("is an old Office file of a kind that is not read", "Save it as PDF, DOCX or PPTX"),
    "xlsb": ("is a binary workbook", "Save it as XLSX"),
}
_OTHER = "Save it as PDF, DOCX, PPTX or text"


def load(path: str | Path, *, settings: LoadingSettings | None = None) -> list[Document]:
    """What the index would see of a file or folder.

    Files of a folder, and members of a file, that cannot be read are left out; ``Engine.index``
    reports them.

    Raises:
        LoadError: the path does not exist, or is a file or folder that cannot be read.
    """
    root, limits = Path(path), settings or LoadingSettings()
    if not root.exists():
        raise LoadError(str(path), "no such file or folder", "Check the path")
    root = root.resolve()
    documents: list[Document] = []
    for found in walk(root, settings=limits):
        try:
            if isinstance(found, LoadError):
                raise found
            documents += load_bytes(_bytes_of(found), found.as_posix(), settings=limits)
        except LoadError as error:
            if error.uri == str(root) or not root.is_dir():
                raise
    return documents


class FileLoader:
    """The ``Loader`` of all families."""

    def __init__(self, settings: LoadingSettings | None = None) -> None:
        self._settings = settings or LoadingSettings()

    def load(self, data: bytes, uri: str) -> list[Document]:
        return load_bytes(data, uri, settings=self._settings)


class Loaded(NamedTuple):
    """What came of one source."""

    documents: list[Document]
    error: LoadError | None
    """Why it, or some of its members, could not be read."""


def load_bytes(data: bytes, uri: str, *, settings: LoadingSettings | None = None) -> list[Document]:
    """The documents in the bytes of one source; same bytes and uri, same ids and hashes.

    Raises:
        LoadError: they are empty, broken, encrypted, binary or over a limit.
    """
    documents, error = load_source(data, uri, settings=settings)
    if error is not None and not documents:
        raise error
    return documents


def load_source(data: bytes, uri: str, *, settings: LoadingSettings | None = None) -> Loaded:
    """As ``load_bytes``, with one error for all members (of an archive, a mail) that failed."""
    loaded = load_each(data, uri, settings=settings)
    documents = [one for one in loaded if not isinstance(one, LoadError)]
    errors = [one for one in loaded if isinstance(one, LoadError)]
    if not errors:
        return Loaded(documents, None)
    own = next((error for error in errors if error.uri == uri), None)
    what = "could not be read in part" if documents else "holds nothing that can be read"
    return Loaded(documents, own or _of_members(uri, what, errors))


def _of_members(uri: str, what: str, errors: Sequence[LoadError]) -> LoadError:
    named = [f"{error.uri.removeprefix(f'{uri}!/')} ({error.why})" for error in errors[:SHOWN]]
    more = f" and {len(errors) - SHOWN:,} more" if len(errors) > SHOWN else ""
    return LoadError(uri, f"{what}: {', '.join(named)}{more}", errors[0].hint)


def load_each(
    data: bytes, uri: str, *, settings: LoadingSettings | None = None
) -> list[Document | LoadError]:
    """As ``load_bytes``, with an error in place of each member that cannot be read.

    Members are what archives hold and mails carry. An error of the source itself carries its uri;
    documents that were read before it stay.
    """
    limits = settings or LoadingSettings()
    loaded: list[Document | LoadError] = []
    kind = ""
    try:
        if is_blank(data):
            raise SkippedError(uri, "is empty", "Nothing to do")
        if data.startswith(b"PK"):
            check_count(data, uri, limits)
        kind = kind_of(data, uri)
        for found in _reader(kind, uri)(data, uri, limits):
            if isinstance(found, LoadError) or found.text.strip():
                loaded.append(found)
        if not loaded:
            why, hint = "holds no text", "If it is scanned, run text recognition (OCR) first"
            raise LoadError(uri, why, hint)
    except LoadError as error:
        loaded.append(error)
    except RecursionError:
        loaded.append(LoadError(uri, "is nested too deeply", "Flatten it or leave it out"))
    except Exception as error:  # what a parser raises on broken input is of any kind
        said = f"{type(error).__name__}: {str(error)[:200]}".rstrip(": ")
        why = f"cannot be read as {kind}: {said}" if kind else f"cannot be read: {said}"
        loaded.append(LoadError(uri, why, "It may be damaged: open and save it again"))
    return loaded


def is_blank(data: bytes) -> bool:
    """Whether a file says nothing, whatever its kind."""
    return not data.strip(_BLANK)


def _reader(kind: str, uri: str) -> Read:
    if kind not in _FAMILIES:
        if kind in _UNREAD:
            raise LoadError(uri, *_UNREAD[kind])
        raise SkippedError(uri, f"is of a kind that is not read ({kind})", _OTHER)
    module, function = _FAMILIES[kind].split(":")
    read: Read = getattr(import_module(f"ctxeng.loading.{module}"), function)
    return read


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LoadError(str(path), f"cannot be read: {error.strerror}", "Check its permissions"
                        ) from error  # fmt: skip
