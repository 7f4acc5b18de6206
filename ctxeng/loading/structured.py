"""JSON, JSON Lines, XML and notebooks as lines that say what each value is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain, repeat

from ctxeng.errors import LoadError
from ctxeng.loading.decoding import decoded
from ctxeng.loading.made import Parts, made, within
from ctxeng.settings import LoadingSettings
from ctxeng.types import Document

_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")


def read_json(data: bytes, uri: str, settings: LoadingSettings) -> Iterator[Document]:
    """One line per value, ``path.to.key: value``, records apart by a blank line."""
    text = decoded(data, uri)
    try:
        records = [json.loads(text)]
    except json.JSONDecodeError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise LoadError(uri, f"is not JSON: {error}", "Correct it") from error
        records = [_record(line, number, uri) for number, line in enumerate(lines, start=1)]
    if len(records) == 1 and isinstance(records[0], list):
        records = records[0]
    flat = chain.from_iterable(chain(("",), _flat(record)) for record in records)
    text = "\n".join(within(flat, uri, settings)).strip("\n")
    yield made(uri, text, "application/json")


def _record(line: str, number: int, uri: str) -> object:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        why = f"is not JSON: line {number}: {error.msg}"
        raise LoadError(uri, why, "Correct that line") from error


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
                said = ", ".join(map(str, value))
                yield f"{path}: {said}" if path else said
        else:
            yield f"{path}: {value}" if path else str(value)


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
    lines: list[str] = []
    stack = [root]
    while stack:
        element = stack.pop()
        name = str(element.tag).rsplit("}", 1)[-1]
        said = " ".join((element.text or "").split())
        shown = ", ".join(f"{key.rsplit('}', 1)[-1]}={value}" for key, value in element.items())
        if said or shown:
            lines.append(f"{name}{f' ({shown})' if shown else ''}: {said}".rstrip(": "))
        tail = " ".join((element.tail or "").split())
        if tail:
            lines.append(tail)
        stack.extend(reversed(list(element)))
    yield made(uri, "\n".join(lines), "application/xml")


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
        shown = output.get("text") or output.get("data", {}).get("text/plain", "")
        found.append(_joined(shown).strip("\n"))
    return "\n".join(text for text in found if text)
