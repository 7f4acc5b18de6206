"""Distils a text into notes: the lines of it that state something, each in its own words.

A note is never rephrased, so that it can be checked: its words stand in the text that it was taken
from. What it is worth is decided later and together with all others (``ctxeng.memory.select``):
the same number in two hundred lines of a log is worth less than one that is said once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

import regex
from pydantic import Field

from ctxeng.text.sentences import sentences
from ctxeng.types import Strings, Value

Kind = Literal["number", "date", "name", "identifier", "path", "decision", "task", "constraint"]

MAX_NOTE = 240
"""Characters of one note; longer sentences and rows are cut where a part of them ends."""
WRAPPED = 50
"""Characters; a line of prose that is longer, ends in a letter and is followed by a small one goes
on in the next line."""


class Note(Value):
    """A line of a text, on one line and without invisible characters, and what it states."""

    text: str
    kinds: Strings = ()
    """Of ``Kind``."""
    atoms: Strings = ()
    """The numbers, names, identifiers … in it, each once, led by its kind: ``number:30``."""
    row: bool = False
    """A line of a log, a table or a data file, of which there may be many alike."""
    by: str = ""
    """The model that wrote it; empty: the text's own words."""
    weight: float = Field(default=1.0, ge=0)
    """What its atoms are worth beside those of other notes."""


class Distiller(Protocol):
    """Reads a text and says what in it is worth keeping.

    Laws: it reads all of the text that it is handed; a note's words stand in the text, in order and
    but for white space and invisible characters; the same text gives the same notes; time is
    linear in the length of the text.
    """

    def distill(self, text: str) -> list[Note]: ...


class RuleDistiller:
    """Notes by rules: numbers, dates, names, identifiers and paths by their form, in any language
    that writes them so; decisions, open tasks and constraints by English words.
    """

    def distill(self, text: str) -> list[Note]:
        return [note(piece) for piece in pieces(text) if _ALNUM.search(piece)]


_ALNUM = regex.compile(r"[\p{L}\p{N}]")
_UNSEEN = regex.compile(r"[\p{C}\s]+")
_BREAK = regex.compile(r"[,;}\]|](?=\s|[\"'{\[])|\s")
_ROW = regex.compile(
    r"^\s*[|{\[]|[\"']\s*:\s*|\s\|\s|\w=\S|\t|,\S+,\S+,|^\s*\d{4}-\d\d-\d\d[T ]\d\d:"
)
_STAMP = regex.compile(
    r"^\W*(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\W+"
)
_ATOM = regex.compile(
    r"""
      (?P<path>
          (?:https?|ftp|file|s3|git)://[^\s<>"'`)\]}]+
        | (?:[A-Za-z]:\\|~?/|\.{1,2}/)?(?:[\w.@-]+[/\\])+[\w.@-]*\w
        | \b[\w-]+\.(?:py|js|ts|tsx|go|rs|c|h|cpp|java|rb|sh|sql|md|rst|txt|json|ya?ml|toml|ini|cfg|
            conf|env|csv|tsv|xlsx?|docx?|pptx?|pdf|html?|css|xml|log|lock|png|jpe?g|svg|zip|gz|
            tar|parquet|ipynb|service)\b
      )
    | (?P<identifier_mail>[\w.+-]+@[\w-]+\.[\w.-]*\w)
    | (?P<date>
          \b\d{4}-\d\d(?:-\d\d)?(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)?\b
        | \b\d{1,2}(?:st|nd|rd|th)?[ ](?:of[ ])?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)
            [a-z]*(?:,?[ ]\d{4})?\b
        | \b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?[ ]
            \d{1,2}(?:st|nd|rd|th)?(?:,?[ ]\d{4})?\b
        | \b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b | \b\d{1,2}:\d\d(?::\d\d)?(?:\s?[ap]m\b)?
        | \b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b | \bQ[1-4](?:[ ]\d{4})?\b
      )
    | (?P<identifier>
          \b(?=[\w-]*\d)(?=[\w-]*\p{L})\w[\w-]*(?:\.[\w-]+)*\b
        | \b\p{Lu}[\p{Lu}\d]+(?:-\w+)+\b
        | \b\w+_\w+\b
        | \b\p{Ll}+\p{Lu}\w*\b
        | `[^`\n]{1,80}`
      )
    | (?P<number>(?:[$€£¥][ ]?)?(?:(?<![\w-])[-+])?\d+(?:[.,:/\s]\d{3})*(?:[.,]\d+)*(?:\s?%|[ ]?[$€£¥])?)
    | (?P<name>
          \b\p{Lu}[\p{L}'’-]+(?:[ ](?:(?:of|de|van|von|der|la|the)[ ])?\p{Lu}[\p{L}\d'’-]*)+
        | (?<=[\p{L}\p{N},;:][ ])\p{Lu}\p{L}[\p{L}'’-]*
        | \b\p{Lu}{2,6}\b
      )
    """,
    regex.VERBOSE,
)
_DECISION = regex.compile(
    r"\b(?:decid\w+|decision|agreed?|we(?:'ll| will| shall)|chose|chosen|settled on|go(?:ing)? with|"
    r"approved|rejected|concluded?|conclusion|root cause|turns? out|confirmed|switch(?:ed)? to|"
    r"instead of|resolved|final(?:ly|ised|ized)?)\b",
    regex.I,
)
_TASK = regex.compile(
    r"\b(?:to-?do|fixme|next steps?|still (?:needs?|have|has|open|to)|remaining|pending|"
    r"follow[- ]?up|blocked|open (?:question|task|issue)|remind|deadline|due|not yet|"
    r"needs? to|have to|action items?|owner)\b|\[ \]",
    regex.I,
)
_CONSTRAINT = regex.compile(
    r"\b(?:must|never|always|only|at (?:most|least)|no (?:more|less|fewer) than|do(?:es)? not|don't|"
    r"cannot|can't|limit\w*|requir\w+|forbidden|allowed|budget|prefer\w*|should(?:n't)?|avoid|"
    r"maximum|minimum|max|min|allerg\w+|unless|except|exceed\w*)\b",
    regex.I,
)
_FAULT = regex.compile(
    r"\b(?:error|exception|fail(?:ed|ure|s)?|fatal|traceback|denied|critical|panic)\b", regex.I
)


