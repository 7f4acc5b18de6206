"""Replies that cannot break their form: only tokens that fit a grammar may be chosen.

By llguidance (MIT), which llama.cpp and others use too: docs/decisions/constrained-decoding.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from ctxeng.errors import BackendError
from ctxeng.generation.extras import require
from ctxeng.generation.tool_text import END_CALL, TOOL_CALL, call_schema
from ctxeng.types import GenerationOptions

if TYPE_CHECKING:
    import torch
    from llguidance import LLMatcher, LLTokenizer

    from ctxeng.generation.loaded import LoadedModel

JSON_FORM: Mapping[str, Any] = {
    # Without it a small model may write white space until it is cut off.
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    # What the grammar cannot say is checked when the reply is whole.
    "lenient": True,
}


class Constraint:
    """A grammar and how far a reply has come in it."""

    def __init__(self, matcher: LLMatcher, width: int, ends: frozenset[int]) -> None:
        self._matcher = matcher
        self._width = width
        self._ends = ends

    def fitting(self, scores: torch.Tensor) -> torch.Tensor:
        """The scores with ``-inf`` for what does not fit.

        Raises:
            BackendError: the grammar leads nowhere from here.
        """
        import torch

        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        mask = np.unpackbits(bits, bitorder="little")[: self._width].astype(bool)
        if self._matcher.is_error() or not mask.any():
            raise BackendError(
                f"constrained decoding stopped: {self._matcher.get_error() or 'no token fits'}",
                kind="bad_reply",
            )
        allowed = torch.from_numpy(mask).to(scores.device)
        return scores.masked_fill(~allowed, float("-inf"))

    def take(self, token: int) -> None:
        if token not in self._ends:
            self._matcher.consume_token(token)

    @property
    def over(self) -> bool:
        """Nothing more can follow."""
        return bool(self._matcher.is_stopped())


_tokenizers: WeakKeyDictionary[LoadedModel, LLTokenizer] = WeakKeyDictionary()


def constraint_of(loaded: LoadedModel, options: GenerationOptions) -> Constraint | None:
    """The grammar that these options ask for; None: the reply is free.

    Raises:
        BackendError: a schema cannot be made a grammar.
        ConfigError: the extra ``local`` is not installed.
    """
    grammar = _grammar(loaded, options)
    if grammar is None:
        return None
    require("llguidance", "local")
    from llguidance import LLMatcher

    fault = LLMatcher.validate_grammar(grammar, _tokenizer(loaded))
    if fault and not fault.startswith("WARNING"):
        raise BackendError(
            f"the schema cannot be held to while decoding: {' '.join(fault.split())[:300]}",
            kind="bad_request",
        )
    return Constraint(
        LLMatcher(_tokenizer(loaded), grammar, log_level=0), loaded.width, loaded.ends
    )


def _grammar(loaded: LoadedModel, options: GenerationOptions) -> str | None:
    if options.tools and options.tool_choice != "none":
        return _tools_grammar(loaded, options)
    if options.json_schema is not None:
        return json_grammar(options.json_schema)
    return None


def json_grammar(schema: Mapping[str, Any]) -> str:
    from llguidance import LLMatcher

    form: Any = dict(JSON_FORM)
    return str(LLMatcher.grammar_from_json_schema(dict(schema), overrides=form))


def _tools_grammar(loaded: LoadedModel, options: GenerationOptions) -> str:
    """Free text until a call begins, and then a call that holds to its tool's schema; or the call
    alone, where one is required.
    """
    from llguidance import StructTag

    special = {str(t) for t in loaded.tokenizer.added_tokens_decoder.values()}
    call = {**call_schema(options.tools), "x-guidance": dict(JSON_FORM)}
    if options.tool_choice == "auto":
        tag = StructTag(trigger=TOOL_CALL, begin=TOOL_CALL, grammar=call, end=END_CALL)
        return str(StructTag.to_grammar([tag], assume_special=TOOL_CALL in special))
    begin = TOOL_CALL if TOOL_CALL in special else json.dumps(TOOL_CALL)
    end = END_CALL if END_CALL in special else json.dumps(END_CALL)
    return f"%llguidance {{}}\nstart: {begin} call {end}\ncall: %json {json.dumps(call)}\n"


def _tokenizer(loaded: LoadedModel) -> LLTokenizer:
    """Made once for each model; takes up to a second."""
    made = _tokenizers.get(loaded)
    if made is None:
        from llguidance import LLTokenizer

        backend: Any = loaded.tokenizer
        made = LLTokenizer(
            backend.backend_tokenizer.to_str(),
            n_vocab=loaded.width,
            eos_token=sorted(loaded.ends) or None,
        )
        _tokenizers[loaded] = made
    return made
