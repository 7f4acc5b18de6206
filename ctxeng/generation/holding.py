"""Whether a value holds to a JSON schema."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import JsonValue


def broken_rule(text: str, schema: Mapping[str, JsonValue]) -> str:
    """Why the text is not JSON that holds to the schema; empty: it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"it is no JSON: {error}"
    return why_not(value, schema)


def why_not(value: JsonValue, schema: Mapping[str, JsonValue]) -> str:
    """Why the value does not hold to the schema, in one line; empty: it does.

    Schemas may come from anybody: a reference to another address is not followed.
    """
    import jsonschema
    from jsonschema.exceptions import best_match
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    validator = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    try:
        validator.check_schema(schema)
        error = best_match(validator(schema, registry=Registry()).iter_errors(value))
    except jsonschema.SchemaError as wrong:
        return f"the schema itself is none: {wrong.message}"
    except RecursionError:
        return "it is nested too deeply"
    except Unresolvable as missing:
        return f"the schema refers to what is not in it: {missing.ref}"
    if error is None:
        return ""
    return f"{error.json_path}: {error.message}"
