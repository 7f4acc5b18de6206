"""JSON, JSON Lines, XML and notebooks as lines that say what each value is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import TYPE_CHECKING

from ctxeng.errors import LoadError
from ctxeng.loading.decoding import decoded
from ctxeng.loading.made import Parts, made, within
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element  # only read: defusedxml made it

SHOWN = 3
"""Broken lines that an error names."""
MAX_FLOWING = 5_000
"""Characters of an element that is read as one running text."""
MAX_TOO_LONG = 1_000
"""So many may turn out to be longer; then no more are tried, for each try takes time."""

_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
"""Numbers stay as they are written: ``1.10`` is looked for as ``1.10``."""
_CONSTANTS = {None: "null", True: "true", False: "false"}
_BLANK = re.compile(r"\s*")
_STRING = r'"(?:[^"\\\n]|\\.)*+"?'
_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?(?:\*/|\Z)", re.S)
_LAST_COMMA = re.compile(rf"{_STRING}|,(?=\s*[\]}}])")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def read_json(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document | LoadError]:
    """One line per value, ``path.to.key: value`` as the file spells it, records apart by a blank
    line. JSON Lines, values one after the other, comments and last commas are understood.
    """
    records, error = _records(decoded(data, uri), uri)
    if len(records) == 1 and isinstance(records[0], list):
        records = records[0]
    flat = chain.from_iterable(chain(("",), _flat(record)) for record in records)
    text = "\n".join(within(flat, uri, settings)).strip("\n")
    yield made(uri, text, "application/json")
    if error is not None:
        yield error


def _records(text: str, uri: str) -> tuple[list[object], LoadError | None]:
    """The values, and what is wrong where that costs only some of them."""
    try:
        return [_parsed(text)], None
    except json.JSONDecodeError as error:
        wrong = error
    lines = [(n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if len(lines) > 1 and _is_json(lines[0][1]):
        return _of_lines(lines, uri)
    try:
        return [_parsed(_LAST_COMMA.sub(_kept, _COMMENT.sub(_kept, text)))], None
    except json.JSONDecodeError:
        return _one_after_the_other(text, uri, wrong)


def _of_lines(lines: Iterable[tuple[int, str]], uri: str) -> tuple[list[object], LoadError | None]:
    """A line that is broken costs only itself."""
    records: list[object] = []
    broken: list[str] = []
    for number, line in lines:
        try:
            records.append(_parsed(line))
        except json.JSONDecodeError as error:
            broken.append(f"line {number}: {error.msg}")
    if not broken:
        return records, None
    more = f", and {len(broken) - SHOWN:,} more lines" if len(broken) > SHOWN else ""
    why = f"is not all JSON: {', '.join(broken[:SHOWN])}{more}"
    return records, LoadError(uri, why, "Correct them; the other lines were read")


def _one_after_the_other(
    text: str, uri: str, wrong: json.JSONDecodeError
) -> tuple[list[object], LoadError | None]:
    records: list[object] = []
    at = _BLANK.match(text, 0).end()  # type: ignore[union-attr]
    while at < len(text):
        try:
            record, at = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            if not any(isinstance(record, dict | list) for record in records):
                raise LoadError(uri, f"is not JSON: {wrong}", "Correct it") from wrong
            why = f"is not all JSON: {error}"
            return records, LoadError(uri, why, "Correct it; what stands before was read")
        records.append(record)
        at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
    return records, None


def _parsed(text: str) -> object:
    return _DECODER.decode(text)


def _is_json(line: str) -> bool:
    try:
        return isinstance(_parsed(line), dict | list)
    except json.JSONDecodeError:
        return False


def _kept(found: re.Match[str]) -> str:
    """Strings; not the comments and commas between them."""
    return found[0] if found[0].startswith('"') else " "


def _flat(record: object) -> Iterator[str]:
    """One line per value; lists of plain values are one line."""
    levels: list[Iterator[tuple[str, object]]] = [iter([("", record)])]
    while levels:
        step = next(levels[-1], None)
        if step is None:
            levels.pop()
            continue
        path, value = step
        if isinstance(value, dict):
            levels.append(_named(path, value))
        elif isinstance(value, list):
            if any(isinstance(inner, dict | list) for inner in value):
                levels.append(zip(repeat(path), value, strict=False))
            elif value:
                said = ", ".join(map(_spelt, value))
                yield f"{path}: {said}" if path else said
        else:
            yield f"{path}: {_spelt(value)}" if path else _spelt(value)


def _spelt(value: object) -> str:
    return _CONSTANTS[value] if value is None or isinstance(value, bool) else str(value)


def _named(path: str, value: dict[str, object]) -> Iterator[tuple[str, object]]:
    return ((f"{path}.{key}" if path else key, inner) for key, inner in value.items())


def read_xml(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """The text of each element on its own line, with the element's name and attributes."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        # Decoded here: what the XML says of its own encoding is often wrong.
        root = fromstring(_DECLARATION.sub("", decoded(data, uri), count=1))
    except DefusedXmlException as error:
        why = "declares XML entities, which can harm"
        raise LoadError(uri, why, "Remove its DOCTYPE") from error
    except (ParseError, ValueError) as error:
        raise LoadError(uri, f"is not XML: {error}", "Correct it") from error
    yield made(uri, "\n".join(within(_xml_lines(root), uri, settings)), "application/xml")


