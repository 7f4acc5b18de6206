"""RTF as Markdown: what shows, headings and tables kept, notes and margins at the end.

Read here because the library at hand loses footnotes and text boxes, and takes minutes for
hostile input; this takes time in proportion to the file. Control words are those of the Rich Text
Format Specification 1.9.1.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ctxeng.loading.made import made, markdown_table, table_row
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

_TOKEN = re.compile(
    r"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})?[ ]?"
    r"|\\'(?P<hex>[0-9a-fA-F]{2})|\\(?P<symbol>.)|(?P<brace>[{}])|[\r\n]+"
    r"|(?P<text>[^\\{}\r\n]+)|\\",
    re.S,
)
_UNSHOWN = frozenset(
    "colortbl info pict objdata themedata colorschememapping datastore latentstyles listtable "  # noqa: SIM905
    "listoverridetable rsidtbl generator xmlnstbl filetbl revtbl fldinst bkmkstart bkmkend "
    "template private sp shprslt nonesttables pntext pn atnid atnauthor atntime atndate atnref "
    "atrfstart atrfend datafield formfield docvar xe tc txe rxe ftnsep ftnsepc ftncn aftnsep "
    "aftnsepc aftncn background passwordhash protusertbl userprops wgrffmtfilter objclass objname "
    "falt panose fontemb".split()
)
_STARRED = frozenset({"shpinst", "shptxt", "nesttableprops", "footnote", "annotation", "shppict"})
"""Shown although a mark tells old readers to skip what they do not know."""
_ASIDE = frozenset(
    "footnote annotation header headerl headerr headerf footer footerl footerr footerf".split()  # noqa: SIM905
)
_SHOWN = {
    "tab": "\t", "line": "\n", "emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘",
    "rquote": "’", "ldblquote": "“", "rdblquote": "”", "emspace": " ", "enspace": " ",
    "qmspace": " ", "~": " ", "_": "-", "{": "{", "}": "}", "\\": "\\",
}  # fmt: skip
_CHARSETS = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gbk", 136: "cp950",
    161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257",
    204: "cp1251", 222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
_HEADING = re.compile(r"heading ([1-6])", re.I)
_TITLE = re.compile(r"\{\\title ([^{}\\]+)\}")


def read_rtf(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    title = _TITLE.search(data[:20_000].decode("latin-1"))
    yield made(
        uri, rtf_as_markdown(data), "application/rtf", title=title.group(1) if title else "",
        format="markdown",
    )  # fmt: skip


def rtf_as_markdown(data: bytes) -> str:
    source = data.decode("latin-1")
    reader, at = _Reader(), 0
    while at < len(source) and (token := _TOKEN.match(source, at)):
        at = token.end()
        if token["word"] == "bin" and token["number"]:
            at += max(0, int(token["number"]))
        reader.take(token)
    return reader.text()


class _Group(NamedTuple):
    """What a brace saves and its partner brings back."""

    shown: bool = True
    fonts: bool = False
    styles: bool = False
    aside: bool = False
    font: int = -1
    skipped_after_unicode: int = 1


@dataclass(slots=True)
class _Flow:
    """Text of the body, or of what stands beside it."""

    blocks: list[str] = field(default_factory=list)
    line: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)

    def end_paragraph(self, level: int, *, in_table: bool) -> None:
        if in_table:
            self.line.append(" ")
            return
        self.end_table()
        text = "".join(self.line).strip()
        self.line.clear()
        if text:
            self.blocks.append(f"{'#' * level} {' '.join(text.split())}" if level else text)

    def end_cell(self) -> None:
        self.cells.append("".join(self.line))
        self.line.clear()

    def end_row(self) -> None:
        if any(cell.strip() for cell in self.cells):
            self.rows.append(table_row(self.cells))
        self.cells.clear()

    def end_table(self) -> None:
        if self.cells:
            self.end_row()
        if self.rows:
            self.blocks.append(markdown_table(self.rows))
            self.rows.clear()


class _Reader:
    def __init__(self) -> None:
        self._group = _Group()
        self._outer: list[_Group] = []
        self._body, self._aside = _Flow(), _Flow()
        self._code_page = "cp1252"
        self._fonts: dict[int, str] = {}
        self._levels: dict[int, int] = {}
        self._style = self._level = 0
        self._in_table = self._starred = False
        self._skip = 0
        self._bytes = bytearray()
        self._name: list[str] = []

    def text(self) -> str:
        for flow in (self._body, self._aside):
            self._decode()
            flow.end_paragraph(self._level, in_table=False)
            flow.end_table()
        blocks = [*self._body.blocks, *dict.fromkeys(self._aside.blocks)]
        joined = "\n\n".join(blocks).replace("\x00", "")
        return joined.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def take(self, token: re.Match[str]) -> None:
        starred, self._starred = self._starred, False
        if brace := token["brace"]:
            self._decode()
            self._skip = 0
            self._enter() if brace == "{" else self._leave()
        elif word := token["word"]:
            if self._skip:
                self._skip -= 1
            else:
                self._word(word, int(token["number"] or 0), token["number"] is None, starred)
        elif token["hex"] or token["text"]:
            raw = bytes.fromhex(token["hex"]) if token["hex"] else token["text"].encode("latin-1")
            kept = raw[self._skip :]
            self._skip = max(0, self._skip - len(raw))
            if self._group.shown or self._group.styles:
                self._bytes += kept
        elif symbol := token["symbol"]:
            if symbol == "*":
                self._starred = True
            elif symbol in "\r\n":
                self._end_paragraph()
            elif symbol in _SHOWN:
                self._say(_SHOWN[symbol])

    @property
    def _flow(self) -> _Flow:
        return self._aside if self._group.aside else self._body

    def _set(self, **changed: Any) -> None:
        self._group = self._group._replace(**changed)

    def _enter(self) -> None:
        self._outer.append(self._group)

    def _leave(self) -> None:
        if self._group.styles:
            self._end_style()
        aside = self._group.aside
        if self._outer:
            self._group = self._outer.pop()
        if aside and not self._group.aside:
            self._aside.end_paragraph(0, in_table=False)

    def _word(self, word: str, number: int, bare: bool, starred: bool) -> None:
        if word == "u" and not bare:
            self._say(chr(number % 0x10000))
            self._skip = self._group.skipped_after_unicode
        elif word in _SHOWN:
            self._say(_SHOWN[word])
        elif word in {"par", "sect", "page", "column"}:
            self._end_paragraph()
        elif word in {"cell", "nestcell", "row", "nestrow"}:
            self._decode()
            self._flow.end_cell() if word.endswith("cell") else self._flow.end_row()
        elif word in {"pard", "intbl", "s", "outlinelevel", "uc"}:
            self._property(word, number)
        elif word in {"f", "fcharset", "cpg", "ansicpg", "deff"}:
            self._font_word(word, number)
        else:
            self._destination(word, starred)

    def _property(self, word: str, number: int) -> None:
        if word == "pard":
            self._in_table, self._level = False, 0
        elif word == "intbl":
            self._in_table = True
        elif word == "s":
            self._style = number
            self._level = self._levels.get(number, 0)
        elif word == "uc":
            self._set(skipped_after_unicode=max(0, number))
        elif not self._group.styles:
            self._level = number + 1 if 0 <= number < 6 else 0

    def _destination(self, word: str, starred: bool) -> None:
        if word == "fonttbl":
            self._set(fonts=True, shown=False)
        elif word == "stylesheet":
            self._set(styles=True, shown=False)
        elif word in _ASIDE:
            self._decode()
            self._set(aside=True)
        elif word in _UNSHOWN or (starred and word not in _STARRED):
            self._decode()
            self._set(shown=False)

    def _font_word(self, word: str, number: int) -> None:
        self._decode()
        if word == "f" or (word == "deff" and self._group.font < 0):
            self._set(font=number)
        elif word == "fcharset" and self._group.fonts and number in _CHARSETS:
            self._fonts[self._group.font] = _CHARSETS[number]
        elif word in {"cpg", "ansicpg"} and _is_codec(f"cp{number}"):
            if word == "ansicpg":
                self._code_page = f"cp{number}"
            elif self._group.fonts:
                self._fonts[self._group.font] = f"cp{number}"

    def _end_paragraph(self) -> None:
        self._decode()
        if self._group.shown:
            level = 0 if self._group.aside else self._level
            self._flow.end_paragraph(level, in_table=self._in_table)

    def _say(self, text: str) -> None:
        self._decode()
        if self._group.shown:
            self._flow.line.append(text)

    def _decode(self) -> None:
        """The bytes since the last change of font or group, by the font's encoding."""
        if self._bytes:
            encoding = self._fonts.get(self._group.font, self._code_page)
            text = self._bytes.decode(encoding, "replace")
            self._bytes.clear()
            (self._flow.line if self._group.shown else self._name).append(text)

    def _end_style(self) -> None:
        found = _HEADING.match("".join(self._name).strip())
        if found:
            self._levels[self._style] = int(found.group(1))
        self._name.clear()


def _is_codec(name: str) -> bool:
    try:
        return bool(codecs.lookup(name))
    except LookupError:
        return False
