"""Every token counter keeps the laws of the TokenCounter contract."""

import importlib.util
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from ctxeng.testing.token_counters import TOKEN_COUNTER_LAWS, counts_as
from ctxeng.text.tokens import PackagedTokenCounter


@pytest.mark.parametrize("law", TOKEN_COUNTER_LAWS, ids=lambda law: law.__name__)
def test_laws_hold(law):
    law(PackagedTokenCounter())


def test_it_counts_as_the_tokenizer_that_it_names():
    (folder,) = importlib.util.find_spec("wordllama").submodule_search_locations
    file = Path(folder) / "tokenizers" / "l2_supercat_tokenizer_config.json"
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    counts_as(
        PackagedTokenCounter(), lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    )
