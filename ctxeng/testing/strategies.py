"""Hypothesis strategies of the domain: words, prose, documents, scopes, filters, vectors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from ctxeng.protocols import Vectors
from ctxeng.types import (
    Document,
    Image,
    Message,
    Metadata,
    Part,
    Scope,
    Segment,
    Span,
    TextFormat,
    ToolCall,
)

WORDS: Sequence[str] = [
    "the",
    "warranty",
    "covers",
    "pump",
    "seal",
    "two",
    "years",
    "payroll",
    "closes",
    "on",
    "monday",
    "after",
    "audit",
    "of",
    "march",
    "berlin",
    "invoice",
    "get_user_name",
    "userName",
    "HTTPServer2",
    "rotor",
    "v2.1",
    "3.14",
    "2026",
    "café",
    "naïve",
    "Straße",
    "ΔT",
    "don't",
    "e.g.",
    "Dr.",
    "भारत",
    "की",
    "राजधानी",
    "मुंबई",
    "ประเทศไทย",
    "กรุงเทพ",
    "中国的首都",
    "北京",
    "日本語です",
    "한국어",
    "مرحبا",
    "🎉",
    "½",
    "ﬁne",
]

SCOPES: Sequence[Scope] = (
    Scope(),
    Scope(tenant="acme"),
    Scope(tenant="acme", user="eve"),
    Scope(tenant='["local", "local"', collection='"default"]'),
)
"""The last one looks like another one's key."""

any_text = st.text(st.characters(), max_size=300)
"""Any characters, lone surrogates too."""

words = st.sampled_from(WORDS)
sentences = st.lists(words, min_size=1, max_size=25).map(lambda found: " ".join(found) + ". ")
paragraphs = st.lists(sentences, min_size=1, max_size=8).map("".join)
scopes = st.sampled_from(SCOPES)

_headings = st.tuples(st.integers(1, 4), st.lists(words, min_size=1, max_size=4)).map(
    lambda drawn: "#" * drawn[0] + " " + " ".join(drawn[1])
)
_rows = st.lists(
    st.lists(words, min_size=2, max_size=3).map(lambda cells: "| " + " | ".join(cells) + " |"),
    min_size=1,
    max_size=60,
)
_tables = _rows.map(lambda rows: "\n".join([rows[0], "| --- | --- |", *rows[1:]]))
_fences = st.lists(
    st.sampled_from(["x = f(1)", "", "    return x", "# no heading"]), max_size=9
).map(lambda lines: "\n".join(["```python", *lines, "```"]))
_lists = st.lists(sentences, min_size=1, max_size=6).map(
    lambda items: "\n".join(f"- {item.strip()}" for item in items)
)
_functions = st.tuples(
    st.sampled_from(["pay", "get_user", "Größe", "run2"]), st.lists(words, max_size=40)
).map(lambda drawn: f"def {drawn[0]}(a):\n    '''{' '.join(drawn[1])}'''\n    return a\n")
_classes = st.lists(_functions, min_size=1, max_size=4).map(
    lambda functions: (
        "class Account:\n"
        + "\n".join("    " + line for function in functions for line in function.split("\n"))
    )
)

prose = st.lists(paragraphs, max_size=12).map("\n\n".join)
markdown = st.lists(
    st.one_of(paragraphs, _headings, _headings, _tables, _fences, _lists), max_size=12
).map("\n\n".join)
code = st.lists(st.one_of(_functions, _classes, paragraphs), max_size=8).map("\n".join)
tables = _rows.map("\n".join)
_TEXTS = {"plain": prose, "markdown": markdown, "code": code, "table": tables}

scalars = st.one_of(
    st.booleans(), st.integers(-5, 5), st.sampled_from(["a", "b", "A", "", "ä b", "1"])
)
metadata: st.SearchStrategy[Metadata] = st.dictionaries(
    st.sampled_from(["lang", "team", "x.y", "uri", ""]),
    st.one_of(scalars, st.lists(scalars, max_size=3)),
    max_size=3,
)


@st.composite
def documents(draw: st.DrawFn, *, scope: Scope | None = None) -> Document:
    """Documents of every format, some with parts; a few of any text at all."""
    text_format: TextFormat = draw(st.sampled_from(["plain", "markdown", "code", "table"]))
    text = draw(st.one_of(_TEXTS[text_format], _TEXTS[text_format], any_text))
    cuts = draw(st.lists(st.integers(0, len(text)), max_size=4, unique=True).map(sorted))
    borders = [0, *cuts, len(text)]
    parts = [
        Part(label=f"page {number}", span=Span(start=start, end=end))
        for number, (start, end) in enumerate(pairwise(borders), start=1)
        if draw(st.booleans())
    ]
    return Document(
        id=draw(st.sampled_from(["d1", "d2", "a/b.md", "ü"])),
        text=text,
        title=draw(st.sampled_from(["", "Handbook", "notes.md"])),
        format=text_format,
        language=draw(st.sampled_from(["", "python", "no such language"])),
        metadata=draw(metadata),
        parts=tuple(parts),
        scope=scope or Scope(),
    )


def messages() -> st.SearchStrategy[Message]:
    """Turns of every role, of text, parts, pictures, calls and results."""
    text = st.text(max_size=40)
    segment = st.builds(
        Segment,
        text=text,
        section=text,
        role=st.just("user"),
        tokens=st.integers(0, 9),
        trust=st.just("user"),
        reason=text,
        scores=st.dictionaries(text, st.floats(allow_nan=False, allow_infinity=False), max_size=2),
    )
    image = st.builds(Image, media_type=st.just("image/png"), data=st.just("aGVsbG8="))
    call = st.builds(
        ToolCall,
        id=text,
        name=text,
        arguments=st.dictionaries(text, st.one_of(text, st.booleans(), st.integers()), max_size=2),
    )
    return st.builds(
        Message,
        role=st.sampled_from(["system", "user", "assistant", "tool"]),
        content=st.one_of(text, st.lists(st.one_of(text, segment, image), max_size=3).map(tuple)),
        tool_calls=st.lists(call, max_size=2).map(tuple),
        tool_call_id=text,
    )


def unit_vectors(count: int, dimensions: int = 8) -> st.SearchStrategy[Vectors]:
    """Shape (count, dimensions); some rows are equal."""
    return st.tuples(st.integers(0, 2**32 - 1), st.integers(1, max(1, count))).map(
        lambda drawn: _unit_vectors(count, dimensions, *drawn)
    )


def _unit_vectors(count: int, dimensions: int, seed: int, different: int) -> Vectors:
    rows = np.random.default_rng(seed).normal(size=(different, dimensions))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[np.arange(count) % different].astype(np.float32)
