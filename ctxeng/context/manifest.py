"""Says of every piece why it is in the prompt or not."""

from __future__ import annotations

from pydantic import JsonValue

from ctxeng.types import Context


def manifest(context: Context) -> list[dict[str, JsonValue]]:
    """One row per kept segment, in prompt order, then one per dropped candidate, best first."""
    kept: list[dict[str, JsonValue]] = [
        {
            "kept": True,
            "number": segment.number,
            "section": segment.section,
            "source": segment.source.location if segment.source else "",
            "start": segment.source.span.start if segment.source else None,
            "end": segment.source.span.end if segment.source else None,
            "tokens": segment.tokens,
            "score": segment.scores.get("fused"),
            "trust": segment.trust,
            "transformation": segment.transformation,
            "reason": segment.reason,
        }
        for segment in context.segments
    ]
    dropped: list[dict[str, JsonValue]] = [
        {
            "kept": False,
            "number": None,
            "section": "sources",
            "source": row.source.location,
            "start": row.source.span.start,
            "end": row.source.span.end,
            "tokens": row.tokens,
            "score": row.score,
            "trust": "untrusted",
            "transformation": "verbatim",
            "reason": row.reason,
        }
        for row in context.dropped
    ]
    return kept + dropped
