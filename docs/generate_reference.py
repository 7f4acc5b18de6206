"""Writes docs/reference.md from the code: names, settings, commands, errors, contracts.

python docs/generate_reference.py
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import ctxeng
from ctxeng import errors as errors_module
from ctxeng import protocols, settings
from ctxeng.cli.app import app

TARGET = Path(__file__).with_name("reference.md")
HEAD = """# Reference

<!-- Made by `python docs/generate_reference.py` from the code; edit the docstrings instead. -->

[Python](#python) · [Commands](#commands) · [Settings](#settings) · [Errors](#errors) ·
[Contracts](#contracts)
"""


def generate() -> str:
    """The whole page."""
    parts = [HEAD, *_python(), *_commands(), *_settings(), *_errors(), *_contracts()]
    return "\n\n".join(part.rstrip() for part in parts if part.strip()) + "\n"


# -- Python


def _python() -> Iterator[str]:
    yield "## Python\n\n`from ctxeng import …`"
    for name in ctxeng.__all__:
        value = getattr(ctxeng, name)
        if inspect.isclass(value) and issubclass(value, Exception):
            continue  # below, with the tree
        yield f"### {name}"
        if inspect.isfunction(value):
            yield _signature(name, value)
            yield _doc(value)
        elif issubclass(value, BaseModel):
            yield _doc(value)
            if name != "Settings":
                yield _fields(value)
                yield from _methods(value, stop=BaseModel)
        else:
            yield _doc(value)
            yield from _methods(value, stop=object)


def _fields(model: type[BaseModel]) -> str:
    notes = _attribute_docs(model)
    rows = ["| field | type | default | |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        kind = _kind(model, name)
        note = _cell(notes.get(name, ""))
        rows.append(f"| `{name}` | `{_cell(kind)}` | {_default(field)} | {note} |")
    return "\n".join(rows)


def _methods(value: type, *, stop: type) -> Iterator[str]:
    """Public methods; a verb's plain and async forms are told together."""
    names = [name for name in vars(value) if not name.startswith("_")]
    for name in names:
        member = inspect.getattr_static(value, name)
        if isinstance(member, property):
            yield f"#### {value.__name__}.{name}\n\n{_doc(member)}".rstrip()
        elif isinstance(member, classmethod):
            yield f"#### {value.__name__}.{name}"
            yield _signature(f"{value.__name__}.{name}", getattr(value, name))
            yield _doc(member.__func__)
        elif inspect.isfunction(member) and "a" + name not in names:
            plain = name[1:] if name[:1] == "a" and name[1:] in names else name
            yield f"#### {value.__name__}.{plain}"
            yield _signature(plain, member)
            if plain != name:
                yield (
                    f"Async: `await engine.{name}(…)`."
                    if plain != "stream"
                    else (f"Async: `async for … in engine.{name}(…)`.")
                )
            yield _doc(member)


def _signature(name: str, function: Any) -> str:
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    shown = [_parameter(p) for p in parameters]
    for index, parameter in enumerate(parameters):
        if parameter.kind is parameter.KEYWORD_ONLY:
            shown.insert(index, "*")
            break
    inside = ", ".join(shown)
    if len(inside) > 70:
        inside = "\n    " + ",\n    ".join(shown) + ",\n"
    result = str(signature.return_annotation).replace("AsyncIterator", "Iterator")
    return f"```\n{name}({inside}) -> {result}\n```"


def _parameter(parameter: inspect.Parameter) -> str:
    star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
    typed = f"{star}{parameter.name}: {parameter.annotation}"
    if parameter.default is parameter.empty:
        return typed
    default = "…" if callable(parameter.default) else repr(parameter.default)
    return f"{typed} = {default}"


def _doc(value: object) -> str:
    return _blocks(inspect.getdoc(value) or "")


def _blocks(text: str) -> str:
    """Indented parts of a docstring (arguments, drawings) as they stand."""
    lines: list[str] = []
    fenced = False
    for line in text.splitlines():
        inside = line.startswith("  ") or (fenced and not line)
        if inside and not fenced:
            lines.append("```")
        elif fenced and not inside:
            while lines[-1] == "":
                lines.pop()
            lines += ["```", ""]
        fenced = inside
        lines.append(line)
    if fenced:
        lines.append("```")
    return re.sub(r"(?<!`)``(?!`)", "`", "\n".join(lines))


# -- Commands


def _commands() -> Iterator[str]:
    yield (
        "## Commands\n\n"
        "Exit codes: 0 all went well, 1 some inputs failed, 2 wrong usage or settings, a missing\n"
        "path, a workspace that is absent, busy or damaged, 130 stopped with Ctrl-C. With\n"
        '`--json` standard output holds one JSON value, also when something fails: `{"error": …}`.'
    )
    group: Any = typer.main.get_command(app)
    for name, command in _each_command(group):
        yield f"### ctxeng {name}"
        about, _, examples = inspect.cleandoc(command.help).partition("For example:")
        yield about.strip()
        lines = [line.strip() for line in examples.splitlines() if line.strip()]
        if lines:
            yield "```sh\n" + "\n".join(lines) + "\n```"
        rows = ["| | | default |", "|---|---|---|"]
        for option in command.params:
            shown = ", ".join(f"`{o}`" for o in option.opts if o.startswith("-"))
            metavar = (option.metavar or "").strip("{}")
            label = f"{shown} {metavar}".strip() or f"`{option.name.upper()}`"
            default = "" if option.default in (None, False) or option.required else option.default
            rows.append(f"| {label} | {_cell(option.help or '')} | {_plain(default)} |")
        yield "\n".join(rows)


def _each_command(group: Any) -> Iterator[tuple[str, Any]]:
    """Commands, and those of a group behind it."""
    for name, command in group.commands.items():
        yield name, command
        for inner, one in getattr(command, "commands", {}).items():
            yield f"{name} {inner}", one


def _plain(default: object) -> str:
    return f"`{default}`" if default not in ("", None) else ""


# -- Settings


def _settings() -> Iterator[str]:
    yield f"## Settings\n\n{_doc(settings)}"
    yield '```toml\n# ctxeng.toml\n[embedding]\nmodel = "static"\n\n[context]\nbudget = 1500\n```'
    for room, field in settings.Settings.model_fields.items():
        if inspect.isclass(field.annotation):
            yield f"### [{room}]"
            yield _setting_rows(room, field.annotation, variables=True)
            if room == "generation":
                yield _doc(settings.StepSettings)
                yield _setting_rows("generation.steps", settings.StepSettings, variables=True)
    yield f"### [models.NAME]\n\n{_doc(settings.ModelSettings)}"
    yield _setting_rows("models.NAME", settings.ModelSettings, variables=False)
    for name, part in (("timeout", settings.TimeoutSettings), ("prices", settings.PriceSettings)):
        yield f"{_doc(part)}"
        yield _setting_rows(f"models.NAME.{name}", part, variables=False)


def _setting_rows(room: str, model: type[BaseModel], *, variables: bool) -> str:
    notes = _attribute_docs(model)
    rows = (
        ["| setting | environment | type | default | |", "|---|---|---|---|---|"]
        if variables
        else ["| setting | type | default | |", "|---|---|---|---|"]
    )
    for name, one in model.model_fields.items():
        cells = [
            f"`{room}.{name}`",
            *([f"`{_variable(f'{room}.{name}')}`"] if variables else []),
            f"`{_cell(_kind(model, name))}`",
            _default(one),
            _cell(notes.get(name, "")),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _variable(setting: str) -> str:
    return "CTXENG_" + setting.upper().replace(".", "__")


# -- Errors and contracts


def _errors() -> Iterator[str]:
    yield f"## Errors\n\n{_blocks(inspect.getdoc(errors_module) or '')}"
    for name in ctxeng.__all__:
        value = getattr(ctxeng, name)
        if inspect.isclass(value) and issubclass(value, Exception):
            yield f"### {name}\n\n{_doc(value)}"


def _contracts() -> Iterator[str]:
    yield f"## Contracts\n\n`from ctxeng.protocols import …`\n\n{_doc(protocols)}"
    for name in protocols.__all__:
        value = getattr(protocols, name)
        if inspect.isclass(value) and value.__module__ == protocols.__name__:
            yield f"### {name}\n\n{_doc(value)}".rstrip()


# -- shared


def _attribute_docs(model: type) -> dict[str, str]:
    """The strings that stand below the fields of a class, by field."""
    body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)
    notes: dict[str, str] = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            notes[field.target.id] = inspect.cleandoc(str(below.value.value))
    return notes


def _kind(model: type[BaseModel], name: str) -> str:
    """The type as written; how a value is converted on the way in is no concern of a reader."""
    written = str(inspect.get_annotations(model)[name])
    return re.sub(r"Annotated\[(.*), BeforeValidator\(_as_tuple\)\]", r"\1", written)


def _default(field: Any) -> str:
    if field.default_factory is not None:
        return f"`{field.default_factory()!r}`"
    if field.default is PydanticUndefined:
        return "needed"
    return f"`{field.default!r}`" if field.default != "" else "empty"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(generate(), "utf-8")
    sys.stdout.write(f"{TARGET}\n")
