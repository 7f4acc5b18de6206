"""Keys and values of prompts that have been read, kept for prompts that begin alike."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import DynamicCache, PretrainedConfig

KEPT = 2
"""A chat's, and one of the steps beside it (rewriting, judging), which would push it out."""
KEPT_BYTES = 512_000_000
"""The newest one is kept however large it is."""


@dataclass(slots=True)
class Read:
    """What a model has read: the tokens, and its keys and values of them."""

    adapter: str
    cache: DynamicCache
    ids: list[int] = field(default_factory=list)


class PrefixStore:
    """Lends each cache to one reply at a time: the one whose beginning fits best, cut back to the
    tokens that are the same.
    """

    def __init__(self, config: PretrainedConfig) -> None:
        self._config = config
        self._kept: list[Read] = []
        self._turn = threading.Lock()

    def take(self, ids: Sequence[int], adapter: str = "") -> Read:
        """A cache of the longest known prefix of ``ids``, never of all of them: the last token has
        to be read for what comes next. It is empty where nothing fits.
        """
        with self._turn:
            same = [
                common_prefix(one.ids, ids) if one.adapter == adapter else 0 for one in self._kept
            ]
            at = max(range(len(same)), key=lambda i: same[i], default=0)
            size = min(same[at], len(ids) - 1) if same else 0
            if not size:
                return Read(adapter, self._empty())
            if 2 * size < len(self._kept[at].ids):
                return self._copy(self._kept[at], size)  # the rest is of use to its own chat
            read = self._kept.pop(at)
        excess = len(read.ids) - size
        if excess:
            read.cache.crop(-excess)
            del read.ids[size:]
        return read

    def give_back(self, read: Read) -> None:
        """Keep it, and of the others as many as there is room for."""
        if not read.ids or not _croppable(read.cache):
            return
        with self._turn:
            self._kept = [*self._kept, read][-KEPT:]
            while len(self._kept) > 1 and sum(_bytes(one.cache) for one in self._kept) > KEPT_BYTES:
                del self._kept[0]

    def _empty(self) -> DynamicCache:
        from transformers import DynamicCache

        return DynamicCache(config=self._config)

    def _copy(self, read: Read, size: int) -> Read:
        cache = self._empty()
        for at, layer in enumerate(_layers(read.cache)):
            cache.update(layer.keys[..., :size, :], layer.values[..., :size, :], at)
        return Read(read.adapter, cache, read.ids[:size])


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens are the same from the beginning."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(first), len(second)))


def _croppable(cache: DynamicCache) -> bool:
    """Only plain layers can be cut back: sliding windows have forgotten, and recurrent states hold
    all of the past in one.
    """
    from transformers.cache_utils import DynamicLayer

    return all(type(layer) is DynamicLayer for layer in cache.layers)


def _layers(cache: DynamicCache) -> list[Any]:
    """Of a cache that is croppable."""
    return list(cache.layers)


def _bytes(cache: DynamicCache) -> int:
    return sum(int(layer.keys.nbytes + layer.values.nbytes) for layer in _layers(cache))
