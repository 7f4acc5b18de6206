"""Text that needs no parser: plain, Markdown, reStructuredText, source code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ctxeng.loading.decoding import decoded
from ctxeng.loading.detect import language_of
from ctxeng.loading.made import made
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document, Metadata

_FRONT_MATTER = re.compile(r"\A---\n(.*?\n)---\n", re.S)
_FIRST_HEADING = re.compile(r"^#\s+(.+?)\s*#*$", re.M)
_UNDERLINED = re.compile(r"^(\S[^\n]{0,200})\n([=\-~^\"'`*+#])\2{2,}[ \t]*$", re.M)


def read_text(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    yield made(uri, decoded(data, uri), "text/plain")


def read_markdown(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """As it is; simple front matter (``key: value``) also becomes metadata."""
    text = decoded(data, uri)
    metadata = _front_matter(text)
    heading = _FIRST_HEADING.search(text[:10_000])
    title = str(metadata.pop("title", "")) or (heading.group(1) if heading else "")
    yield made(uri, text, "text/markdown", title=title, format="markdown", metadata=metadata)


def read_rest(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """As it is: chunking knows underlined headings."""
    text = decoded(data, uri)
    heading = _UNDERLINED.search(text[:10_000])
    yield made(uri, text, "text/x-rst", title=heading.group(1) if heading else "")


def read_code(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    language = language_of(uri)
    yield made(uri, decoded(data, uri), f"text/x-{language}", format="code", language=language)


def _front_matter(text: str) -> Metadata:
    found = _FRONT_MATTER.match(text)
    metadata: Metadata = {}
    for line in found.group(1).splitlines() if found else ():
        key, colon, value = line.partition(":")
        if colon and key.strip().replace("_", "").replace("-", "").isalnum() and value.strip():
            metadata[key.strip()] = value.strip().strip("\"'")
    return metadata
