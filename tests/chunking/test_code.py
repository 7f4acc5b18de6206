"""Source code: cut at definitions, which are named."""

import pytest

from ctxeng import Document
from ctxeng.chunking import chunk
from ctxeng.chunking.pack import words
from ctxeng.settings import ChunkingSettings
from ctxeng.types import Part, Span

FILLER = "the total of all the things that are counted here one by one for no good reason at all"


def cut(text, language, **values):
    return chunk(Document(id="d", text=text, format="code", language=language, **values))


def filled(template, comment):
    """A source in which each definition is followed by much to say."""
    lines = "\n".join(f"    {comment} {n} {FILLER}" for n in range(5))
    return template.replace("BODY", lines)


SOURCES = {
    "python": (
        "import os\n\n"
        "def load_file(path):\nBODY\n    return path\n\n"
        "@cached\nasync def fetch(url):\nBODY\n    return url\n\n"
        "class Account:\n    def pay(self):\nBODY\n        return 1\n\n"
        "    def refund(self):\nBODY\n        return 2\n",
        "#",
        ["load_file", "fetch", "account", "pay", "refund"],
        {"refund": ("Account",)},
    ),
    "rust": (
        "use std::io;\n\nfn load_file(path: &str) -> u32 {\nBODY\n    1\n}\n\n"
        "struct Account { total: u32 }\n\n"
        "impl Account {\n    fn pay(&self) -> u32 {\nBODY\n    1\n}\n"
        "    fn refund(&self) -> u32 {\nBODY\n    2\n}\n}\n\n"
        "enum Kind { A, B }\n\ntrait Payer {\n    fn total(&self);\n}\n",
        "//",
        ["load_file", "account", "pay", "refund", "kind", "a", "b", "payer", "total"],
        {"refund": ("Account",)},
    ),
    "c": (
        "#include <stdio.h>\n\nstruct account { int total; };\n\n"
        "static int load_file(char *path) {\nBODY\n    return 1;\n}\n\n"
        "char *name_of(struct account *a) {\nBODY\n    return 0;\n}\n",
        "//",
        ["account", "load_file", "name_of"],
        {},
    ),
    "go": (
        "package main\n\ntype Account struct {\n    total int\n}\n\n"
        "func loadFile(path string) int {\nBODY\n    return 1\n}\n\n"
        "func (a *Account) Pay() int {\nBODY\n    return 1\n}\n",
        "//",
        ["account", "loadfile", "pay"],
        {},
    ),
    "java": (
        "package a;\n\npublic class Account {\n"
        "    private int loadFile(String path) {\nBODY\n    return 1;\n    }\n\n"
        "    static class Inner {\n    void pay() {\nBODY\n    }\n"
        "    void refund() {\nBODY\n    }\n    }\n}\n\n"
        "interface Payer { int total(); }\n",
        "//",
        ["account", "loadfile", "inner", "pay", "refund", "payer", "total"],
        {"refund": ("Account", "Inner")},
    ),
    "typescript": (
        "import x from 'x';\n\nexport function loadFile(path: string): number {\nBODY\n    return 1;\n}\n\n"  # noqa: E501
        "export class Account {\n    pay(): number {\nBODY\n    return 1;\n    }\n"
        "    refund(): number {\nBODY\n    return 2;\n    }\n}\n\n"
        "interface Payer { total: number }\n\nconst double = (n: number) => 2 * n;\n",
        "//",
        ["loadfile", "account", "pay", "refund", "payer", "double"],
        {"refund": ("Account",)},
    ),
}


@pytest.fixture(params=SOURCES)
def source(request):
    template, comment, names, paths = SOURCES[request.param]
    return filled(template, comment), request.param, names, paths


def test_every_definition_is_named_where_it_begins(source):
    """And nothing else is; a type may begin twice (``struct`` and ``impl``)."""
    text, language, names, _ = source
    pieces = cut(text, language)
    assert {name for piece in pieces for name in piece.defines} == set(names)
    for piece in pieces:
        assert all(name in piece.text.casefold() for name in piece.defines)
    for name in set(names) - {"account"}:
        assert sum(name in piece.defines for piece in pieces) == 1