def note(piece: str, *, weight: float = 1.0, by: str = "") -> Note:
    """One piece of a text as a note."""
    text = shown(piece)
    stamp = _STAMP.match(text)
    found: dict[str, None] = {}
    for match in _ATOM.finditer(text, stamp.end() if stamp else 0):
        kind = (match.lastgroup or "").partition("_")[0]
        found[f"{kind}:{' '.join(match.group().strip(' `.,:;').split())}"] = None
    kinds = [atom.partition(":")[0] for atom in found]
    for kind, cue in (("decision", _DECISION), ("task", _TASK), ("constraint", _CONSTRAINT)):
        if cue.search(text):
            kinds.append(kind)
    if _FAULT.search(text):
        weight *= 1.5
    return Note(
        text=text,
        kinds=tuple(dict.fromkeys(kinds)),
        atoms=tuple(found),
        row=bool(_ROW.search(text)),
        by=by,
        weight=weight,
    )


def shown(text: str) -> str:
    """On one line, without control, bidi and other characters that cannot be seen."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    return _UNSEEN.sub(" ", text).strip()


def pieces(text: str) -> Iterator[str]:
    """A text cut into sentences, rows and lines of code; together they hold all of it but white
    space. Lines that were wrapped are joined again.
    """
    paragraph = ""
    for line in text.split("\n"):
        if paragraph and _goes_on(paragraph, line):
            paragraph = f"{paragraph} {line.strip()}"
            continue
        yield from _cut(paragraph)
        paragraph = line
    yield from _cut(paragraph)


def _goes_on(line: str, following: str) -> bool:
    if not WRAPPED < len(line) < 20 * MAX_NOTE or not following[:1].islower():
        return False
    last = line.rstrip()[-1:]
    return (last.isalnum() or last in ",-–—(") and not _ROW.search(line)


def _cut(line: str) -> Iterator[str]:
    line = line.strip()
    if not line:
        return
    if ". " not in line and "! " not in line and "? " not in line and len(line) <= MAX_NOTE:
        yield line
        return
    for span in sentences(line):
        yield from _short(line, span.start, span.end)


def _short(text: str, start: int, end: int) -> Iterator[str]:
    """[start, end) in pieces of at most ``MAX_NOTE`` characters, cut after a part of a sentence or
    a cell of a row where there is one.
    """
    while end - start > MAX_NOTE:
        window = text[start : start + MAX_NOTE]
        stops = [stop.end() for stop in _BREAK.finditer(window, MAX_NOTE // 3)]
        ends = [at for at in stops if window[at - 1] in ",;}]|"]
        cut = start + (ends or stops or [MAX_NOTE])[-1]
        yield text[start:cut]
        start = cut
    yield text[start:end]
