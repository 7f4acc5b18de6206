"""Says what bytes are, by their content before their name."""

from __future__ import annotations

import codecs
import io
import zipfile
from pathlib import PurePosixPath

from ctxeng.errors import LoadError
from ctxeng.loading.made import file_name

SAMPLE = 64_000
BAD_SHARE = 0.02
"""Text may hold this share of bytes that its encoding does not know."""

_MAGIC = {
    b"%PDF-": "pdf",
    b"{\\rtf": "rtf",
    b"PK\x03\x04": "zip",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "ole",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
}
_ZIPPED = {
    "word/document.xml": "docx",
    "ppt/presentation.xml": "pptx",
    "xl/workbook.xml": "sheets",
    "xl/workbook.bin": "sheets",
    "META-INF/container.xml": "epub",
}
_BY_NAME = {
    ".md": "markdown", ".markdown": "markdown", ".mdx": "markdown", ".org": "markdown",
    ".rst": "rest", ".rest": "rest",
    ".html": "html", ".htm": "html", ".xhtml": "html",
    ".csv": "delimited", ".tsv": "delimited",
    ".json": "json", ".jsonl": "json", ".ndjson": "json", ".geojson": "json",
    ".ipynb": "notebook",
    ".xml": "xml", ".rss": "xml", ".atom": "xml", ".svg": "xml",
    ".eml": "mail", ".mbox": "mail",
}  # fmt: skip
_OLE_BY_NAME = {".xls": "sheets", ".msg": "outlook"}

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
    """Name of the family that reads these bytes: ``pdf``, ``docx`` … ``code``, ``text``."""
    suffix = PurePosixPath(file_name(uri)).suffix.lower()
    magic = next((kind for mark, kind in _MAGIC.items() if data.startswith(mark)), "")
    if magic == "zip":
        return _zipped(data, suffix)
    if magic == "ole":
        return _OLE_BY_NAME.get(suffix, "ole")
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
            names = set(archive.namelist())
            odf = archive.open("mimetype").read(100) if "mimetype" in names else b""
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return {".xlsx": "sheets", ".odt": "odt"}.get(suffix, suffix.lstrip(".") or "zip")
    if b"opendocument.spreadsheet" in odf:
        return "sheets"
    if b"opendocument" in odf:
        return "odt"
    return next((kind for name, kind in _ZIPPED.items() if name in names), "zip")


def language_of(uri: str) -> str:
    """Programming language by the file's name, as tree-sitter calls it; empty where unknown."""
    name = file_name(uri)
    suffix = PurePosixPath(name).suffix.lower()
    return _LANGUAGES_BY_FILE.get(name) or LANGUAGES.get(suffix, "")


def decoded(data: bytes, uri: str) -> str:
    """The bytes as text, line ends as ``\\n``.

    Raises:
        LoadError: they are no text in any encoding that can be told.
    """
    return _decode(data, uri).replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")


def _decode(data: bytes, uri: str) -> str:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    sample = data[:SAMPLE]
    nulls = sample.count(0)
    if nulls:
        for encoding, at in (("utf-16-le", 1), ("utf-16-be", 0)):
            if sample[at::2].count(0) > 0.3 * len(sample) / 2 and sample[1 - at :: 2].count(0) == 0:
                text = data.decode(encoding, "replace")
                if _control_share(text[:SAMPLE].encode("utf-8", "replace")) <= BAD_SHARE:
                    return text
        if nulls > BAD_SHARE * len(sample) or _control_share(sample) > BAD_SHARE:
            raise _binary(uri)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if _control_share(sample) > BAD_SHARE:
        raise _binary(uri)
    text = data.decode("utf-8", "replace")
    if text.count("\ufffd") <= BAD_SHARE * 0.1 * len(text):
        return text
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    if best is None:
        raise _binary(uri)
    return data.decode(best.encoding, "replace")


def _control_share(sample: bytes) -> float:
    controls = sum(
        sample.count(code) for code in range(32) if code not in (7, 8, 9, 10, 12, 13, 27)
    )
    return controls / max(1, len(sample))


def _binary(uri: str) -> LoadError:
    return LoadError(uri, "is binary, of no kind that can be read", "Leave it out with --exclude")
