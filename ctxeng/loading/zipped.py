"""The limits of everything that is zipped: Office files, OpenDocument, EPUB, archives."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from ctxeng.errors import LoadError
from ctxeng.settings import LoadingSettings

MAX_RATIO = 100
"""A member of a document that unpacks to more times its size is a bomb; real ones reach 10 to 40
(Apache POI draws the same line)."""
RATIO_FROM = 10_000_000
"""Smaller members may have any ratio: they do no harm."""
_STEP = 32_000


@contextmanager
def opened(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[zipfile.ZipFile]:
    """A zipped document, whose members are known to unpack to what they declare.

    Raises:
        LoadError: it is encrypted, broken or over a limit; nothing large was unpacked to see that.
    """
    with directory(data, uri, settings) as archive:
        for member in archive.infolist():
            check_member(member, data, uri)
        yield archive


def directory(data: bytes, uri: str, settings: LoadingSettings) -> zipfile.ZipFile:
    """An archive within the limits by what it declares; its members are still to be checked."""
    check_count(data, uri, settings)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        why = f"is damaged: {str(error) or type(error).__name__}"
        raise LoadError(uri, why, "Get or save it again") from error
    if sum(member.file_size for member in archive.infolist()) > settings.max_expanded_bytes:
        raise too_large(uri, settings)
    return archive


def check_count(data: bytes, uri: str, settings: LoadingSettings) -> None:
    """Before the directory is read: a hundred thousand entries in it would take 60 MB."""
    if data.count(b"PK\x01\x02") > settings.max_archive_members:
        raise too_many(uri, settings)


def check_member(member: zipfile.ZipInfo, data: bytes, uri: str) -> None:
    """Nothing that reads ``member`` later, however carelessly, unpacks more than it declares.

    ``ZipFile.read`` unpacks all that the packed bytes hold before it cuts that to the declared
    size, and of bzip2 and lzma there is no unpacking by steps.
    """
    if member.flag_bits & 1:
        raise LoadError(uri, "is encrypted", "Save it without a password")
    if member.compress_type == zipfile.ZIP_STORED:
        if member.compress_size < member.file_size:
            raise LoadError(uri, f"is damaged: {member.filename!r} is cut off", "Get it again")
        return
    if member.compress_type != zipfile.ZIP_DEFLATED:
        why = f"packs {member.filename!r} in a way that is not read (method {member.compress_type})"
        raise LoadError(uri, why, "Pack it with the usual method, deflate")
    if is_bomb(member.compress_size, member.file_size):
        why = f"unpacks {member.filename!r} to over {MAX_RATIO} times its size, as zip bombs do"
        raise LoadError(uri, why, "Unpack and save it again if you trust it")
    if _unpacks_to_more(member, data):
        why = f"is a zip bomb: {member.filename!r} is larger than it declares"
        raise LoadError(uri, why, "Leave it out with --exclude")


def _unpacks_to_more(member: zipfile.ZipInfo, data: bytes) -> bool:
    name, extra = struct.unpack_from("<HH", data, member.header_offset + 26)
    start = member.header_offset + 30 + name + extra
    packed = memoryview(data)[start : start + member.compress_size]
    return any(size > member.file_size for _, size in inflated(packed, wbits=-15))


def inflated(packed: memoryview, *, wbits: int = 15) -> Iterator[tuple[int, int]]:
    """(bytes taken, bytes made) so far, step by step, so that who counts can stop in time.

    Raises:
        zlib.error: the data is damaged.
    """
    inflate, taken, made = zlib.decompressobj(wbits), 0, 0
    while taken < len(packed) and not inflate.eof:
        step = packed[taken : taken + _STEP]
        taken += len(step)
        made += len(inflate.decompress(step, _STEP))
        yield taken, made
        while inflate.unconsumed_tail and not inflate.eof:
            more = len(inflate.decompress(inflate.unconsumed_tail, _STEP))
            if not more:
                return
            made += more
            yield taken, made


def is_bomb(packed: int, unpacked: int) -> bool:
    return unpacked > max(RATIO_FROM, MAX_RATIO * packed)


def too_many(uri: str, settings: LoadingSettings) -> LoadError:
    return LoadError(
        uri,
        f"holds more than loading.max_archive_members ({settings.max_archive_members:,}) members",
        "Raise that setting or unpack it",
    )


def too_large(uri: str, settings: LoadingSettings) -> LoadError:
    return LoadError(
        uri,
        f"unpacks to more than loading.max_expanded_bytes ({settings.max_expanded_bytes:,})",
        "Raise that setting or unpack it",
    )
