"""What every value is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, JsonValue, ValidationInfo

Level = Literal["system", "user", "memory", "document", "tool", "web"]


def level_of(stored: object) -> object:
    """A level as it was stored: loaded documents were ``untrusted`` once."""
    return "document" if stored == "untrusted" else stored


def _read_level(value: object, info: ValidationInfo) -> object:
    return level_of(value) if info.mode == "json" else value


Trust = Annotated[Level, BeforeValidator(_read_level)]
"""How far a text may be believed, most first: ours, the caller's, what was remembered of the
caller, what the caller had indexed, a tool's result, a page of the web or of anybody. Only the
first two are ever read as more than data."""

Transformation = Literal["verbatim", "template", "selected", "summarised", "resolved"]
"""What was done to a text: nothing; it is ours, such as a heading or a marker; sentences of it were
chosen; it was put in other words; its pronouns were replaced by names."""

TextFormat = Literal["plain", "markdown", "code", "table"]
"""How the text of a document is to be read and cut."""

Role = Literal["system", "user", "assistant", "tool"]

SearchMode = Literal["lexical", "dense", "hybrid"]

Metadata = dict[str, JsonValue]

Filter = Mapping[str, str | int | float | bool | list[str] | list[int]]
"""Keys: ``uri``, ``title``, ``media_type``, ``document_id`` or a metadata key. A list: any of."""


def as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def whole(value: object) -> object:
    """Lone surrogates, which JSON can carry, are no text: each becomes U+FFFD. Nothing can write
    them as UTF-8: no database, no index, no tokenizer.
    """
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in value)
    elif isinstance(value, dict):
        return {whole(key): whole(one) for key, one in value.items()}
    elif isinstance(value, list | tuple):
        return type(value)(whole(one) for one in value)
    return value


def _refuse_surrogates(value: object) -> object:
    """For keys: two of them must not become one."""
    if whole(value) != value:
        raise ValueError("holds a lone surrogate, which is no text: choose another")
    return value


Text = Annotated[str, BeforeValidator(whole)]

Key = Annotated[str, BeforeValidator(_refuse_surrogates)]

Strings = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]
"""A tuple of strings that also takes a list, which is what JSON and callers hand in."""


class Value(BaseModel):
    """Base of every value: frozen, strict, closed."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


def sha256(text: str | bytes) -> str:
    """Hex digest. Lone surrogates, which JSON can carry, are hashed as they are."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return hashlib.sha256(data).hexdigest()
