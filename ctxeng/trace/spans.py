"""OpenTelemetry spans of a run, where the program has set OpenTelemetry up.

We import nothing of it: who uses it has imported it. Without a configured SDK its spans record
nothing, and none are made here. Names and attributes are those of the GenAI semantic conventions
(1.41, in development). Spans never hold texts: no query, no prompt, no answer, no file's name.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from ctxeng.types import GenerationOptions

SHOWN = {"retrieve", "assemble", "answerable", "ground"}
"""Stages that are spans of their own."""
_OPERATIONS = {
    "ask": ("invoke_workflow", "gen_ai.workflow.name"),
    "context": ("invoke_workflow", "gen_ai.workflow.name"),
    "retrieve": ("retrieval", "gen_ai.data_source.id"),
}
_PROVIDERS = {"api.openai.com": "openai", "api.anthropic.com": "anthropic"}


class Spans:
    """The span of one run, and those of its stages below it."""

    def __init__(self, verb: str) -> None:
        self._api = sys.modules.get("opentelemetry.trace")
        self._tracer = None if self._api is None else self._api.get_tracer("ctxeng")
        self._root = self._begin(verb, None)

    def start(self, stage: str) -> Any:
        """The span of a stage; None where there is none to be made."""
        if self._root is None or stage not in SHOWN:
            return None
        return self._begin(stage, self._below())

    def start_generation(self, model: str, options: GenerationOptions) -> Any:
        """The span of one reply."""
        if self._root is None or self._api is None or self._tracer is None:
            return None
        provider, name = _names(model)
        return self._tracer.start_span(
            f"chat {name}",
            context=self._below(),
            kind=self._api.SpanKind.CLIENT,
            attributes={
                "ctxeng.stage": "generate",
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": provider,
                "gen_ai.request.model": name,
                "gen_ai.request.max_tokens": options.max_tokens,
                "gen_ai.request.temperature": options.temperature,
            },
        )

    def end_generation(
        self,
        span: Any,
        prompt_tokens: int,
        completion_tokens: int,
        stop: str | None,
        failure: BaseException | None,
    ) -> None:
        if span is None:
            return
        span.set_attribute("gen_ai.usage.input_tokens", prompt_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", completion_tokens)
        if stop is not None:
            span.set_attribute("gen_ai.response.finish_reasons", [stop])
        self._close(span, failure)

    def end(self, span: Any, facts: Mapping[str, object], failure: BaseException | None) -> None:
        """End a stage's span with the numbers among its facts."""
        if span is None:
            return
        for name, fact in facts.items():
            if isinstance(fact, int | float) and name not in ("at", "seconds"):
                span.set_attribute(f"ctxeng.{name}", fact)
            elif isinstance(fact, list):
                span.set_attribute(f"ctxeng.{name}.count", len(fact))
        self._close(span, failure)

    def finish(self, failure: BaseException | None = None, *, trace_id: str = "") -> None:
        """End the run's span. It may be ended again, to no effect."""
        if self._root is None:
            return
        if trace_id:
            self._root.set_attribute("ctxeng.trace.id", trace_id)
        self._close(self._root, failure)
        self._root = None

    @contextmanager
    def current(self) -> Iterator[None]:
        """Spans that others make meanwhile, such as of requests, come below the run's."""
        if self._root is None or self._api is None:
            yield
            return
        with self._api.use_span(
            self._root, end_on_exit=False, record_exception=False, set_status_on_exception=False
        ):
            yield

    def _begin(self, stage: str, parent: Any) -> Any:
        if self._tracer is None:
            return None
        operation, key = _OPERATIONS.get(stage, ("", ""))
        attributes = {"ctxeng.stage": stage}
        if operation:
            what = "ctxeng" if stage == "retrieve" else f"ctxeng.{stage}"
            attributes |= {"gen_ai.operation.name": operation, key: what}
            name = f"{operation} {what}"
        else:
            name = stage
        span = self._tracer.start_span(name, context=parent, attributes=attributes)
        return span if span.is_recording() else None

    def _below(self) -> Any:
        return None if self._api is None else self._api.set_span_in_context(self._root)

    def _close(self, span: Any, failure: BaseException | None) -> None:
        if failure is not None and self._api is not None:
            kind = getattr(failure, "kind", None) or type(failure).__name__
            span.set_attribute("error.type", str(kind))
            span.set_status(self._api.Status(self._api.StatusCode.ERROR))  # its message may quote
        span.end()


def _names(model: str) -> tuple[str, str]:
    """What the conventions call provider and model, of a generator's name: ``gpt@https://host/v1``,
    ``smollm2 on transformers``, ``extractive``.
    """
    name, at, place = model.partition("@http")
    if at:
        host = urlsplit(f"http{place}").hostname or ""
        return _PROVIDERS.get(host, host), name
    name, on, backend = model.partition(" on ")
    return (backend.partition(" ")[0], name) if on else ("ctxeng", model)
