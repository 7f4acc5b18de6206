"""Archives and compressed files, only where the settings ask for them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from ctxeng.errors import LoadError, SkippedError
from ctxeng.loading.load import load_each
from ctxeng.loading.zipped import check_member, directory, too_large, too_many
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

MAX_NESTING = 2

_UNPACK: dict[bytes, Callable[[io.BytesIO], io.BufferedIOBase]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
"""How each kind begins, and what unpacks it by steps."""


def read_zip(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document | LoadError]:
    _refuse_unasked(uri, settings)
    with directory(data, uri, settings) as archive:
        members = _Members(uri, settings)
        for member in sorted(archive.infolist(), key=lambda member: member.filename):
            if member.is_dir():
                continue
            place = members.place(member.filename)
            try:
                members.check_size(place, member.file_size)
                check_member(member, data, place)
                content = archive.read(member)
            except LoadError as error:
                yield error
            except Exception as error:  # a damaged member costs only itself
                yield LoadError(place, f"is damaged: {error}", "Get the archive again")
            else:
                yield from members.load(place, content)


def read_tar(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document | LoadError]:
    """Links inside are not followed."""
    _refuse_unasked(uri, settings)
    yield from _tar_members(io.BytesIO(data), uri, settings)


def read_compressed(
    data: bytes, uri: str, settings: LoadingSettings
) -> Iterator[Document | LoadError]:
    """A compressed tar, or one compressed file (``notes.txt.gz``)."""
    _refuse_unasked(uri, settings)
    unpack = next(unpack for mark, unpack in _UNPACK.items() if data.startswith(mark))
    with unpack(io.BytesIO(data)) as unpacked:
        head = unpacked.read(512)
    with unpack(io.BytesIO(data)) as unpacked:
        if head[257:262] == b"ustar":
            yield from _tar_members(unpacked, uri, settings)
            return
        members = _Members(uri, settings)
        place = members.place(PurePosixPath(uri).stem)
        content = unpacked.read(settings.max_file_bytes + 1)
    members.check_size(place, len(content))
    yield from members.load(place, content)


def _tar_members(
    file: io.BufferedIOBase, uri: str, settings: LoadingSettings
) -> Iterator[Document | LoadError]:
    members = _Members(uri, settings)
    with tarfile.open(fileobj=_Limited(file, uri, settings), mode="r|") as archive:  # type: ignore[call-overload]
        for number, member in enumerate(archive, start=1):
            if number > settings.max_archive_members:
                raise too_many(uri, settings)
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            place = members.place(member.name)
            try:
                members.check_size(place, member.size)
            except LoadError as error:
                yield error
            else:
                yield from members.load(place, content.read())


class _Limited:
    """A stream that ends with an error after all that may be unpacked."""

    def __init__(self, file: io.BufferedIOBase, uri: str, settings: LoadingSettings) -> None:
        self._file = file
        self._left = settings.max_expanded_bytes
        self._error = too_large(uri, settings)

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise self._error
        return self._file.read(size)


class _Members:
    """Loads what one archive holds; what cannot be read is yielded as an error of that member."""

    def __init__(self, uri: str, settings: LoadingSettings) -> None:
        self._uri = uri
        self._settings = settings
        self._characters = 0

    def place(self, name: str) -> str:
        return f"{self._uri}!/{name}"

    def check_size(self, place: str, size: int) -> None:
        if size > self._settings.max_file_bytes:
            why = f"has more bytes than loading.max_file_bytes ({self._settings.max_file_bytes:,})"
            raise LoadError(place, why, "Raise that setting or split the file")

    def load(self, place: str, content: bytes) -> Iterator[Document | LoadError]:
        for loaded in load_each(content, place, settings=self._settings):
            if isinstance(loaded, Document):
                self._characters += len(loaded.text)
                if self._characters > self._settings.max_expanded_bytes:  # archives in archives
                    raise too_large(self._uri, self._settings)
            yield loaded


def _refuse_unasked(uri: str, settings: LoadingSettings) -> None:
    if not settings.archives:
        raise SkippedError(
            uri, "is an archive", "Set loading.archives = true to look into archives"
        )
    if uri.count("!/") >= MAX_NESTING:
        raise LoadError(uri, f"lies over {MAX_NESTING} archives deep", "Unpack it")
