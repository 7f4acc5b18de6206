"""ctxeng decides what a model sees, and proves where it came from.

    from ctxeng import Document, Engine

    with Engine.open(":memory:") as engine:
        engine.index([Document(id="1", text="Parental leave is 20 weeks, fully paid.")])
        print(engine.ask("How long is parental leave?").text)

The rooms, in the one order in which they may import each other:

    types errors protocols settings    the words, the errors, the contracts, the settings
    text trace store                   terms, tokens · the recorder · the system of record
    generation                         writes replies: quotes, local models, servers
    -- the way of a document
    embedding loading chunking         bytes → documents → chunks → vectors
    indexing                           BM25 and vectors, derived from the store and disposable
    -- the way of a question
    retrieval                          both indexes asked at once, fused
    grounding context                  can the sources answer? · what the model will see
    engine                             the two ways, top to bottom, and the verbs
    testing cli                        contract suites for plugin authors · the command line
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctxeng.chunking import chunk
    from ctxeng.engine import Engine
    from ctxeng.engine.model import open_model
    from ctxeng.errors import (
        BackendError,
        BudgetError,
        ConfigError,
        CtxengError,
        EvaluationError,
        LoadError,
        SkippedError,
        ToolError,
        WorkspaceBusyError,
        WorkspaceError,
    )
    from ctxeng.loading import load
    from ctxeng.settings import Settings, load_settings
    from ctxeng.types import (
        Answer,
        Chunk,
        Citation,
        Claim,
        Context,
        Document,
        GenerationOptions,
        Hit,
        Image,
        IndexReport,
        Message,
        Query,
        Reply,
        Scope,
        Segment,
        Source,
        Span,
        Tool,
        ToolCall,
    )

_HOMES = {
    "chunk": "ctxeng.chunking",
    "Engine": "ctxeng.engine",
    "open_model": "ctxeng.engine.model",
    "load": "ctxeng.loading",
    "Settings": "ctxeng.settings",
    "load_settings": "ctxeng.settings",
    **dict.fromkeys(
        (
            "BackendError",
            "BudgetError",
            "ConfigError",
            "CtxengError",
            "EvaluationError",
            "LoadError",
            "SkippedError",
            "ToolError",
            "WorkspaceBusyError",
            "WorkspaceError",
        ),
        "ctxeng.errors",
    ),
    **dict.fromkeys(
        (
            "Answer",
            "Chunk",
            "Citation",
            "Claim",
            "Context",
            "Document",
            "GenerationOptions",
            "Hit",
            "Image",
            "IndexReport",
            "Message",
            "Query",
            "Reply",
            "Scope",
            "Segment",
            "Source",
            "Span",
            "Tool",
            "ToolCall",
        ),
        "ctxeng.types",
    ),
}


def __getattr__(name: str) -> object:
    """Public names are imported when they are first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ctxeng' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "Answer",
    "BackendError",
    "BudgetError",
    "Chunk",
    "Citation",
    "Claim",
    "ConfigError",
    "Context",
    "CtxengError",
    "Document",
    "Engine",
    "EvaluationError",
    "GenerationOptions",
    "Hit",
    "Image",
    "IndexReport",
    "LoadError",
    "Message",
    "Query",
    "Reply",
    "Scope",
    "Segment",
    "Settings",
    "SkippedError",
    "Source",
    "Span",
    "Tool",
    "ToolCall",
    "ToolError",
    "WorkspaceBusyError",
    "WorkspaceError",
    "chunk",
    "load",
    "load_settings",
    "open_model",
]
