"""Counts what a model counts."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ctxeng.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_FILE = "tokenizers/l2_supercat_tokenizer_config.json"


class PackagedTokenCounter:
    """The Llama 2 tokenizer (32,000 pieces) that comes inside the ``wordllama`` wheel.

    Models with larger vocabularies need fewer tokens for the same text, so a budget kept by this
    count is kept by theirs.
    """

    name = "llama-2 (wordllama)"

    def count(self, text: str) -> int:
        return self.count_batch([text])[0]

    def count_batch(self, texts: Sequence[str]) -> list[int]:
        """One count per text; no special tokens are added."""
        encodable = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        encodings = _tokenizer().encode_batch_fast(encodable, add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]


@cache
def _tokenizer() -> Tokenizer:
    from tokenizers import Tokenizer

    package = importlib.util.find_spec("wordllama")
    if package is None or not package.submodule_search_locations:
        raise ConfigError(
            "the package wordllama, which carries the tokenizer, is not installed: "
            "run `pip install ctxeng` again."
        )
    tokenizer = Tokenizer.from_file(str(Path(package.submodule_search_locations[0]) / _FILE))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
