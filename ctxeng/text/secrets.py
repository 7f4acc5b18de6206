"""Takes out of a text what looks like a key, and keys that are known."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

REDACTED = "[redacted]"
SHORTEST = 8
"""Characters; a known value that is shorter would be found in any text."""

_BEFORE = r"(?<![\w-])"
# How a key begins, which is quickly looked for, and the form that its issuer gives it.
_FORMS: Sequence[tuple[str, re.Pattern[str]]] = tuple(
    (start, re.compile(form))
    for start, form in (
        ("sk-", _BEFORE + r"sk-[A-Za-z0-9_-]{16,}"),  # OpenAI, Anthropic and who follows them
        *((f"{k}_", _BEFORE + rf"{k}_(?:live|test)_[A-Za-z0-9]{{10,}}") for k in ("sk", "rk")),
        *((f"gh{kind}_", _BEFORE + rf"gh{kind}_[A-Za-z0-9]{{20,}}") for kind in "oprsu"),
        ("github_pat_", _BEFORE + r"github_pat_[A-Za-z0-9_]{20,}"),
        ("glpat-", _BEFORE + r"glpat-[A-Za-z0-9_-]{20,}"),
        ("hf_", _BEFORE + r"hf_[A-Za-z0-9]{20,}"),
        ("xox", _BEFORE + r"xox[abeprs]-[A-Za-z0-9-]{10,}"),  # Slack
        ("AKIA", _BEFORE + r"AKIA[0-9A-Z]{16}"),  # AWS
        ("ASIA", _BEFORE + r"ASIA[0-9A-Z]{16}"),
        ("AIza", _BEFORE + r"AIza[0-9A-Za-z_-]{35}"),  # Google
        ("npm_", _BEFORE + r"npm_[A-Za-z0-9]{36}"),
        ("pypi-", _BEFORE + r"pypi-[A-Za-z0-9_-]{16,}"),
        ("SK", _BEFORE + r"SK[0-9a-f]{32}(?![\w-])"),  # Twilio
        ("SG.", _BEFORE + r"SG\.[\w-]{16,}\.[\w-]{16,}"),  # SendGrid
        ("eyJ", _BEFORE + r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),  # a JSON Web Token
        ("earer ", r"""(?<=[Bb]earer )(?=[^\s"'\\]*\d)[A-Za-z0-9._~+/-]{8,}=*"""),
        ("asic ", r"""(?<=: [Bb]asic )[A-Za-z0-9+/]{8,}={0,2}"""),  # Authorization: Basic …
        # user:password@ and token@ of a URL
        ("://", r"""(?<=://)[^\s/:@"'\\]{0,128}:[^\s/@"'\\]{1,256}(?=@)"""),
        ("://", r"(?<=://)[\w-]{20,}(?=@)"),
        (
            "PRIVATE KEY",
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]{16,16384}?-----END [A-Z ]*PRIVATE KEY-----",
        ),
    )
)
# password = …, "api_key": "…", ?token=…: a value of letters and figures behind a name for one.
_NAMED = ("password", "passwd", "secret", "token", "key")
_BEHIND = frozenset("=:\"'\\ \t\n\r")
_ASSIGNED = re.compile(
    r"""((?:passw(?:or)?d|secret|token|(?:api|access|account|secret|auth|private)[_-]?key)"""
    r"""(?:\\?["'])?\s*[:=]\s*)(?:(\\?["'])(?=[^"'\s]*\d)[^"'\s\\]{8,256}\2"""
    r"""|(?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Za-z])[\w+/=-]{8,256}(?![\w+/=(.\[{-]))""",
    re.I,
)
_NAMES = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.I)


_read: set[str] = set()


def remember_key(value: str) -> None:
    """A key was read: it is to be in no record, wherever it came from."""
    if len(value) >= SHORTEST:
        _read.add(value)


def remembered_keys() -> frozenset[str]:
    """All keys that this process has read."""
    return frozenset(_read)


class Redactor:
    """Replaces keys by ``[redacted]``: those that look like one, and the values it is given."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        """``known``: values of keys; also found as JSON or a URL would write them."""
        forms = {
            form
            for value in known
            if len(value) >= SHORTEST
            for form in (value, json.dumps(value)[1:-1], quote(value, safe=""))
        }
        self._known = sorted(forms, key=lambda form: (-len(form), form))

    def redact(self, text: str) -> tuple[str, int]:
        """The text without keys, and how many there were."""
        count = 0
        for known in self._known:  # the longest first: it may hold another
            if known in text:
                count += text.count(known)
                text = text.replace(known, REDACTED)
        for start, form in _FORMS:
            if start in text:
                text, more = form.subn(REDACTED, text)
                count += more
        if _may_assign(text.lower()):
            text, more = _ASSIGNED.subn(rf"\g<1>\g<2>{REDACTED}\g<2>", text)
            count += more
        return text, count


def _may_assign(lowered: str) -> bool:
    """Whether a value may stand behind a name for a key: much faster told than it is looked for."""
    for name in _NAMED:
        at = lowered.find(name)
        while at >= 0:
            end = at + len(name)
            if lowered[end : end + 1] in _BEHIND:
                return True
            at = lowered.find(name, end)
    return False


def keys_in(environment: Mapping[str, str], named: Iterable[str] = ()) -> set[str]:
    """Values of the variables that hold keys: those that are named, and those whose name ends in
    ``KEY``, ``TOKEN``, ``SECRET``, ``PASSWORD`` or ``CREDENTIALS``.
    """
    names = set(named)
    return {
        value.strip()
        for name, value in environment.items()
        if (name in names or _NAMES.search(name)) and len(value.strip()) >= SHORTEST
    }
