"""Rooms stand in one order, and a room imports only what stands before it."""

import ast
from pathlib import Path

import pytest

import ctxeng

PACKAGE = Path(ctxeng.__file__).parent
ORDER = """
types errors protocols settings text trace store generation embedding loading chunking tools
indexing retrieval reranking rewriting memory routing grounding context replay engine agent
evaluation tuning finetuning testing serving cli __main__
""".split()  # noqa: SIM905 - reads as the list that it is
FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(file):
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def rooms_imported(file):
    """Rooms of ctxeng that a file imports anywhere: at the top, in functions, for types only."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "ctxeng" and "." in name:
                yield name.split(".")[1]


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_a_room_imports_only_rooms_before_it(file):
    room = room_of(file)
    if room == "__init__":
        return  # the map: names that are imported when asked for
    assert room in ORDER, f"{room} has no place in the order"
    for imported in rooms_imported(file):
        assert imported in ORDER, f"{file}: imports ctxeng.{imported} past its room's front"
        assert ORDER.index(imported) <= ORDER.index(room), f"{file}: {room} imports {imported}"


def test_every_room_stands_on_the_map():
    rooms = {room_of(file) for file in FILES} - {"__init__", "__main__"}
    assert rooms <= set((ctxeng.__doc__ or "").split())
