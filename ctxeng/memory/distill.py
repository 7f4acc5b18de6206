"""Distils a text into notes: the lines of it that state something, each in its own words.

A note is never rephrased, so that it can be checked: its words stand in the text that it was taken
from. What it is worth beside others is decided where all of them are known
(``ctxeng.memory.select``): a number that stands in two hundred lines of a log is worth less than
one that is said once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import regex

Kind = Literal["number", "date", "name", "identifier", "path", "decision", "task", "constraint"]

MAX_NOTE = 240
"""Characters of one note; longer sentences and rows are cut where a part of them ends."""
MOST_NOTES = 60_000
"""Of one text. In one that has more lines, a note is as many neighbouring lines as it takes."""
WRAPPED = 50
"""Characters; a line of prose that is longer, ends in a letter and is followed by a small one goes
on in the next line."""


@dataclass(frozen=True, slots=True)
class Note:
    """A line of a text, on one line and without invisible characters, and what it states."""

    text: str
    kinds: tuple[str, ...] = ()
    """Of ``Kind``; and ``fault`` where the line tells of an error."""
    atoms: tuple[str, ...] = ()
    """The numbers, names, identifiers … in it, each once, behind its kind: ``number:30``."""
    hints: tuple[str, ...] = ()
    """The words by which it is a decision, a task …, behind the kind: ``task:deadline``."""
    row: bool = False
    """A line of a log, a table or a data file, of which there may be many alike."""
    by: str = ""
    """The model that wrote it; empty: the text's own words."""
    worth: float = math.inf
    """At the most, by what it was worth beside all others when it was chosen."""


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
_STOP = re.compile(
    r"(?<![A-Z].)(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bNo)(?<!\bvs)[.!?][\"')\]]*\s+(?=[\"'(\[]?[^\W_a-z])"
    r"|(?<=[^\W\d_]{4})[.!?][\"')\]]*\s+|[。！？।]+"
)
_BREAK = re.compile(r"[,;}\]|](?=\s|[\"'{\[])|\s")
_ROW = re.compile(
    r"[|{\[]|[^\n]{0,40}[\"']\s*:|[^\n]{0,80}(?:\s\|\s|\t|,\S+,\S+,|\w=\S)|\d{4}-\d\d-\d\d[T ]\d\d:"
)
_STAMP = re.compile(
    r"\W*(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\W+"
)
_FAULT = re.compile(r"warn|err|fail|fatal|crit|exception|denied|panic|timeout|\b5\d\d\b", re.I)
_MARKS = re.compile(r"(?:(?:#+|//+|--?|\*|•)\s+)+")
"""Of a comment, a heading, a list; before a text."""
_PLAIN = r"[^\s\"'`(){}\[\]<>|;,=*]+"
_TOKEN = re.compile(rf"{_PLAIN}(?:,(?=\d{{3}}(?!\d)){_PLAIN})*")
_EDGES = ".,:!?’'-–…"
_OPENINGS = " \"'“‘(*#>-•"
_LONGEST = 200
"""Characters of a token; longer ones are base64 or minified code."""
_FORMS: Sequence[tuple[str, re.Pattern[str]]] = (
    ("path", re.compile(r"\w+://\S|.*\w[/\\]\w|~?[/\\]\w|[A-Za-z]:[/\\]")),
    (
        "path",
        re.compile(
            r"[\w.-]+\.(?:py|[jt]sx?|go|rs|cc?|h|cpp|java|rb|sh|sql|md|rst|txt|json|ya?ml|toml|ini|"
            r"cfg|conf|env|[ct]sv|xlsx?|docx?|pptx?|pdf|html?|css|xml|log|lock|png|jpe?g|svg|zip|"
            r"gz|tar|parquet|ipynb|service)$"
        ),
    ),
    ("identifier", re.compile(r"[^@]+@[^@]+\.\w+$")),
    (
        "date",
        re.compile(
            r"\d{4}-\d\d(?:-\d\d)?(?:T[\d:.]+(?:Z|[+-]\d\d:?\d\d)?)?$"
            r"|\d{1,2}:\d\d(?::\d\d)?(?:[ap]m)?$|\d{1,2}[./]\d{1,2}[./]\d{2,4}$"
            r"|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?$|Q[1-4]$"
        ),
    ),
    (
        "month",
        re.compile(
            r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|"
            r"Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)$"
        ),
    ),
    ("number", re.compile(r"[$€£¥+#~-]{0,2}\d[\d.,:]*(?:%|[^\W\d_]{1,4}|[$€£¥])?$")),
    ("identifier", re.compile(r".*\d|\w+_\w|[^\W\d_A-Z]+[A-Z]|[A-Z]{2,}(?:-\w+)+$")),
)
_DAY = re.compile(r"\d{1,2}(?:st|nd|rd|th)?$|\d{4}$")
_CUES: Mapping[str, str] = {
    word: kind
    for kind, words in {
        "decision": """agree agreed approved chose chosen concluded conclusion confirmed decide
            decided decision finalised finalized instead rejected resolved settled switched
            root~cause we'll we~will go~with going~with turned~out turns~out opted""",
        "task": """action~item action~items blocked deadline due fixme follow-up follow~up has~to
            have~to need~to needs~to next~step next~steps not~yet open~issue open~question
            open~task outstanding owner pending remaining remind still~need still~needs still~open
            still~to todo to-do waiting~for""",
        "constraint": """allergic allergy allowed always at~least at~most avoid budget cannot can't
            capped constraint constraints do~not does~not don't except exceed exceeding exceeds
            fewer~than forbidden less~than limit limited limits max maximum min minimum more~than
            must never only prefer preferred prefers require required requires should should~not
            shouldn't unless""",
        "fault": "critical denied error errors exception fail failed failure fails fatal panic",
    }.items()
    for word in words.replace("~", "\0").split()
    for word in [word.replace("\0", " ")]
}
_FIRST = frozenset(word.partition(" ")[0] for word in _CUES if " " in word)