def _xml_lines(root: Element) -> Iterator[str]:
    """A line per element; text with elements inside it (``the <b>quick</b> fox``) stays together,
    and of those only the attributes have lines of their own.
    """
    waiting: list[Element | str] = [root]
    tries = MAX_TOO_LONG
    while waiting:
        element = waiting.pop()
        if isinstance(element, str):
            yield element
            continue
        flowing = None
        if tries and _is_mixed(element):
            flowing = _flowing(element)
            tries -= flowing is None
        said = (element.text or "") if flowing is None else flowing
        if line := _xml_line(element, " ".join(said.split())):
            yield line
        if flowing is not None:
            about = (_xml_line(inner, "") for inner in element.iter() if inner is not element)
            yield from filter(None, about)
            continue
        for inner in reversed(element):
            if tail := " ".join((inner.tail or "").split()):
                waiting.append(tail)
            waiting.append(inner)


def _xml_line(element: Element, said: str) -> str:
    shown = ", ".join(f"{key.rsplit('}', 1)[-1]}={value}" for key, value in element.items())
    name = str(element.tag).rsplit("}", 1)[-1]
    return f"{name}{f' ({shown})' if shown else ''}: {said}".rstrip(": ") if said or shown else ""


def _is_mixed(element: Element) -> bool:
    """Text of its own stands beside elements."""
    texts = (element.text, *(inner.tail for inner in element))
    return len(element) > 0 and any(text and text.strip() for text in texts)


def _flowing(element: Element) -> str | None:
    """All text inside; None where it is too long to be one."""
    pieces: list[str] = []
    left = MAX_FLOWING
    waiting: list[Element | str] = [element]
    while waiting:
        one = waiting.pop()
        piece = one if isinstance(one, str) else one.text or ""
        left -= len(piece) + 1
        if left < (0 if isinstance(one, str) else len(one)):
            return None
        pieces.append(piece)
        if not isinstance(one, str):
            waiting += reversed(_inside(one))
    return "".join(pieces)


def _inside(element: Element) -> list[Element | str]:
    """The elements inside, each with the text that follows it."""
    return [one for inner in element for one in (inner, inner.tail or "")]


def read_notebook(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """Each cell a part; text that code printed follows it."""
    try:
        notebook = json.loads(decoded(data, uri))
        sheets = notebook.get("worksheets") or [notebook]
        cells = [cell for sheet in sheets for cell in sheet.get("cells", [])]
        info = notebook.get("metadata", {})
        language = (info.get("language_info") or info.get("kernelspec") or {}).get("name", "python")
    except (json.JSONDecodeError, AttributeError) as error:
        raise LoadError(uri, f"is not a notebook: {error}", "Save it again in Jupyter") from error
    language = "python" if str(language).startswith("python") else str(language)
    parts, title = Parts(), ""
    for number, cell in enumerate(cells, start=1):
        kind = cell.get("cell_type", "raw")
        text = _joined(cell.get("source", cell.get("input", "")))
        if kind == "heading":
            text = "#" * int(cell.get("level", 1)) + " " + text
        if not title and kind in {"markdown", "heading"} and text.lstrip().startswith("# "):
            title = text.lstrip()[2:].split("\n", 1)[0]
        if kind == "code":
            parts.add(f"cell {number}", text, format="code", language=language)
            parts.add(f"output of cell {number}", _printed(cell), format="plain")
        else:
            parts.add(f"cell {number}", text, format="markdown")
    yield made(
        uri, parts.text, "application/x-ipynb+json", title=title, format="markdown",
        parts=parts.parts,
    )  # fmt: skip


def _joined(source: object) -> str:
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _printed(cell: dict[str, object]) -> str:
    outputs = cell.get("outputs")
    found = []
    for output in outputs if isinstance(outputs, list) else []:
        data = output.get("data", {})
        shown = output.get("text") or data.get("text/plain") or data.get("text/markdown", "")
        if output.get("output_type") in {"error", "pyerr"}:
            shown = f"{output.get('ename', '')}: {output.get('evalue', '')}"
        found.append(_COLOURS.sub("", _joined(shown)).strip("\n"))
    return "\n".join(text for text in found if text)
