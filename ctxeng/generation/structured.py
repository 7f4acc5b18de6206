"""Replies as values: a pydantic model or JSON schema in, a value that holds to it out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.holding import why_not
from ctxeng.generation.metered import Metered
from ctxeng.generation.reply import collect
from ctxeng.protocols import Generator
from ctxeng.trace import stage
from ctxeng.types import GenerationOptions, Message, Metadata, Reply

TRIES = 3
SHOWN = 4_000
"""Characters of an unusable reply that the trace keeps."""

# Version 1.
REPAIR_PROMPT = (
    "That reply cannot be used: {why}\nReply again, with the JSON only, and nothing before or "
    "after it."
)

Schema = type[BaseModel] | Mapping[str, object]
M = TypeVar("M", bound=BaseModel)


def schema_of(schema: Schema) -> Metadata:
    """The JSON schema of a pydantic model; a JSON schema as it is.

    Raises:
        ConfigError: it is no JSON schema, or the model has none.
    """
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        try:
            return schema.model_json_schema()
        except Exception as error:  # pydantic has no one error for what cannot be said in JSON
            raise ConfigError(f"{schema.__name__}: has no JSON schema: {error}") from error
    try:
        made: Metadata = TypeAdapter(Metadata).validate_python(dict(schema), strict=True)
    except (ValidationError, TypeError, ValueError) as error:
        raise ConfigError(
            f"schema: a pydantic model or a JSON schema is wanted, not {schema!r}."
        ) from error
    import jsonschema

    validator = jsonschema.validators.validator_for(made, jsonschema.Draft202012Validator)
    try:
        validator.check_schema(made)
    except jsonschema.SchemaError as error:
        raise ConfigError(f"schema: {error.json_path}: {error.message}.") from error
    return made


async def structured(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerationOptions,
    schema: Schema,
    *,
    tries: int = TRIES,
) -> Reply:
    """A reply whose ``value`` holds to the schema, and to the pydantic model's own validators.

    What cannot be used is shown to the model again with what is wrong, at most ``tries`` replies in
    all. Usage is the sum of what they report; the trace keeps each text that could not be used.

    Raises:
        BackendError: of kind ``bad_reply``, with the last raw text: no reply could be used. All
            other kinds as the backend raises them.
        ConfigError: the schema is none.
    """
    wanted = schema_of(schema)
    options = GenerationOptions(**{**dict(options), "json_schema": wanted})
    asked = list(messages)
    metered = Metered(generator)
    why = text = ""
    for number in range(1, max(1, tries) + 1):
        reply, text, why = await _try(metered, asked, options, schema, wanted)
        with stage("generate.structured") as facts:
            facts["try"], facts["why"], facts["text"] = number, why, text[:SHOWN] if why else ""
        if reply is not None and not why:
            return Reply(**{**dict(reply), "usage": metered.usage})
        asked = [
            *messages,
            Message(role="assistant", content=text or "(nothing)"),
            Message(role="user", content=REPAIR_PROMPT.format(why=why)),
        ]
    raise BackendError(
        f"{generator.name}: none of {max(1, tries)} replies holds to the schema; the last one: "
        f"{why.rstrip(' .')}. Ask for less at once, raise max_tokens, or take a stronger model.",
        kind="bad_reply",
        text=text,
        usage=metered.usage,
    )


def as_model(reply: Reply, model: type[M]) -> M:
    """The reply's value as the pydantic model that was asked for.

    Raises:
        BackendError: of kind ``bad_reply``: it is not such a value.
    """
    try:
        return model.model_validate_json(json.dumps(reply.value))
    except ValidationError as error:
        raise BackendError(
            f"{reply.model}: the reply is no {model.__name__}: {_told(error)}",
            kind="bad_reply",
            text=reply.text,
        ) from error


async def _try(
    generator: Generator,
    messages: Sequence[Message],
    options: GenerationOptions,
    schema: Schema,
    wanted: Metadata,
) -> tuple[Reply | None, str, str]:
    """The reply where there is one, its text, and why it cannot be used (empty: it can)."""
    try:
        stream = generator.stream(messages, options)
        reply = await collect(stream, options, model=generator.name)
    except BackendError as error:
        if error.kind != "bad_reply":
            raise
        return None, error.text, error.why or str(error)
    if reply.tool_calls:
        return reply, reply.text, ""  # a model that may call tools may ask for one first
    return reply, reply.text, why_not(reply.value, wanted) or _why_no_model(reply, schema)


def _why_no_model(reply: Reply, schema: Schema) -> str:
    """What the model's validators say; a JSON schema cannot say everything that they check."""
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return ""
    try:
        schema.model_validate_json(json.dumps(reply.value))
    except ValidationError as error:
        return _told(error)
    return ""


def _told(error: ValidationError) -> str:
    faults: Sequence[Any] = error.errors(include_url=False, include_input=False)
    return " ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'the value'}: {fault['msg']}."
        for fault in faults[:3]
    )


__all__ = ["Schema", "as_model", "schema_of", "structured"]
