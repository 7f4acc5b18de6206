"""Cuts text into sentences, in any script, in linear time."""

from __future__ import annotations

import regex

from ctxeng.types import Span

MAX_SENTENCE = 600
"""Characters; longer runs without a stop (Thai, logs, minified files) are cut at white space."""

_STOP = regex.compile(
    r"""(?<![.!?…])(?!(?<![^\n])\.\.[^\S\n])  # not the mark of a directive of reST
        [.!?…]++["'”’»)\]*_]*+(?=\s)  # a stop, what closes after it, white space
      | [。！？．]+[」』”’）\]]*            # Chinese, Japanese: no space follows
      | [।॥؟۔។။]+                         # Hindi, Arabic, Urdu, Khmer, Burmese
      | \n[^\S\n]*(?=\n)                    # a blank line
      | \n(?=[^\S\n]*(?:[-*+•>|\#]|\d{1,3}[.)]\s))  # a list item, heading, quote or table row
      | \n(?<=^[^\S\n]*(?:\#{1,6}\s|\|)[^\n]{0,400}\n)  # the end of a heading or table row
    """,
    regex.VERBOSE | regex.MULTILINE,
)
_ABBREVIATION = regex.compile(
    r"(?:^|[\s(\[\"'“‘])"
    r"(?:\p{Lu}|(?:\p{L}\.)+\p{L}|Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|etc|cf|al|Inc|Ltd|Co|Corp|No|Nr|"
    r"Fig|Figs|Eq|Sec|Vol|pp|approx|resp|ca|Gen|Sen|Rep|Gov|Capt|Lt|Col|Mt|Jan|Feb|Mar|Apr|Jun|"
    r"Jul|Aug|Sep|Sept|Oct|Nov|Dec|bzw|usw|Sra?|Dra|Ud)\.$"
)
_BARE_NUMBER = regex.compile(r"(?:^|\n)\s*\d{1,3}\.$")


def sentences(text: str) -> list[Span]:
    """Spans of the sentences; they ascend and cover all but white space.

    Source: the rules of UAX #29 in spirit, with abbreviations, initials, list items, headings and
    table rows of Markdown, and the stops of scripts that put no space after them.
    """
    spans: list[Span] = []
    start = 0
    for stop in _STOP.finditer(text):
        if not _joins(text, start, stop.start(), stop.end()):
            _add(spans, text, start, stop.end())
            start = stop.end()
    _add(spans, text, start, len(text))
    return spans


def _joins(text: str, start: int, stop: int, end: int) -> bool:
    """Whether this stop does not end a sentence: ``e.g.``, ``J. Smith``, ``3. item``, ``… and``."""
    if text[stop] != ".":
        return False
    before = text[max(start, end - 16) : end]
    if _ABBREVIATION.search(before) or _BARE_NUMBER.search(before):
        return True
    return text[end : end + 8].lstrip()[:1].islower()


def _add(spans: list[Span], text: str, start: int, end: int) -> None:
    """Add [start, end) without the white space around it, in pieces where it is too long."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    while end - start > MAX_SENTENCE:
        window = text[start : start + MAX_SENTENCE]
        cut = max(window.rfind(" "), window.rfind("\n"))
        cut = start + (cut if cut > MAX_SENTENCE // 3 else MAX_SENTENCE)
        spans.append(Span(start=start, end=cut))
        start = cut
        while start < end and text[start].isspace():
            start += 1
    if start < end:
        spans.append(Span(start=start, end=end))
