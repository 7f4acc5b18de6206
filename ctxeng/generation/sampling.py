"""The next token, from the model's scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctxeng.types import GenerationOptions

if TYPE_CHECKING:
    import torch


class Sampler:
    """Greedy at temperature 0, else by probability among the most likely tokens (nucleus).

    With a seed the draws are the same each time, on every device: they are made on the CPU.

    Source: Holtzman et al. 2020, arXiv:1904.09751.
    """

    def __init__(self, options: GenerationOptions) -> None:
        import torch

        self._temperature = options.temperature
        self._top_p = options.top_p
        self._random = torch.Generator()
        if options.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(options.seed)

    def choose(self, scores: torch.Tensor) -> int:
        """``scores``: shape (vocabulary,), unbounded; ``-inf`` is never chosen."""
        import torch

        if self._temperature == 0:
            return int(scores.argmax())
        # In double precision no temperature, however small, makes a sum of infinite parts.
        wanted = scores.double().cpu()
        probabilities = torch.softmax((wanted - wanted.max()) / self._temperature, dim=-1)
        if self._top_p < 1:
            ordered, places = probabilities.sort(descending=True)
            before = ordered.cumsum(-1) - ordered
            ordered[before >= self._top_p] = 0  # the first one always stays
            probabilities = torch.zeros_like(probabilities).scatter(0, places, ordered)
        return int(torch.multinomial(probabilities, 1, generator=self._random))