def test_a_chunk_begins_with_a_definition_and_holds_it_where_it_can(source):
    text, language, names, _ = source  # noqa: RUF059
    for piece in cut(text, language):
        assert words(piece.text) <= 150 * 1.1
    for name in ("load_file", "loadfile"):
        for piece in cut(text, language):
            if name in piece.defines:
                body = piece.text.casefold().split(name)[1]
                assert body.count(FILLER) >= 5  # whole, to the last line


def test_methods_say_whose_they_are(source):
    text, language, _, paths = source
    for name, path in paths.items():
        (home,) = [piece for piece in cut(text, language) if name in piece.defines]
        assert home.heading_path == path


def test_what_goes_on_with_a_definition_says_whose_it_is():
    body = "\n".join(f"        x{n} = '{FILLER}'" for n in range(40))
    text = f"class Account:\n    def pay(self):\n{body}\n\n    def refund(self):\n        pass\n"
    first, *rest = cut(text, "python")
    assert first.heading_path == ()
    assert {"account", "pay"} <= set(first.defines)
    assert len(rest) > 1
    for piece in rest:
        own = ("Account",) if "def refund" in piece.text.split("\n")[0] else ("Account", "pay")
        assert piece.heading_path == own


def test_comments_and_decorators_stay_with_what_follows():
    body = "\n".join(f"    x{n} = '{FILLER}'" for n in range(6))
    text = f"def first():\n{body}\n\n# About the second.\n@cached\ndef second():\n{body}\n"
    pieces = cut(text, "python")
    (home,) = [piece for piece in pieces if "second" in piece.defines]
    assert home.text.startswith("# About the second.\n@cached\ndef second")


def test_non_ascii_code_is_cut_at_the_same_places():
    plain, _, _, _ = SOURCES["python"]
    text = filled(plain, "#")
    other = text.replace("total", "ütäl")
    ascii_pieces, other_pieces = cut(text, "python"), cut(other, "python")
    assert [p.defines for p in other_pieces] == [p.defines for p in ascii_pieces]
    for piece in other_pieces:
        assert other[piece.span.start : piece.span.end] == piece.text


@pytest.mark.parametrize("language", ["", "no such language", "python", "rust", "yaml", "bash"])
def test_what_cannot_be_parsed_is_cut_at_blank_lines(language):
    text = "\n\n".join(f"%% {{ block {n}: {FILLER}" for n in range(40))
    pieces = cut(text, language)
    assert len(pieces) > 3
    assert " ".join(piece.text for piece in pieces).split() == text.split()
    if not language:
        assert all(piece.text.startswith("%% { block") for piece in pieces)


def test_the_code_cell_of_a_notebook_is_cut_as_code():
    prose, code = "# Report\n\nIt counts.", "def count(rows):\n    return len(rows)"
    text = f"{prose}\n\n{code}"
    parts = [
        Part(label="cell 1", span=Span(start=0, end=len(prose))),
        Part(label="cell 2", span=Span(start=len(prose) + 2, end=len(text)), format="code",
             language="python"),
    ]  # fmt: skip
    document = Document(id="d", text=text, format="markdown", parts=parts)
    first, second = chunk(document)
    assert (first.part, first.format, first.defines) == ("cell 1", "markdown", ())
    assert (second.part, second.format, second.defines) == ("cell 2", "code", ("count",))
    assert second.text == code


def test_deeply_nested_code_is_cut_without_recursion():
    text = "x = " + "(" * 20_000 + "1" + ")" * 20_000
    assert "".join(piece.text for piece in cut(text, "python")).replace(" ", "") == text.replace(
        " ", ""
    )


def test_the_size_can_be_set():
    text = filled(SOURCES["python"][0], "#")
    small = chunk(
        Document(id="d", text=text, format="code", language="python"),
        settings=ChunkingSettings(min_words=20, max_words=40),
    )
    assert max(words(piece.text) for piece in small) <= 40
