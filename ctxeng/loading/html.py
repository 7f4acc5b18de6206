"""HTML as Markdown: headings, lists, tables and code kept, scripts and styles left out."""

from __future__ import annotations

from collections.abc import Iterator

from ctxeng.loading.made import made
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

_SILENT = ("script", "style", "noscript", "template", "svg", "iframe", "object")


def read_html(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    title, text = html_as_markdown(data)
    yield made(uri, text, "text/html", title=title, format="markdown")


def html_as_markdown(html: bytes | str) -> tuple[str, str]:
    """(title, Markdown) of a page; the encoding is found as browsers find it."""
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    soup = BeautifulSoup(html, "lxml")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for tag in soup(list(_SILENT)):
        tag.decompose()
    converter = MarkdownConverter(
        heading_style="ATX", strip=["a", "img"], escape_misc=False, escape_asterisks=False,
        escape_underscores=False, table_infer_header=True,
    )  # fmt: skip
    lines = converter.convert_soup(soup.body or soup).splitlines()
    return title, _without_blank_runs([line.rstrip() for line in lines])


def _without_blank_runs(lines: list[str]) -> str:
    kept = [line for i, line in enumerate(lines) if line or (i and lines[i - 1])]
    return "\n".join(kept).strip("\n")
