"""Cuts source code at definitions, as tree-sitter finds them, and names what each chunk defines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import regex
from numpy.typing import NDArray

from ctxeng.chunking.pack import Atom, words
from ctxeng.chunking.prose import split_long
from ctxeng.types import Span

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_PARSED = 2_000_000
"""Bytes; larger files (generated, minified) are cut by lines."""
MAX_DEPTH = 60

_DEFINITION = regex.compile(
    r"function|method|class|struct|enum|union|trait|interface|module|namespace|impl|macro|"
    r"type_(alias|declaration|item|spec|definition)|const_(item|spec)|static_item|constructor|"
    r"object_d|protocol|record|singleton|lexical_declaration|variable_declarator"
)
_CALL = regex.compile(r"call|reference|argument|parameter|_body|expression|access")
_LEADING = regex.compile(r"comment|decorator|attribute|annotation|modifiers")
_VISIBLE = regex.compile(r"\S")


@dataclass(frozen=True, slots=True)
class Definition:
    """A named thing and where its text lies."""

    name: str
    span: Span
    kind: str = ""
    """What its grammar calls it: ``function_definition``, ``class_declaration`` …"""


@dataclass(frozen=True, slots=True)
class Code:
    atoms: list[Atom]
    definitions: list[Definition]
    """By where they begin."""


def cut(text: str, span: Span, language: str, *, high: float) -> Code:
    """Atoms of at most about ``high`` words, and the definitions.

    An unknown language, and a file that is too large to parse, is cut at blank lines.
    """
    source = text[span.start : span.end]
    root = _parse(source, language)
    if root is None:
        return Code(list(_blocks(text, span, high)), [])
    reader = _Reader(source, high)
    atoms: list[Atom] = []
    start = span.start
    for end, strength in [*reader.pieces(root), (len(source), 0)]:
        # A piece begins where the one before it ended: comments between them are not lost.
        for piece in split_long(text, start, span.start + end, high):
            atoms.append(Atom(piece, words(text[piece.start : piece.end]), strength))
            strength = 0  # noqa: PLW2901
        start = max(start, span.start + end)
    shifted = [
        replace(d, span=Span(start=d.span.start + span.start, end=d.span.end + span.start))
        for d in reader.definitions
    ]
    shifted.sort(key=lambda d: d.span.start)
    return Code(atoms or list(_blocks(text, span, high)), shifted)


def _parse(source: str, language: str) -> Node | None:
    from tree_sitter_language_pack import get_parser

    data = source.encode("utf-8", "replace")
    if not language or len(data) > MAX_PARSED:
        return None
    try:
        parser = get_parser(language)  # type: ignore[arg-type]
    except LookupError:
        return None
    return parser.parse(data).root_node


class _Offsets:
    """Character offset of a byte offset; tree-sitter counts bytes."""

    def __init__(self, source: str) -> None:
        self._before: NDArray[np.int64] | None = None
        if not source.isascii():
            data = np.frombuffer(source.encode("utf-8", "replace"), np.uint8)
            begins = (data & 0xC0) != 0x80  # every byte but those that continue a character
            self._before = np.concatenate(([0], np.cumsum(begins)))

    def __call__(self, byte: int) -> int:
        return byte if self._before is None else int(self._before[byte])


class _Reader:
    """Walks a syntax tree once: where it may be cut, and what it defines."""

    def __init__(self, source: str, high: float) -> None:
        self.definitions: list[Definition] = []
        self._source = source
        self._at = _Offsets(source)
        self._high = high

    def pieces(self, node: Node, depth: int = 0) -> Iterator[tuple[int, int]]:
        """(end, strength) of the pieces below a node; too large ones are opened up."""
        strength = 2 if depth == 0 else 1
        for child in node.named_children:
            start, end = self._at(child.start_byte), self._at(child.end_byte)
            self._note(child)
            if _LEADING.search(child.type):
                continue  # stays with what follows: the next piece begins where the last one ended
            if depth < MAX_DEPTH and words(self._source[start:end]) > self._high:
                inner = list(self.pieces(child, depth + 1))
                if inner:
                    yield inner[0][0], strength
                    yield from inner[1:]
                    yield end, 0
                    continue
            else:
                self._note_below(child)
            yield end, strength

    def _note_below(self, node: Node) -> None:
        """Definitions inside a piece that is not opened; iterative, for deep trees."""
        stack = list(reversed(node.named_children))
        while stack:
            child = stack.pop()
            self._note(child)
            stack.extend(reversed(child.named_children))

    def _note(self, node: Node) -> None:
        if not _DEFINITION.search(node.type) or _CALL.search(node.type):
            return
        if node.type.endswith("_specifier") and node.child_by_field_name("body") is None:
            return  # C: ``struct account *a`` uses the name
        name = _name(node)
        if name:
            span = Span(start=self._at(node.start_byte), end=self._at(node.end_byte))
            self.definitions.append(Definition(name, span, node.type))


def _name(node: Node) -> str:
    """The field ``name``; ``type`` of an impl; the innermost ``declarator`` in C and C++."""
    for field in ("name", "declarator", "type"):
        child = node.child_by_field_name(field)
        if child is None or (field == "type" and "impl" not in node.type):
            continue
        while (inner := child.child_by_field_name("declarator")) is not None:
            child = inner
        while field == "type" and (inner := child.child_by_field_name("type")) is not None:
            child = inner
        text = (child.text or b"").decode("utf-8", "replace")
        if len(text) <= 100 and regex.fullmatch(r"[\w:.~$?!]+", text):
            return str(regex.split(r"::|\.", text)[-1])
    return ""


def _blocks(text: str, span: Span, high: float) -> Iterator[Atom]:
    """Runs of lines; a line after a blank one is a better beginning, without indent the best."""
    blank = True
    start = span.start
    while start < span.end:
        end = text.find("\n", start, span.end)
        end = span.end if end < 0 else end
        visible = _VISIBLE.search(text, start, end)
        if visible:
            strength = (2 if visible.start() == start else 1) if blank else 0
            for piece in split_long(text, start, end, high):
                yield Atom(piece, words(text[piece.start : piece.end]), strength)
                strength = 0
        blank = visible is None
        start = end + 1