def note(piece: str, *, by: str = "", worth: float = math.inf) -> Note:
    """One piece of a text as a note; ``by``: the model that wrote it."""
    text = shown(piece)
    text = text[marks.end() :] if (marks := _MARKS.match(text)) else text
    row = bool(_ROW.match(text))
    stamp = _STAMP.match(text)  # when a line was logged is no fact of its own
    if stamp and not _FAULT.search(text):
        text, stamp = text[stamp.end() :], None
    atoms: dict[str, None] = {}
    hints: dict[str, None] = {}
    run: list[str] = []
    held, start, end, before = "", 0, -2, ""

    def keep() -> None:
        """A single word that opens a sentence has its capital from there."""
        if held and not (held == "name" and len(run) == 1 and not text[:start].strip(_OPENINGS)):
            atoms[f"{'date' if held == 'month' else held}:{text[start:end].strip(_EDGES)}"] = None

    for match in _TOKEN.finditer(text, stamp.end() if stamp else 0):
        token = match.group()
        kind, cue, first = _told(token)
        if cue:
            hints[f"{cue}:{token.strip(_EDGES).lower()}"] = None
        pair = _CUES.get(f"{before} {token.lower()}") if before else None
        if pair:
            hints[f"{pair}:{before} {token.lower()}"] = None
        before = token.lower() if first else ""
        bare = token.strip(_EDGES)
        if kind and match.start() <= end + 2 and _join(held, run, kind, bare):
            run.append(bare)
            held = "month" if "month" in (held, kind) else held
        else:
            keep()
            held, run, start = kind, [bare], match.start()
        end = match.end()
    keep()
    kinds = dict.fromkeys(one.partition(":")[0] for one in (*hints, *atoms))
    return Note(text, tuple(kinds), tuple(atoms), hints=tuple(hints), row=row, by=by, worth=worth)


def _join(held: str, run: Sequence[str], kind: str, token: str) -> bool:
    """Whether a word goes on with the name or the date before it."""
    if kind == "month":
        return held == "number" and bool(_DAY.match(run[-1]))
    if held == "month":
        return kind == "number" and len(run) < 3 and bool(_DAY.match(token))
    return held == kind == "name"


@lru_cache(maxsize=200_000)
def _told(token: str) -> tuple[str, str, bool]:
    """What a token is, what it hints at, and whether a hint of two words may begin with it."""
    bare = token.strip(_EDGES)
    if not 0 < len(bare) <= _LONGEST:
        return "", "", False
    lower = bare.lower()
    kind = next((kind for kind, form in _FORMS if form.match(bare)), "")
    if not kind and bare[0].isupper() and len(bare) > 1 and lower not in _NO_NAMES:
        kind = "name"
    return kind, _CUES.get(lower, ""), lower in _FIRST


_NO_NAMES = frozenset(
    """a after all also an and any are as at be because before but by can check could did do does
    during each every for from get had has have he hello hence her here hi his how however i i'd
    i'll i'm i've if in into is it it's its let let's may maybe more most my next no not note now
    of ok okay on once one only or our please run see she should since so some step such sure
    thank thanks that that's the their then there there's these they this those though thus to
    today under until up use we we'll we're we've well what when where which while who why will
    with would yes yet you your
    info debug warning warn error true false none null""".split()  # noqa: SIM905
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
    shortest = len(text) // MOST_NOTES
    paragraph = ""
    for line in text.split("\n"):
        if paragraph and (len(paragraph) < shortest or _goes_on(paragraph, line)):
            paragraph = f"{paragraph}\n{line}"
            continue
        yield from _cut(paragraph, shortest)
        paragraph = line
    yield from _cut(paragraph, shortest)


def _goes_on(line: str, following: str) -> bool:
    """Rows that begin with the same word are rows, however much they look like prose."""
    if not WRAPPED < len(line) < 4 * MAX_NOTE or not following[:1].islower():
        return False
    last = line.rstrip()[-1:]
    begun_alike = line.split(None, 1)[0] == following.split(None, 1)[0]
    return (last.isalnum() or last in ",-–—(") and not begun_alike and not _ROW.match(line)


def _cut(line: str, shortest: int) -> Iterator[str]:
    line = line.strip()
    if not line:
        return
    start = 0
    for stop in _STOP.finditer(line):
        if stop.end() - start > shortest:
            yield from _short(line, start, stop.end())
            start = stop.end()
    if start < len(line):
        yield from _short(line, start, len(line))


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
