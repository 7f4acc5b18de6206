"""The words by which a sentence says the opposite of another one with the same terms."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_NEGATIONS = frozenset(
    """no not none never neither nor nobody nothing nowhere without cannot except unless
    nicht nichts nie niemals kein keine keinem keinen keiner keines ohne weder
    ne pas jamais sans aucun aucune rien ni nunca sin jamás ningún ninguna nada
    non mai senza nessun nessuno nessuna não nem sem nenhum nenhuma""".split()  # noqa: SIM905
)
_SIGNS = re.compile(r"[不没無无未非別别]|ない|ません|नहीं|ไม่|[<>≤≥≠]")


def negations(text: str) -> frozenset[str]:
    """Which of them a text has, in the languages that many workspaces hold."""
    words = {word.replace("’", "'") for word in _WORD.findall(text.casefold())}
    found = {word for word in words if word in _NEGATIONS or word.endswith("n't")}
    return frozenset(found | set(_SIGNS.findall(text)))
