"""Shows a built prompt as one page of HTML: what is in it, where from, and what was left out.

The page loads nothing and runs nothing: no script, no font, no picture, and a content security
policy that forbids them. Texts come from anybody's files: each is escaped where it is put in, and
characters that nobody sees are shown by their number.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby

from ctxeng.context.page_style import COLOURS, STYLE
from ctxeng.types import Context, Dropped, SectionUse, Segment, Source, Span, ToolCall

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\uffff\ud800-\udfff"
    "\U000e0000-\U000e0fff]"
)
"""Control characters, marks of direction, what has no width, and half characters."""
CALL = 400
"""Characters of a call that are shown."""
MAX_ATTRIBUTE = 200
"""Characters of a name that a cell or a title shows."""
REASONS = 4
"""Reasons that are counted above the candidates that were left out."""
BAR = 1000
"""Units of a bar's width."""
FINE = 60
"""Parts of a bar; more of them touch, since lines between them would hide them."""
NAMED = 12
"""Sources that the legend names at once; the others open with a click."""


def context_page(context: Context) -> str:
    """The page, whole: write it to a file as UTF-8 and open that in a browser.

    The prompt stands in it segment by segment, coloured by source; hovering or focusing one (Tab
    goes from one to the next) shows where it comes from and why it is there. Below are what each
    section got of the budget and the candidates that were left out, each with the reason. Same
    context, same bytes.
    """
    colours = _colours(context.segments)
    places = _Places(context)
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    parts = [
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>Context: {_name(context.query, 80)}</title>\n<style>{STYLE}</style>\n</head>\n"
        "<body>\n",
        *_header(context, places),
        "<main>\n",
        *_budget(context, colours, places),
        *_prompt(context, colours),
        *_dropped(context.dropped, places),
        "</main>\n</body>\n</html>\n",
    ]
    return "".join(parts)


def shown(text: str) -> str:
    """The text as HTML; what cannot be seen is shown by its number."""
    return _UNSEEN.sub(
        lambda found: f'<b class="unseen">U+{ord(found[0]):04X}</b>', escape(text, quote=True)
    )


