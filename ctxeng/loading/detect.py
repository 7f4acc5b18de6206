"""Says what bytes are, by their content before their name."""

from __future__ import annotations

import codecs
import io
import zipfile
from pathlib import PurePosixPath

from ctxeng.loading.made import file_name

_MAGIC = {
    b"%PDF-": "pdf",
    b"{\\rtf": "rtf",
    b"PK\x03\x04": "zip",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "ole",
    b"\x09\x00\x04\x00": "xls",  # Excel 2, 3 and 4 had no container
    b"\x09\x02\x06\x00": "xls",
    b"\x09\x04\x06\x00": "xls",
    b"\x1f\x8b": "compressed",
    b"BZh": "compressed",
    b"\xfd7zXZ\x00": "compressed",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
}
_OOXML = {"word/": "docx", "ppt/": "pptx", "xl/": "xlsx"}
"""Folders; the parts in them may have any name."""
_OLE = {
    "encryptedpackage": "encrypted",
    "worddocument": "doc",
    "powerpoint document": "ppt",
    "workbook": "xls",
    "book": "xls",
    "__properties_version1.0": "outlook",
}
"""Streams, in lower case: their names' case does not count."""
_BROKEN = {
    ".docx": "docx", ".pptx": "pptx", ".xlsx": "xlsx", ".xlsm": "xlsx", ".epub": "epub",
    ".odt": "odf", ".ods": "odf", ".odp": "odf",
    ".doc": "doc", ".ppt": "ppt", ".xls": "xls", ".msg": "outlook",
}  # fmt: skip
"""What a container that cannot be opened was meant to be."""
_BY_NAME = {
    ".md": "markdown", ".markdown": "markdown", ".mdx": "markdown", ".org": "markdown",
    ".rst": "rest", ".rest": "rest",
    ".html": "html", ".htm": "html", ".xhtml": "html",
    ".csv": "delimited", ".tsv": "delimited",
    ".json": "json", ".jsonl": "json", ".ndjson": "json", ".geojson": "json",
    ".ipynb": "notebook",
    ".xml": "xml", ".rss": "xml", ".atom": "xml", ".svg": "xml",
    ".eml": "mail", ".mbox": "mailbox",
}  # fmt: skip

LANGUAGES = {
    ".py": "python", ".pyi": "python", ".js": "javascript", ".mjs": "javascript",
    ".cjs": "javascript", ".jsx": "javascript", ".ts": "typescript", ".tsx": "tsx",
    ".java": "java", ".kt": "kotlin", ".scala": "scala", ".go": "go", ".rs": "rust", ".c": "c",
    ".h": "cpp", ".cc": "cpp", ".cpp": "cpp", ".cxx": "cpp", ".hpp": "cpp", ".hh": "cpp",
    ".cs": "csharp", ".rb": "ruby", ".php": "php", ".swift": "swift", ".m": "objc", ".lua": "lua",
    ".pl": "perl", ".r": "r", ".jl": "julia", ".hs": "haskell", ".ml": "ocaml", ".ex": "elixir",
    ".exs": "elixir", ".erl": "erlang", ".clj": "clojure", ".dart": "dart", ".sh": "bash",
    ".bash": "bash", ".zsh": "bash", ".ps1": "powershell", ".sql": "sql", ".css": "css",
    ".scss": "scss", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".ini": "ini",
    ".cfg": "ini", ".tf": "hcl", ".proto": "proto", ".vue": "vue", ".zig": "zig",
    ".dockerfile": "dockerfile", ".cmake": "cmake", ".gradle": "groovy", ".tex": "latex",
}  # fmt: skip
_LANGUAGES_BY_FILE = {"Dockerfile": "dockerfile", "Makefile": "make", "CMakeLists.txt": "cmake"}


def kind_of(data: bytes, uri: str) -> str:  # noqa: PLR0911 (a list of cases)
    """Name of the family that reads these bytes: ``pdf``, ``docx`` … ``code``, ``text``.

    What only a name tells apart (Markdown from plain text) is told by the name.
    """
    suffix = PurePosixPath(file_name(uri)).suffix.lower()
    magic = next((kind for mark, kind in _MAGIC.items() if data.startswith(mark)), "")
    if magic == "zip":
        return _zipped(data, suffix)
    if magic == "ole":
        return _in_ole(data, suffix)
    if magic:
        return magic
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data[257:262] == b"ustar":
        return "tar"
    if suffix in _BY_NAME:
        return _BY_NAME[suffix]
    if language_of(uri):
        return "code"
    head = data[:1024].lstrip(codecs.BOM_UTF8).lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "html"
    return "xml" if head.startswith(b"<?xml") else "text"


def _zipped(data: bytes, suffix: str) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name.replace("\\", "/") for name in archive.namelist()]
            mimetype = archive.open("mimetype").read(100) if "mimetype" in names else b""
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return _BROKEN.get(suffix, "zip")
    if b"opendocument" in mimetype:
        return "odf"
    if "META-INF/container.xml" in names:
        return "epub"
    if "[Content_Types].xml" in names:
        if "xl/workbook.bin" in names:
            return "xlsb"
        for folder, kind in _OOXML.items():
            if any(name.startswith(folder) for name in names):
                return kind
    return "zip"


def _in_ole(data: bytes, suffix: str) -> str:
    import olefile

    try:
        with olefile.OleFileIO(io.BytesIO(data)) as container:
            streams = {path[0].lower() for path in container.listdir()}
    except Exception:  # a broken container fails in any way; the reader of its kind says how
        return _BROKEN.get(suffix, "ole")
    return next((kind for name, kind in _OLE.items() if name in streams), "ole")


def language_of(uri: str) -> str:
    """Programming language by the file's name, as tree-sitter calls it; empty where unknown."""
    name = file_name(uri)
    suffix = PurePosixPath(name).suffix.lower()
    return _LANGUAGES_BY_FILE.get(name) or LANGUAGES.get(suffix, "")
