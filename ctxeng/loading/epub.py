"""EPUB: the chapters in the order of the book's spine."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote

from ctxeng.loading.html import html_as_markdown
from ctxeng.loading.made import Parts, made
from ctxeng.loading.opc import parsed
from ctxeng.loading.zipped import opened
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

_OPF = "{http://www.idpf.org/2007/opf}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"


def read_epub(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    with opened(data, uri, settings) as archive:
        container = parsed(archive.read("META-INF/container.xml"))
        package_path = next(container.iter(f"{_CONTAINER}rootfile")).get("full-path", "")
        package = parsed(archive.read(package_path))
        folder = posixpath.dirname(package_path)
        files = {item.get("id"): item.get("href", "") for item in package.iter(f"{_OPF}item")}
        parts = Parts()
        names = set(archive.namelist())
        for number, reference in enumerate(package.iter(f"{_OPF}itemref"), start=1):
            href = unquote(files.get(reference.get("idref"), ""))
            name = posixpath.normpath(posixpath.join(folder, href))
            if name in names:
                names.remove(name)  # once, however often the spine names it
                _, text = html_as_markdown(archive.read(name))
                parts.add(f"chapter {number}", text, format="markdown")
    title = next((e.text or "" for e in package.iter(f"{_DC}title")), "")
    author = next((e.text or "" for e in package.iter(f"{_DC}creator")), "")
    yield made(
        uri, parts.text, "application/epub+zip", title=title, format="markdown",
        metadata={"author": author}, parts=parts.parts,
    )  # fmt: skip
