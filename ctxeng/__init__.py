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
    rewriting                          a question that leans on others stands on its own
    memory                             what is remembered of a text that has left the prompt
    grounding context                  can the sources answer? · what the model will see
    replay                             what the model saw, to the byte, and why it differs
    engine                             the two ways, top to bottom, and the verbs
    testing cli                        contract suites for plugin authors · the command line
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctxeng.chunking import chunk
    from ctxeng.context.compact import Compacted, acompact, compact
    from ctxeng.context.compress import Compression, SentenceCompressor
    from ctxeng.context.page import context_page
    from ctxeng.context.plan import Candidate, ContextPlan, Section
    from ctxeng.context.summarise import SummaryCompressor, summarise
    from ctxeng.context.trust import TrustPolicy
    from ctxeng.engine import Engine
    from ctxeng.engine.chat import Conversation
    from ctxeng.engine.model import open_model
    from ctxeng.engine.session import Turn
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
    from ctxeng.replay import Difference
    from ctxeng.settings import Settings, load_settings
    from ctxeng.trace.record import Trace, TraceSummary
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
        Route,
        Scope,
        Segment,
        Source,
        Span,
        Tool,
        ToolCall,
    )

_HOMES = {
    **dict.fromkeys(("Compacted", "acompact", "compact"), "ctxeng.context.compact"),
    "chunk": "ctxeng.chunking",
    "Compression": "ctxeng.context.compress",
    "SentenceCompressor": "ctxeng.context.compress",
    "context_page": "ctxeng.context.page",
    "Candidate": "ctxeng.context.plan",
    "ContextPlan": "ctxeng.context.plan",
    "Section": "ctxeng.context.plan",
    "SummaryCompressor": "ctxeng.context.summarise",
    "summarise": "ctxeng.context.summarise",
    "TrustPolicy": "ctxeng.context.trust",
    "Engine": "ctxeng.engine",
    "Conversation": "ctxeng.engine.chat",
    "open_model": "ctxeng.engine.model",
    "Turn": "ctxeng.engine.session",
    "load": "ctxeng.loading",
    "Difference": "ctxeng.replay",
    **dict.fromkeys(("Trace", "TraceSummary"), "ctxeng.trace.record"),
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
            "Route",
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
    "Candidate",
    "Chunk",
    "Citation",
    "Claim",
    "Compacted",
    "Compression",
    "ConfigError",
    "Context",
    "ContextPlan",
    "Conversation",
    "CtxengError",
    "Difference",
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
    "Route",
    "Scope",
    "Section",
    "Segment",
    "SentenceCompressor",
    "Settings",
    "SkippedError",
    "Source",
    "Span",
    "SummaryCompressor",
    "Tool",
    "ToolCall",
    "ToolError",
    "Trace",
    "TraceSummary",
    "TrustPolicy",
    "Turn",
    "WorkspaceBusyError",
    "WorkspaceError",
    "acompact",
    "chunk",
    "compact",
    "context_page",
    "load",
    "load_settings",
    "open_model",
    "summarise",
]