def _name(text: str, limit: int = MAX_ATTRIBUTE) -> str:
    """One line of plain text, for attributes and cells."""
    line = " ".join(text[: 4 * limit].split())
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    return escape(_UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", line), quote=True)


def _colours(segments: Sequence[Segment]) -> dict[str, str]:
    """Class by source, in the order of their first appearance; more than there are colours share
    them.
    """
    keys = dict.fromkeys(_key(segment) for segment in segments if segment.source is not None)
    return {key: f"c{number % COLOURS}" for number, key in enumerate(keys)}


def _key(segment: Segment) -> str:
    return segment.source.uri if segment.source is not None else ""


def _colour(segment: Segment, colours: dict[str, str]) -> str:
    if segment.source is not None:
        return colours[_key(segment)]
    return "ours" if segment.transformation == "template" else "plain"


class _Places:
    """Names places without the folder that all of them are in."""

    def __init__(self, context: Context) -> None:
        uris = {one.source.uri for one in context.segments if one.source is not None}
        uris |= {row.source.uri for row in context.dropped if row.source is not None}
        self.folder = ""
        """Ends in a slash; empty where there is none."""
        if len(uris) > 1:
            first, last = min(uris), max(uris)  # what these two share, all share
            pairs = enumerate(zip(first, last, strict=False))
            same = next((at for at, (a, b) in pairs if a != b), min(len(first), len(last)))
            self.folder = first[: first.rfind("/", 1, same) + 1]

    def __call__(self, place: str) -> str:
        return _name(place.removeprefix(self.folder))


def _header(context: Context, places: _Places) -> Iterator[str]:
    used = context.tokens + sum(context.reserved.values())
    plan = f", plan <b>{_name(context.plan)}</b>" if context.plan else ""
    folder = f"<p>Sources are in {_name(places.folder)}</p>\n" if places.folder else ""
    yield (
        f"<header>\n<h1>{_name(context.query, 400) or 'Context'}</h1>\n"
        f"<p><b>{used:,}</b> of <b>{context.budget:,}</b> tokens, counted by "
        f"{_name(context.tokenizer)}{plan}</p>\n{folder}</header>\n"
    )


def _budget(context: Context, colours: dict[str, str], places: _Places) -> Iterator[str]:
    """A bar for the whole, and one for each section."""
    total = max(context.budget, context.tokens + sum(context.reserved.values()), 1)
    parts = [
        (_colour(segment, colours), segment.tokens, _what(segment)) for segment in context.segments
    ]
    parts += [("held", tokens, f"reserved: {name}") for name, tokens in context.reserved.items()]
    yield '<section aria-labelledby="h-budget">\n<h2 id="h-budget">Budget</h2>\n'
    yield _bar(parts, total, "the whole prompt")
    named = list(_named(context, colours, places))
    yield from ('<ul class="legend">\n', *named[:NAMED], "</ul>\n")
    if len(named) > NAMED:
        yield f"<details>\n<summary>and {len(named) - NAMED:,} more sources</summary>\n"
        yield from ('<ul class="legend">\n', *named[NAMED:], "</ul>\n</details>\n")
    yield '<ul class="legend">\n<li><i class="ours"></i>instructions, headings, markers</li>\n'
    yield '<li><i class="plain"></i>without a source</li>\n'
    held = ", ".join(f"{_name(name)} {n:,}" for name, n in context.reserved.items() if n)
    if held:
        yield f'<li><i class="held"></i>beside the texts: {held}</li>\n'
    yield "</ul>\n"
    in_use = [use for use in _sections(context) if use.given or use.minimum or use.dropped]
    rows = [_section_row(context, use, total, colours) for use in in_use]
    columns = ("section", "tokens", "given", "at least", "at most", "kept", "left out", "")
    yield from _table("sections", columns, rows)
    yield "</section>\n"


def _named(context: Context, colours: dict[str, str], places: _Places) -> Iterator[str]:
    """A line of the legend for each source: its tokens, and a link to its first piece."""
    mine: dict[str, list[int]] = defaultdict(list)
    for number, segment in enumerate(context.segments):
        if segment.source is not None:
            mine[_key(segment)].append(number)
    for key, numbers in mine.items():
        tokens = sum(context.segments[number].tokens for number in numbers)
        yield (
            f'<li><i class="{colours[key]}"></i><a href="#s{numbers[0]}">{places(key)}</a> '
            f"{tokens:,} tokens, {_name(context.segments[numbers[0]].trust)}</li>\n"
        )


def _sections(context: Context) -> Sequence[SectionUse]:
    """As planned; without a plan what the segments say."""
    if context.sections:
        return context.sections
    names = dict.fromkeys(segment.section for segment in context.segments)
    made: list[SectionUse] = []
    for name in names:
        mine = [segment for segment in context.segments if segment.section == name]
        used = sum(segment.tokens for segment in mine)
        made.append(
            SectionUse(
                name=name,
                role=mine[0].role,
                minimum=0,
                maximum=None,
                given=used,
                used=used,
                kept=sum(segment.transformation != "template" for segment in mine),
            )
        )
    return made


def _section_row(
    context: Context, use: SectionUse, total: int, colours: dict[str, str]
) -> Sequence[str]:
    parts = [
        (_colour(segment, colours), segment.tokens, _what(segment))
        for segment in context.segments
        if segment.section == use.name
    ]
    texts = sum(tokens for _, tokens, _ in parts)
    if use.used > texts:
        parts.append(("held", use.used - texts, "calls, files and what goes around messages"))
    spare = use.given - max(use.used, texts)
    if spare > 0:
        parts.append(("spare", spare, "given and not used"))
    left_out = max(use.dropped, sum(row.section == use.name for row in context.dropped))
    return (
        f"<b>{_name(use.name, 40)}</b> <small>{_name(use.role)}</small>",
        f"{use.used:,}",
        f"{use.given:,}",
        f"{use.minimum:,}" if use.minimum else "",
        "" if use.maximum is None else f"{use.maximum:,}",
        f"{use.kept:,}",
        f"{left_out:,}",
        _bar(parts, total, f"section {use.name}"),
    )


def _bar(parts: Iterable[tuple[str, int, str]], total: int, label: str) -> str:
    """Parts (class, tokens, title) side by side, of ``total`` tokens."""
    made: list[str] = []
    at = 0.0
    used = 0
    for colour, tokens, title in parts:
        width = BAR * tokens / total
        used += 0 if colour == "spare" else tokens
        made.append(
            f'<rect class="{colour}" x="{at:.2f}" width="{width:.2f}" height="10">'
            f"<title>{_name(title)}: {tokens:,} tokens</title></rect>"
        )
        at += width
    fine = " fine" if len(made) > FINE else ""
    return (
        f'<svg class="bar{fine}" viewBox="0 0 {BAR} 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{_name(label)}: {used:,} of {total:,} tokens">{"".join(made)}</svg>\n'
    )


def _what(segment: Segment) -> str:
    return segment.source.location if segment.source is not None else segment.section


def _prompt(context: Context, colours: dict[str, str]) -> Iterator[str]:
    """A block for each message, in it the segments, each followed by what is known of it."""
    yield '<section aria-labelledby="h-prompt">\n<h2 id="h-prompt">Prompt</h2>\n'
    yield "<p>Point at a piece, or go to it with Tab, to see where it comes from.</p>\n"
    numbered = enumerate(context.segments)
    for (role, turn), group in groupby(numbered, lambda item: (item[1].role, item[1].turn)):
        heading = _name(role) + ("" if turn is None else f", turn {turn + 1}")
        yield f'<h3>{heading}</h3>\n<div class="message">'
        for number, segment in group:
            mark = "" if segment.number is None else f' data-number="[{segment.number}]"'
            yield (
                f'<span id="s{number}" class="segment {_colour(segment, colours)}" tabindex="0" '
                f'role="note" aria-describedby="p{number}"{mark}>{shown(segment.text)}</span>'
                f'<span id="p{number}" class="card" role="tooltip">{_card(segment)}</span>'
            )
            yield from _carried(segment)
        yield "</div>\n"
    yield "</section>\n"


def _carried(segment: Segment) -> Iterator[str]:
    """What the model gets beside the text: calls with their arguments, files."""
    if segment.carries is not None:
        told = [*map(_call, segment.carries.tool_calls)]
        told += [f"file {file.media_type}" for file in segment.carries.files]
        yield from (f'<span class="carried">{_name(one, CALL)}</span>' for one in told)


def _call(call: ToolCall) -> str:
    return f"call {call.name} {json.dumps(call.arguments, ensure_ascii=False)}"


def _card(segment: Segment) -> str:
    """All that is known of a segment."""
    made_by = f" by {segment.made_by}" if segment.made_by else ""
    scores = ", ".join(f"{name} {score:.3f}" for name, score in segment.scores.items())
    carries = segment.carries
    calls = [f"call {call.name} ({call.id})" for call in carries.tool_calls] if carries else []
    if carries is not None:
        calls += [f"answers call {carries.tool_call_id}"] if carries.tool_call_id else []
        calls += [f"file {file.media_type}" for file in carries.files]
    facts = (
        ("source", segment.source.location if segment.source else ""),
        ("range", _range(segment.source)),
        ("headings", " > ".join(segment.source.heading_path) if segment.source else ""),
        ("text", segment.transformation + made_by),
        ("tokens", f"{segment.tokens:,}"),
        ("trust", segment.trust),
        ("section", segment.section),
        ("why", segment.reason),
        ("notes", "; ".join(segment.notes)),
        ("scores", scores),
        ("carries", ", ".join(calls)),
    )
    return "".join(
        f'<span class="fact"><b>{name}</b> <span>{_name(value, 400)}</span></span>'
        for name, value in facts
        if value
    )


def _range(source: Source | None) -> str:
    return "" if source is None else f"characters {_span(source.span)}"


def _span(span: Span) -> str:
    return f"{span.start:,} to {span.end:,}"


def _dropped(rows: Sequence[Dropped], places: _Places) -> Iterator[str]:
    yield f'<section aria-labelledby="h-out">\n<h2 id="h-out">Left out ({len(rows):,})</h2>\n'
    if rows:
        columns = ("what", "characters", "section", "tokens", "score", "trust", "reason")
        why = Counter(row.reason for row in rows).most_common(REASONS)
        if len(why) > 1:
            told = ", ".join(f"{count:,} {_name(reason, 60)}" for reason, count in why)
            yield f"<p>Most often: {told}</p>\n"
        yield from _table("left out", columns, [_dropped_row(row, places) for row in rows])
    else:
        yield "<p>Nothing: all candidates are in the prompt.</p>\n"
    yield "</section>\n"


def _dropped_row(row: Dropped, places: _Places) -> Sequence[str]:
    what = places(row.source.location if row.source else row.label)
    begins = f"<br><small>{_name(row.label)}</small>" if row.source and row.label else ""
    return (
        what + begins,
        _span(row.source.span) if row.source else "",
        _name(row.section),
        f"{row.tokens:,}",
        f"{row.score:.3f}",
        _name(row.trust),
        _name(row.reason),
    )


_NUMBERS = frozenset({"tokens", "given", "at least", "at most", "kept", "left out", "score"})


def _table(label: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Cells are HTML; columns without any are left out. Wide ones scroll, also by keyboard."""
    filled = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    columns = [columns[at] for at in filled]
    rows = [[row[at] for at in filled] for row in rows]
    kinds = ["number" if column in _NUMBERS else "word" for column in columns]
    yield f'<div class="wide" tabindex="0" role="region" aria-label="{_name(label)}"><table>\n<tr>'
    for column, kind in zip(columns, kinds, strict=True):
        yield f'<th scope="col" class="{kind}">{_name(column)}</th>'
    yield "</tr>\n"
    for row in rows:
        cells = zip(row, kinds, strict=True)
        yield (
            "<tr>" + "".join(f'<td class="{kind}">{cell}</td>' for cell, kind in cells) + "</tr>\n"
        )
    yield "</table></div>\n"
