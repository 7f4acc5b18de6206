"""Rebuilds the prompt of a run."""

from __future__ import annotations

import json

from ctxeng.errors import WorkspaceError
from ctxeng.trace.record import Trace, damaged
from ctxeng.types import Context, sha256


def replay(trace: Trace) -> Context:
    """The context of a run, rendering to the same bytes, from its record alone.

    Where keys were taken out of the texts when they were recorded (``trace.redacted``), these are
    missing in the bytes too.

    Raises:
        WorkspaceError: the run built no prompt, its record is damaged, or it is of a version of
            ctxeng whose record cannot be rebuilt.
    """
    if trace.format == 1:
        raise WorkspaceError(
            f"trace {trace.id}: was recorded by ctxeng {trace.version}, which kept no texts: it "
            "can be shown, not replayed."
        )
    if trace.context is None:
        why = f" It ended with {trace.error}" if trace.error else ""
        raise WorkspaceError(f"trace {trace.id}: this run built no prompt.{why}")
    try:
        built = Context.model_validate_json(json.dumps(trace.context))
    except ValueError as error:
        raise WorkspaceError(
            f"trace {trace.id}: was recorded by ctxeng {trace.version}, whose contexts had other "
            "fields: replay it with that version."
        ) from error
    if not trace.redacted and sha256(built.render()) != trace.prompt:
        raise damaged(trace.id, "its prompt does not have the hash that was recorded")
    return built
