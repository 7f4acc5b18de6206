"""What the package never does. Each list of exceptions only shrinks."""

import ast
import re
from pathlib import Path

import pytest

import ctxeng

PACKAGE = Path(ctxeng.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [f.relative_to(PACKAGE).as_posix() for f in FILES]

UNSAFE_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
OWN_THREADS = {"ThreadPoolExecutor", "ProcessPoolExecutor", "Thread"}
OWN_THREADS_ALLOWED = {"embedding/packaged.py"}  # one text a call: onnxruntime leaves the GIL
SQL_PIECES = {"_marks", "clauses"}
"""What may stand inside an SQL text: placeholders, and clauses that are made of constants."""


def each_file(function):
    return pytest.mark.parametrize("file", FILES, ids=NAMES)(function)


def calls(file):
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield (
                node,
                node.func.attr
                if isinstance(node.func, ast.Attribute)
                else getattr(node.func, "id", ""),
            )


def imported(file):
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]
            yield from (alias.name for alias in node.names)


@each_file
def test_nothing_runs_what_it_reads(file):
    assert not UNSAFE_MODULES & set(imported(file))
    for node, name in calls(file):
        if name in UNSAFE_CALLS:
            # re.compile and model.eval() are methods of other things
            assert isinstance(node.func, ast.Attribute), f"{file}:{node.lineno} {name}"
        wanted = {k.arg: k.value for k in node.keywords}
        for keyword, wrong in (("shell", True), ("verify", False), ("allow_pickle", True)):
            value = wanted.get(keyword)
            assert not (isinstance(value, ast.Constant) and value.value is wrong), file
        if isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "yaml":
            assert name == "safe_load", f"{file}:{node.lineno} yaml.{name}"


@each_file
def test_threads_come_from_anyio(file):
    """They carry the trace and have one limiter."""
    used = (
        OWN_THREADS & set(imported(file))
        | {name for node, name in calls(file) if isinstance(node.func, ast.Attribute)} & OWN_THREADS
    )
    assert not used or file.relative_to(PACKAGE).as_posix() in OWN_THREADS_ALLOWED


@each_file
def test_sql_is_constant_and_values_are_bound(file):
    for node, name in calls(file):
        if name not in {"execute", "executemany", "executescript"} or not node.args:
            continue
        for piece in interpolated(node.args[0]):
            assert piece.isupper() or piece in SQL_PIECES, f"{file}:{node.lineno} {piece}"


def interpolated(sql):
    """Names of what an SQL expression is put together from, besides literals."""
    match sql:
        case ast.Constant() | None:
            pass
        case ast.JoinedStr():
            for value in sql.values:
                if isinstance(value, ast.FormattedValue):
                    yield from interpolated(value.value)
        case ast.BinOp(op=ast.Add()):
            yield from interpolated(sql.left)
            yield from interpolated(sql.right)
        case ast.Call():
            yield ast.unparse(sql.func)
        case _:
            yield ast.unparse(sql).strip("_")


@each_file
def test_no_error_is_swallowed_without_a_word(file):
    """``pass`` needs a reason beside it, or a way that goes on where the tried one returned."""
    source = file.read_text("utf-8")
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Try):
            continue
        for handler in node.handlers:
            assert handler.type is not None, f"{file}:{handler.lineno} bare except"
            lines = source.splitlines()[handler.lineno - 1 : handler.end_lineno]
            told = any("#" in line for line in lines) or isinstance(node.body[-1], ast.Return)
            silent = all(isinstance(line, ast.Pass) for line in handler.body)
            assert told or not silent, f"{file}:{handler.lineno} passes without a reason"


@each_file
def test_nothing_is_left_for_later(file):
    text = file.read_text("utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)
    assert not re.search(r"raise NotImplementedError|placeholder implementation|\bstub\b", text)


@each_file
def test_no_place_of_one_machine_is_named(file):
    assert not re.search(r"/(work|root|home)/\w", file.read_text("utf-8"))
