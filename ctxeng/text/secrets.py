"""Takes out of a text what looks like a key, and keys that are known."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

REDACTED = "[redacted]"
SHORTEST = 8
"""Characters; a known value that is shorter would be found in any text."""

# Of the form that issuers give to keys, so that nothing else is taken for one.
_KEYS = r"""
    (?<![\w-])(?:
        sk-[A-Za-z0-9_-]{16,}                      # OpenAI, Anthropic and who follows them
      | (?:gh[oprsu]|github_pat)_[A-Za-z0-9_]{20,}
      | glpat-[A-Za-z0-9_-]{20,}
      | hf_[A-Za-z0-9]{20,}
      | xox[abeprs]-[A-Za-z0-9-]{10,}              # Slack
      | (?:AKIA|ASIA)[0-9A-Z]{16}                  # AWS
      | AIza[0-9A-Za-z_-]{35}                      # Google
      | eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}      # a JSON Web Token
    )
"""
_PATTERN = re.compile(
    rf"""
    {_KEYS}
    | (?<=Bearer[ ])(?=[^\s"'\\]*\d)[A-Za-z0-9._~+/-]{{8,}}=*
    | (?<=://)[^\s/:@"'\\]{{1,128}}:[^\s/@"'\\]{{1,256}}(?=@)     # user:password@ of a URL
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----[\s\S]{{16,16384}}?-----END[ ][A-Z ]*PRIVATE[ ]KEY-----
    """,
    re.X,
)
_NAMES = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.I)


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
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def redact(self, text: str) -> tuple[str, int]:
        """The text without keys, and how many there were."""
        count = 0
        if self._known is not None:
            text, count = self._known.subn(REDACTED, text)
        text, more = _PATTERN.subn(REDACTED, text)
        return text, count + more


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
