"""Archives, only where the settings ask for them, and the limits of everything that is zipped."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterable, Iterator

from ctxeng.errors import LoadError
from ctxeng.loading.load import load_bytes
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

MAX_NESTING = 2


def check_zip(archive: zipfile.ZipFile, uri: str, settings: LoadingSettings) -> None:
    """Refuse what says that it unpacks to more than the limits allow.

    ``zipfile`` never unpacks more of a member than it declares, so the declared sizes bind.
    """
    members = archive.infolist()
    if any(member.flag_bits & 1 for member in members):
        raise LoadError(uri, "is encrypted", "Save it without a password")
    if len(members) > settings.max_archive_members:
        raise _too_many(uri, settings)
    if sum(member.file_size for member in members) > settings.max_expanded_bytes:
        raise _too_large(uri, settings)


def read_zip(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    _refuse_unasked(uri, settings)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        check_zip(archive, uri, settings)
        names = sorted(member.filename for member in archive.infolist() if not member.is_dir())
        yield from _members(((name, archive.read(name)) for name in names), uri, settings)


def read_tar(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """Also compressed ones; links inside are not followed."""
    _refuse_unasked(uri, settings)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        yield from _members(_tar_members(archive, uri, settings), uri, settings)


def _tar_members(
    archive: tarfile.TarFile, uri: str, settings: LoadingSettings
) -> Iterator[tuple[str, bytes]]:
    unpacked = 0
    for number, member in enumerate(archive, start=1):
        unpacked += member.size
        if number > settings.max_archive_members:
            raise _too_many(uri, settings)
        if unpacked > settings.max_expanded_bytes:
            raise _too_large(uri, settings)
        file = archive.extractfile(member) if member.isfile() else None
        if file is not None:
            yield member.name, file.read()


def _members(
    members: Iterable[tuple[str, bytes]], uri: str, settings: LoadingSettings
) -> Iterator[Document]:
    """What can be read of the members; one that cannot does not cost the others."""
    for name, content in members:
        try:
            yield from load_bytes(content, f"{uri}!/{name}", settings=settings)
        except LoadError:
            continue


def _refuse_unasked(uri: str, settings: LoadingSettings) -> None:
    if not settings.archives:
        raise LoadError(uri, "is an archive", "Set loading.archives = true to look into archives")
    if uri.count("!/") >= MAX_NESTING:
        raise LoadError(uri, f"lies over {MAX_NESTING} archives deep", "Unpack it")


def _too_many(uri: str, settings: LoadingSettings) -> LoadError:
    return LoadError(
        uri,
        f"holds more than loading.max_archive_members ({settings.max_archive_members:,}) members",
        "Raise that setting or unpack it",
    )


def _too_large(uri: str, settings: LoadingSettings) -> LoadError:
    return LoadError(
        uri,
        f"unpacks to more than loading.max_expanded_bytes ({settings.max_expanded_bytes:,})",
        "Raise that setting or unpack it",
    )
