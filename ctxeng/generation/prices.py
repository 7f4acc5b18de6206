"""Prices (US dollars for a million tokens) and context windows, where a vendor publishes them.

Prices change: ``prices`` in a model's table overrules this one. Of models whose price depends on
the length of the prompt, that of the shorter ones is given.

Source: model_prices_and_context_window of litellm 1.109.1 (November 2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CACHE_WRITE = 1.25
"""What a prompt token that is put into the cache costs, in fresh ones, where writing is charged."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    prompt: float
    cached: float
    completion: float
    window: int
    charges_writing: bool = False
    """To its cache, at ``CACHE_WRITE`` times ``prompt``."""

    @property
    def cache_write(self) -> float | None:
        return self.prompt * CACHE_WRITE if self.charges_writing else None


KNOWN: Mapping[str, Mapping[str, KnownModel]] = {
    "openai": {
        "gpt-4.1": KnownModel(2, 0.5, 8, 1_047_576),
        "gpt-4.1-mini": KnownModel(0.4, 0.1, 1.6, 1_047_576),
        "gpt-4.1-nano": KnownModel(0.1, 0.025, 0.4, 1_047_576),
        "gpt-4o": KnownModel(2.5, 1.25, 10, 128_000),
        "gpt-4o-mini": KnownModel(0.15, 0.075, 0.6, 128_000),
        "gpt-5": KnownModel(1.25, 0.125, 10, 272_000),
        "gpt-5-mini": KnownModel(0.25, 0.025, 2, 272_000),
        "gpt-5-nano": KnownModel(0.05, 0.005, 0.4, 272_000),
        "gpt-5.1": KnownModel(1.25, 0.125, 10, 272_000),
        "gpt-5.2": KnownModel(1.75, 0.175, 14, 272_000),
        "gpt-5.4": KnownModel(2.5, 0.25, 15, 1_050_000),
        "gpt-5.4-mini": KnownModel(0.75, 0.075, 4.5, 272_000),
        "gpt-5.4-nano": KnownModel(0.2, 0.02, 1.25, 272_000),
        "gpt-5.5": KnownModel(5, 0.5, 30, 1_050_000),
        "gpt-5.6-luna": KnownModel(0.2, 0.02, 1.2, 922_000, charges_writing=True),
        "gpt-5.6-sol": KnownModel(4, 0.4, 20, 922_000, charges_writing=True),
        "gpt-5.6-terra": KnownModel(2, 0.2, 12, 922_000, charges_writing=True),
        "gpt-6-astra": KnownModel(10, 1, 50, 922_000, charges_writing=True),
        "gpt-6-luna": KnownModel(0.1, 0.01, 0.5, 922_000, charges_writing=True),
        "gpt-6-sol": KnownModel(2, 0.2, 10, 922_000, charges_writing=True),
        "gpt-6.1-sol": KnownModel(2, 0.1, 10, 922_000, charges_writing=True),
        "gpt-6.1-terra": KnownModel(1, 0.05, 5, 922_000, charges_writing=True),
        "o3": KnownModel(2, 0.5, 8, 200_000),
        "o4-mini": KnownModel(1.1, 0.275, 4.4, 200_000),
    },
    "anthropic": {
        "claude-haiku-4-5": KnownModel(1, 0.1, 5, 200_000, charges_writing=True),
        "claude-haiku-5-5": KnownModel(0.1, 0.01, 0.5, 1_000_000, charges_writing=True),
        "claude-opus-4-5": KnownModel(5, 0.5, 25, 200_000, charges_writing=True),
        "claude-opus-4-6": KnownModel(5, 0.5, 25, 1_000_000, charges_writing=True),
        "claude-opus-4-7": KnownModel(5, 0.5, 25, 1_000_000, charges_writing=True),
        "claude-opus-4-8": KnownModel(5, 0.5, 25, 1_000_000, charges_writing=True),
        "claude-opus-5": KnownModel(5, 0.5, 25, 1_000_000, charges_writing=True),
        "claude-opus-5-5": KnownModel(4, 0.2, 20, 1_000_000, charges_writing=True),
        "claude-sonnet-4-5": KnownModel(3, 0.3, 15, 200_000, charges_writing=True),
        "claude-sonnet-4-6": KnownModel(3, 0.3, 15, 1_000_000, charges_writing=True),
        "claude-sonnet-5": KnownModel(2, 0.2, 10, 1_000_000, charges_writing=True),
        "claude-sonnet-5-5": KnownModel(2, 0.1, 10, 1_000_000, charges_writing=True),
    },
    "deepseek": {
        "deepseek-flash": KnownModel(0.3, 0.006, 1.2, 1_000_000),
        "deepseek-v4-flash": KnownModel(0.3, 0.006, 1.2, 1_000_000),
        "deepseek-v4-pro": KnownModel(1.32, 0.044, 3.96, 1_000_000),
    },
    "mistral": {
        "codestral": KnownModel(0.3, 0.03, 0.9, 128_000),
        "ministral-14b": KnownModel(0.2, 0.02, 0.2, 262_144),
        "ministral-3b": KnownModel(0.1, 0.01, 0.1, 131_072),
        "ministral-8b": KnownModel(0.15, 0.015, 0.15, 262_144),
        "mistral-large": KnownModel(0.5, 0.05, 1.5, 262_144),
        "mistral-large-4": KnownModel(1.36, 0.14, 4.18, 1_048_576),
        "mistral-medium": KnownModel(1.5, 0.15, 7.5, 262_144),
        "mistral-small": KnownModel(0.15, 0.015, 0.6, 262_144),
    },
}
