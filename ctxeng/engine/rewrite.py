"""What is searched for in the place of a question that was asked in a conversation."""

from __future__ import annotations

from collections.abc import Sequence

from ctxeng.engine.wiring import Parts
from ctxeng.trace import Recorder, stage
from ctxeng.types import Message, Query, Usage

ASKED = "rewrite.asked"
"""The stage in which a model is asked."""


async def rewritten(parts: Parts, asked: Query, history: Sequence[Message]) -> list[Query]:
    """Which questions are searched for; the first of them is answered. Who rewrites chooses the
    words, not whose content is searched.
    """
    if not history:
        return [asked]
    with stage("rewrite") as facts:
        rewriter = parts.rewrites()
        made = await rewriter.rewrite(asked, history) or [asked]
        facts["texts"], facts["by"] = [query.text for query in made], made[0].made_by
    bounds = {"filter": asked.filter, "scope": asked.scope}
    return [
        query.model_copy(update={**bounds, "made_by": query.made_by or rewriter.name})
        for query in made
    ]


def why_not(recorder: Recorder) -> str:
    """Why a model's words were not used; empty where they were, or none was asked."""
    return "".join(str(one["failed"]) for one in recorder.stages if one["stage"] == ASKED)


def taken(recorder: Recorder) -> Usage:
    """What rewriting took."""
    used = Usage()
    for one in recorder.stages:
        if one["stage"] == ASKED:
            seconds = Usage.model_validate({"seconds": one["seconds"]})
            used = used + Usage.model_validate(one["usage"]) + seconds
    return used
