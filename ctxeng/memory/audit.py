"""Counts what a text states: the atoms by which a loss can be seen.

Written apart from the distiller on purpose: who makes the notes does not also count what they lack.
"""

from __future__ import annotations

import re

_ATOM = re.compile(
    r"""
      (?:https?|ftp|file)://[^\s<>"'`)\]}]+                   # addresses
    | [\w.+-]+@[\w-]+\.[\w.-]*\w                              # mail
    | (?:[A-Za-z]:\\|~?/)?(?:[\w.-]+[/\\])+[\w.-]*\w          # paths
    | \d{4}-\d\d-\d\d(?:T[\d:.]+Z?)?                          # dates
    | \d[\d.,:/-]*\d(?:[A-Za-z_][\w-]*)?%?                    # numbers, times, versions
    | \d[\w%-]*                                               # 7, 5ms, 3rd
    | [A-Za-z][A-Za-z-]*[-_]?\d[\w-]*(?:\.\d+)*               # ids with digits: v2, INV-2211, a1b2
    | [A-Za-z_]\w*_\w+                                        # snake_case
    | [a-z]+[A-Z]\w*                                          # camelCase
    | [A-Z][\w'’]+(?:[ ](?:of|de|van|von|der|la)?[ ]?[A-Z][\w'’]+)+    # names of two words or more
    | (?<=[\w,;][ ])[A-Z][\w'’]+                              # a name inside a sentence
    """,
    re.VERBOSE,
)
_LONGEST = 200
"""Characters; longer runs (base64, minified code) state nothing that a person would ask for."""


def atoms(text: str) -> frozenset[str]:
    """The distinct numbers, dates, times, identifiers, paths, addresses and names of a text, each
    as it is written there. Linear in the length of the text.

    Names are known by their capitals, so of scripts without them only numbers and identifiers are
    counted.
    """
    found = (match.group().rstrip(".,:;/-") for match in _ATOM.finditer(text))
    return frozenset(" ".join(atom.split()) for atom in found if 0 < len(atom) <= _LONGEST)
