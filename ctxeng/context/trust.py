"""How far a text may be believed, what is taken out of it, and what it may reach."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final, get_args

from pydantic import Field

from ctxeng.errors import ConfigError
from ctxeng.types import Role, Tool, Trust, Value
from ctxeng.types.base import Level

LEVELS: Final[tuple[Trust, ...]] = get_args(Level)
"""Most believed first."""
_RANK: Mapping[str, int] = {level: rank for rank, level in enumerate(LEVELS)}

SPELLED = 60
"""Characters of a hidden message that a note shows."""

_HIDDEN = (
    "\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f"  # control characters, but for line and page ends
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"  # no width
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_SUSPICIOUS = re.compile(f"[{_HIDDEN}\ud800-\udfff]")
_FLAG = re.compile("\U0001f3f4[\U000e0061-\U000e007a\U000e0030-\U000e0039]{2,6}\U000e007f")
"""Of a region, such as Scotland's: a black flag and letters that are not shown."""
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_JOINERS = "\u200c\u200d"
_SAME_LENGTH = {"\u00ad": "-", "\u200b": " ", "\u2060": " ", "\ufeff": " "}
_KINDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("direction", re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")),
    ("control", re.compile("[\x00-\x1f\x7f-\x9f]")),
    ("broken", re.compile("[\ud800-\udfff]")),
)


def lowest(*levels: Trust) -> Trust:
    """The least believed of them, which is how far a text may be believed that was made from all;
    of none: the least there is.
    """
    return max(levels, key=_rank, default=LEVELS[-1])


def reaches(trust: Trust, wanted: Trust) -> bool:
    """Whether it is believed at least as far as ``wanted``.

    Raises:
        ConfigError: one of them is no level.
    """
    return _rank(trust) <= _rank(wanted)


def _rank(level: Trust) -> int:
    if level not in _RANK:
        raise ConfigError(f"trust {level!r}: is no level; there are {', '.join(LEVELS)}.")
    return _RANK[level]


def is_fenced(trust: Trust) -> bool:
    """Whether a prompt shows such text only between markers: all but ours and the user's."""
    return not reaches(trust, "user")


def clean(text: str, *, same_length: bool = False) -> tuple[str, str]:
    """A text without what a reader does not see, and a note of what that was.

    Taken out are control characters, marks of direction, and characters without a width, but for
    those that scripts and emoji need: joiners between letters that join, a variation selector after
    what it varies, flags of regions. Half characters (lone surrogates) become U+FFFD.

    Args:
        same_length: put a visible character in the place of each, so that ranges in the text stay
            what they are.

    Returns:
        The text and the note; the note is empty where nothing was taken out.

    Source: hidden text as a way to give a model orders, Boucher et al. 2021, arXiv:2106.09898;
    tag characters, Unicode Technical Report 36.
    """
    if _SUSPICIOUS.search(text) is None:
        return text, ""
    flags = [(match.start() + 1, match.end()) for match in _FLAG.finditer(text)]
    made: list[str] = []
    found: list[str] = []
    end = 0
    for match in _SUSPICIOUS.finditer(text):
        at, one = match.start(), match.group()
        made.append(text[end:at])
        end = at + 1
        if any(start <= at < stop for start, stop in flags) or _is_needed(text, at):
            made.append(one)
            continue
        found.append(one)
        if same_length or "\ud800" <= one <= "\udfff":
            made.append(_SAME_LENGTH.get(one, "\ufffd"))
    made.append(text[end:])
    return "".join(made), _note(found)


def _is_needed(text: str, at: int) -> bool:
    """Whether a script or an emoji needs the character there."""
    one, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if not before:
        return False
    if one in _JOINERS:
        return _joins(before) and _joins(after)
    if _SELECTORS.fullmatch(one):
        return unicodedata.category(before)[0] in "LSNP" and before > "\u0022"
    return False


def _joins(one: str) -> bool:
    """A letter or mark of a script beyond Latin, Greek and Cyrillic, or a sign such as an emoji."""
    if not one or one < "\u0590":
        return False
    return unicodedata.category(one)[0] in "LMS" or _SELECTORS.fullmatch(one) is not None


def _note(found: list[str]) -> str:
    if not found:
        return ""
    counts: dict[str, int] = {}
    for one in found:
        kind = next((name for name, pattern in _KINDS if pattern.match(one)), "invisible")
        counts[kind] = counts.get(kind, 0) + 1
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    letters = [chr(ord(c) - 0xE0000) for c in found if "\U000e0020" <= c <= "\U000e007e"]
    hidden = "".join(letters)[:SPELLED]
    spelled = f", which spell {hidden!r}" if hidden else ""
    return f"taken out: {told} characters{spelled}"


_BY_ROLE: Mapping[Role, Trust] = {"system": "user"}


class TrustPolicy(Value):
    """Which trust may reach which section of a prompt and which argument of a tool."""

    sections: dict[str, Trust] = Field(default_factory=dict)
    """By a section's name: the lowest trust that may reach it. Comes before ``roles``."""
    roles: dict[Role, Trust] = Field(default_factory=lambda: dict(_BY_ROLE))
    """By role, for sections that have no line of their own; a role that is missing takes all."""
    arguments: dict[str, Trust] = Field(default_factory=dict)
    """By ``tool.argument`` or ``tool``: the lowest trust that may choose it."""
    side_effects: Trust = "user"
    """The lowest trust that may choose arguments of tools with side effects, where they have no
    line of their own; those of other tools may come from anywhere."""

    def refusal(self, section: str, role: Role, trust: Trust) -> str:
        """Why a text may not reach a section; empty: it may."""
        wanted = self.sections.get(section, self.roles.get(role))
        if wanted is None or reaches(trust, wanted):
            return ""
        return f"trust: {trust} text may not reach {section} (lowest: {wanted})"

    def allows(self, tool: Tool, argument: str, trust: Trust) -> bool:
        """Whether a value that was chosen by text of this trust may be that argument."""
        named = self.arguments.get(f"{tool.name}.{argument}", self.arguments.get(tool.name))
        wanted = named or (self.side_effects if tool.side_effects else None)
        return wanted is None or reaches(trust, wanted)


DEFAULT_POLICY: Final = TrustPolicy()
