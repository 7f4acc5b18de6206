"""Two megabytes of anything are cut in linear time, and nothing of them is lost."""

import time

import pytest

from ctxeng import Document
from ctxeng.chunking import chunk

SIZE = 2_000_000


def repeated(text):
    return text * (SIZE // len(text))


TEXTS = {
    "one line": repeated("word "),
    "letters": repeated("x"),
    "dots": repeated(".") + "x",
    "white space": "a" + repeated(" ") + "b",
    "hash marks": repeated("# " * 990 + "x\n"),
    "wiki marks": repeated("= x" + " " * 1_990 + "y\n"),
    "headings": repeated("## h\n"),
    "heading line": "# " + repeated("abc "),
    "outline": "".join(f"## Number {n}\n" for n in range(SIZE // 16)),
    "tables": repeated("| a | b |\n| 1 | 2 |\n\nword word word.\n\n"),
    "table rule": "| a | b |\n|" + repeated("-") + "x|",
    "pipes": repeated("|"),
    "fence without end": "```\n" + repeated("x y\n"),
    "underlines": repeated("abc\n---\n"),
    "chinese": repeated("中文"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_prose_is_cut_in_linear_time(name):
    """What is quadratic would take hours."""
    text = TEXTS[name]
    began = time.process_time()
    pieces = chunk(Document(id="d", text=text, format="markdown"))
    assert time.process_time() - began < 20
    assert sum(len("".join(piece.text.split())) for piece in pieces) == len("".join(text.split()))
    assert max(len(piece.text) for piece in pieces) < 20_000


SOURCES = {
    "functions": "# é\n" + "".join(f"def f{n}(a):\n    return a + {n}\n\n" for n in range(25_000)),
    "classes": "".join(f"class C{n}:\n    def f(self): pass\n" for n in range(20_000)),
    "brackets": "x = " + "(" * 200_000,
    "no code": repeated("中文 ") + "!",
}


@pytest.mark.parametrize("name", SOURCES)
def test_code_is_cut_in_linear_time(name):
    text = SOURCES[name]
    began = time.process_time()
    pieces = chunk(Document(id="d", text=text, format="code", language="python"))
    assert time.process_time() - began < 20
    assert sum(len("".join(piece.text.split())) for piece in pieces) == len("".join(text.split()))
