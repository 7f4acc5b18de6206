"""Tool calls that have come whole, checked."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import ValidationError

from ctxeng.generation.faults import TryError
from ctxeng.generation.holding import why_not
from ctxeng.types import Tool, ToolCall


def whole_call(id_: str, name: str, arguments: str, tools: Sequence[Tool]) -> ToolCall:
    """The call whose arguments came as this JSON text. A tool that is not among ``tools`` has no
    schema to check them by.

    Raises:
        TryError: the arguments are no JSON object, or do not hold to the tool's schema.
    """
    try:
        value = json.loads(arguments or "{}")
        call = ToolCall(id=id_, name=name, arguments=value)
    except ValidationError:
        raise _broken(name, arguments, "they are no JSON object") from None
    except (ValueError, RecursionError) as error:
        raise _broken(name, arguments, str(error)) from None
    schema = next((tool.parameters for tool in tools if tool.name == name), None)
    why = "" if schema is None else why_not(value, schema)
    if why:
        raise _broken(name, arguments, why)
    return call


def _broken(name: str, arguments: str, why: str) -> TryError:
    return TryError(
        "bad_reply",
        f"the arguments of a call of {name or 'no tool'} are broken: {why}",
        advice="Ask again, or raise max_tokens where they are cut off.",
        verdict=True,
        text=f"{name}({arguments})",
    )
