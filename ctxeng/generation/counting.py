"""Counts tokens of a model whose tokenizer is not at hand."""

from __future__ import annotations

import math
from collections import deque

from ctxeng.text.tokens import PackagedTokenCounter

MARGIN = 0.3
"""Until a server has reported anything. Vocabularies are larger than the packaged one, so that
English and code come out too high; scripts that the packaged one spells byte by byte, far more so.
"""
LEAST_MARGIN = 0.02
REMEMBERED = 20
"""Reports that ratio and margin rest on."""
SMALLEST = 20
"""Prompts below it are mostly what the server puts around them."""
PLAUSIBLE = (0.5, 3.0)
"""Reports outside are not of this text: a server cut the prompt, or did not count what it kept; or
they are of a script that the packaged vocabulary spells byte by byte, and say nothing of others."""
LEAST = 0.7
"""No ratio is less: too many counted leaves room, too few overrun the window. The vocabularies of
GPT-4, GPT-4o, Claude and DeepSeek have 0.80 of the packaged one's tokens in English, 0.79 to 0.86
in Python, 0.70 to 0.72 in JSON, and 0.55 in columns of numbers, which say nothing of a text."""
_EVERY = 32
"""Learns from the first reports, then from one in so many: counting costs time as well."""


class ApproximateCounter:
    """The packaged tokenizer's count times a ratio learnt from the prompt sizes that the server
    reports. ``margin`` is the largest relative error of the remembered reports.
    """

    def __init__(self) -> None:
        self._base = PackagedTokenCounter()
        self._reports: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._calls = 0
        self.ratio = 1.0
        self.margin = MARGIN

    @property
    def name(self) -> str:
        return f"{self._base.name} × {self.ratio:.2f}, approximate ± {self.margin:.0%}"

    def count(self, text: str) -> int:
        return math.ceil(self._base.count(text) * self.ratio) if text else 0

    def wants_report(self) -> bool:
        """Whether ``learn`` would learn from the next reply; called once for each."""
        self._calls += 1
        return self._calls <= REMEMBERED // 2 or self._calls % _EVERY == 0

    def learn(self, text: str, reported: int) -> None:
        """The server counted ``reported`` tokens for this whole prompt."""
        counted = self._base.count(text)
        if counted < SMALLEST or not PLAUSIBLE[0] <= reported / counted <= PLAUSIBLE[1]:
            return
        self._reports.append((counted, reported))
        self.ratio = max(LEAST, sum(r for _, r in self._reports) / sum(c for c, _ in self._reports))
        errors = [abs(r / (c * self.ratio) - 1) for c, r in self._reports]
        self.margin = max(LEAST_MARGIN, *errors) if len(errors) > 1 else MARGIN
