"""OpenTelemetry spans: there where the program has set it up, without any text, and never sent."""

import json
import subprocess
import sys

import pytest
from opentelemetry import trace as api
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ctxeng import BackendError, BudgetError, Document, Engine, Settings
from ctxeng.protocols import Delta
from ctxeng.settings import EmbeddingSettings
from ctxeng.text.tokens import PackagedTokenCounter
from ctxeng.types import Usage

QUESTION = "How long is xylophone leave?"
LEAVE = Document(id="zebra", text="Xylophone leave is 20 weeks, fully paid.", uri="zebra.md")


class Speaking:
    """A model behind an API, as far as spans can see."""

    name = "gpt-x@https://api.openai.com/v1"

    def __init__(self, failure=None):
        self.counter = PackagedTokenCounter()
        self._failure = failure

    async def stream(self, messages, options):
        if self._failure is not None:
            raise self._failure
        with api.get_tracer("of the client").start_as_current_span("POST"):
            said = Delta(text="Xylophone leave is 20 weeks [1].")
        yield said
        yield Delta(usage=Usage(prompt_tokens=321, completion_tokens=12), stop="stop")


@pytest.fixture
def spans(monkeypatch):
    """What is exported, by name; the API is pointed at an SDK of this test's own."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(api, "_TRACER_PROVIDER", provider)

    def exported():
        return {span.name: span for span in exporter.get_finished_spans()}

    return exported


def opened(generator=None):
    settings = Settings(embedding=EmbeddingSettings(model="static"))
    engine = Engine.open(":memory:", settings=settings, generator=generator)
    engine.index([LEAVE])
    return engine


def test_a_question_is_a_span_with_its_stages_below_it(spans):
    with opened(Speaking()) as engine:
        answer = engine.ask(QUESTION, budget=400)
    found = spans()
    root = found["invoke_workflow ctxeng.ask"]
    assert root.parent is None
    assert root.attributes["gen_ai.operation.name"] == "invoke_workflow"
    assert root.attributes["gen_ai.workflow.name"] == "ctxeng.ask"
    assert root.attributes["ctxeng.trace.id"] == answer.trace_id
    for name, stage in (
        ("retrieval ctxeng", "retrieve"),
        ("assemble", "assemble"),
        ("answerable", "answerable"),
        ("chat gpt-x", "generate"),
        ("ground", "ground"),
    ):
        assert found[name].attributes["ctxeng.stage"] == stage
        assert found[name].parent.span_id == root.context.span_id
        assert root.start_time <= found[name].start_time <= found[name].end_time <= root.end_time
    assert found["retrieval ctxeng"].attributes["gen_ai.operation.name"] == "retrieval"
    assert found["retrieval ctxeng"].attributes["ctxeng.hits"] == 1
    assert found["assemble"].attributes["ctxeng.tokens"] == answer.context.tokens


def test_a_reply_has_the_attributes_of_the_conventions(spans):
    with opened(Speaking()) as engine:
        engine.ask(QUESTION)
    reply = spans()["chat gpt-x"]
    assert reply.kind is api.SpanKind.CLIENT
    assert {k: v for k, v in reply.attributes.items() if k.startswith("gen_ai.")} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.request.max_tokens": 512,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.usage.input_tokens": 321,
        "gen_ai.usage.output_tokens": 12,
        "gen_ai.response.finish_reasons": ("stop",),
    }


def test_what_others_trace_meanwhile_comes_below_the_question(spans):
    with opened(Speaking()) as engine:
        engine.ask(QUESTION)
    found = spans()
    assert found["POST"].parent.span_id == found["invoke_workflow ctxeng.ask"].context.span_id


def test_a_question_comes_below_what_the_program_traces(spans):
    with opened() as engine, api.get_tracer("program").start_as_current_span("request") as request:
        engine.context(QUESTION)
    found = spans()
    assert found["invoke_workflow ctxeng.context"].parent.span_id == request.context.span_id
    assert "chat extractive" not in found


def test_tokens_that_nobody_reports_are_counted(spans):
    with opened() as engine:
        answer = engine.ask(QUESTION)
    reply = spans()["chat extractive"]
    assert reply.attributes["gen_ai.provider.name"] == "ctxeng"
    assert reply.attributes["gen_ai.usage.input_tokens"] == answer.context.tokens
    assert reply.attributes["gen_ai.usage.output_tokens"] == answer.usage.completion_tokens > 0


def test_no_text_is_in_any_span(spans):
    with opened(Speaking()) as engine:
        engine.ask(QUESTION)
        engine.context(QUESTION)
    with (
        opened(Speaking(BackendError(f"cannot answer {QUESTION}", kind="other"))) as engine,
        pytest.raises(BackendError),
    ):
        engine.ask(QUESTION)
    shown = "".join(span.to_json() for span in spans().values()).lower()
    assert shown
    for text in ("xylophone", "20 weeks", "zebra"):
        assert text not in shown


def test_a_failure_is_told_by_its_kind(spans):
    failure = BackendError("the model is gone", kind="unavailable")
    with opened(Speaking(failure)) as engine, pytest.raises(BackendError):
        engine.ask(QUESTION)
    found = spans()
    for name in ("chat gpt-x", "invoke_workflow ctxeng.ask"):
        assert found[name].attributes["error.type"] == "unavailable"
        assert found[name].status.status_code is api.StatusCode.ERROR
        assert not found[name].status.description
        assert found[name].events == ()
    with opened() as engine, pytest.raises(BudgetError):
        engine.context(QUESTION, budget=2)
    assert spans()["invoke_workflow ctxeng.context"].attributes["error.type"] == "BudgetError"


def test_a_stream_that_is_left_ends_its_spans(spans):
    with opened(Speaking()) as engine:
        stream = engine.stream(QUESTION)
        next(stream)
        stream.close()
    found = spans()
    assert {"chat gpt-x", "invoke_workflow ctxeng.ask"} <= found.keys()


def test_without_a_configured_sdk_nothing_is_made(monkeypatch):
    monkeypatch.setattr(api, "_TRACER_PROVIDER", None)
    with opened() as engine:
        assert engine.ask(QUESTION).found
    assert api._TRACER_PROVIDER is None


def test_we_import_nothing_of_it():
    code = (
        "from ctxeng import Document, Engine, Settings\n"
        "from ctxeng.settings import EmbeddingSettings\n"
        "import json, sys\n"
        "settings = Settings(embedding=EmbeddingSettings(model='static'))\n"
        "with Engine.open(':memory:', settings=settings) as engine:\n"
        "    engine.index([Document(id='a', text='Leave is 20 weeks.')])\n"
        "    assert engine.ask('How long is leave?').found\n"
        "print(json.dumps([name for name in sys.modules if name.startswith('opentelemetry')]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert json.loads(ran.stdout) == []
