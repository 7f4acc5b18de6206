"""What is said to Anthropic's API, and how its replies are read."""

import json

import pytest
from server import (
    OVER,
    block,
    chat,
    closed,
    end,
    message,
    piece,
    start,
    status,
    stream,
    text,
    whole,
)
from talking import anthropic, calls, deltas, failure
from talking import text as joined

from ctxeng.errors import BackendError
from ctxeng.generation.anthropic import MARK, decodable, request_body
from ctxeng.generation.http import server_of
from ctxeng.settings import ModelSettings
from ctxeng.types import (
    Attachment,
    GenerationOptions,
    Image,
    Message,
    Segment,
    Source,
    Span,
    Tool,
    ToolCall,
)

ADD = Tool(
    name="add",
    description="Adds.",
    parameters={
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
)
WITH_TOOLS = GenerationOptions(tools=(Tool(name="stop"), ADD))
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 0}},
    "required": ["n"],
}
WITH_SCHEMA = GenerationOptions(json_schema=SCHEMA)
ASKED = [Message(role="user", content="How many?")]
SOURCE = Source(uri="a.md", document_id="a", span=Span(start=0, end=1))


def segment(said, source=None):
    return Segment(
        text=said,
        section="sources",
        role="system",
        tokens=1,
        trust="document",
        reason="",
        source=source,
    )


def body(messages=ASKED, options=None, **table):
    settings = ModelSettings(backend="anthropic", **{"model": "m", **table})
    made = request_body(server_of(settings), messages, options or GenerationOptions())
    return json.loads(json.dumps(made))


def marks(value):
    """How many cache breakpoints are in it."""
    return json.dumps(value).count('"cache_control"')


# -- what is sent


def test_a_request_asks_for_a_stream():
    assert body() == {
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "How many?"}]}],
        "stream": True,
        "max_tokens": 512,
        "temperature": 0.0,
    }


def test_the_version_is_named(server):
    deltas(anthropic(server))
    assert server.headers[0]["anthropic-version"] == "2023-06-01"
    assert server.requests[0][0] == "/v1/messages"


def test_system_messages_are_the_system_prompt_with_a_mark_behind_it():
    messages = [
        Message(role="system", content="Be short."),
        *ASKED,
        Message(role="system", content=(segment("Cite."), segment(" Always."))),
    ]
    sent = body(messages)
    assert sent["system"] == [
        {"type": "text", "text": "Be short.\n\nCite. Always.", "cache_control": MARK}
    ]
    assert [turn["role"] for turn in sent["messages"]] == ["user"]


def test_the_mark_stands_before_what_a_source_gave():
    parts = (segment("Be short. "), segment("of a source", SOURCE), segment(" end"))
    assert body([Message(role="system", content=parts), *ASKED])["system"] == [
        {"type": "text", "text": "Be short. ", "cache_control": MARK},
        {"type": "text", "text": "of a source end"},
    ]


def test_marks_stand_behind_tools_system_and_earlier_turns_and_are_never_more_than_four():
    turns = [
        Message(role="user", content="one"),
        Message(role="assistant", content="two"),
        Message(role="user", content="three"),
    ]
    sent = body([Message(role="system", content="Be short."), *turns * 9], WITH_TOOLS)
    assert sent["tools"][-1]["cache_control"] == MARK
    assert sent["system"][-1]["cache_control"] == MARK
    assert sent["messages"][-2]["content"][-1]["cache_control"] == MARK
    assert marks(sent) == 3
    assert marks(body(turns[:1])) == 0


def test_turns_alternate_and_results_of_tools_are_one_turn_of_the_user():
    messages = [
        *ASKED,
        Message(role="user", content="Please."),
        Message(
            role="assistant",
            content="Adding.",
            tool_calls=(
                ToolCall(id="c1", name="add", arguments={"a": 1}),
                ToolCall(id="c2", name="stop"),
            ),
        ),
        Message(role="tool", content="3", tool_call_id="c1"),
        Message(role="tool", content="", tool_call_id="c2"),
        Message(role="user", content="Well?"),
    ]
    first, second, third = body(messages)["messages"]
    assert [b["text"] for b in first["content"]] == ["How many?", "Please."]
    assert second["role"] == "assistant"
    assert second["content"][1] == {
        "type": "tool_use",
        "id": "c1",
        "name": "add",
        "input": {"a": 1},
    }
    assert third["content"] == [
        {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "3"}]},
        {"type": "tool_result", "tool_use_id": "c2", "content": []},
        {"type": "text", "text": "Well?"},
    ]


def test_blank_texts_are_left_out_and_nothing_at_all_is_an_error():
    blank = Message(role="assistant", content=" \n")
    assert len(body([*ASKED, blank, *ASKED])["messages"]) == 1
    with pytest.raises(BackendError, match="no message holds anything"):
        body([Message(role="system", content="Be short."), Message(role="user", content="")])


@pytest.mark.parametrize(
    ("choice", "sent"),
    [("auto", {"type": "auto"}), ("none", {"type": "none"}), ("required", {"type": "any"})],
)
def test_options_are_sent_under_its_names(choice, sent):
    options = WITH_TOOLS.model_copy(
        update={
            "stop": ("END",),
            "temperature": 0.7,
            "top_p": 0.9,
            "tool_choice": choice,
            "seed": 3,
        }
    )
    made = body(options=options)
    assert made["tool_choice"] == sent
    assert made["tools"][0] == {
        "name": "stop",
        "description": "",
        "input_schema": {"type": "object", "properties": {}},
    }
    assert (made["stop_sequences"], made["temperature"], made["top_p"]) == (["END"], 0.7, 0.9)
    assert "seed" not in made


def test_models_that_refuse_sampling_are_sent_none():
    assert "temperature" not in body(model="claude-opus-5")
    assert "temperature" in body(model="claude-haiku-4-5")


PICTURE = Image(media_type="image/png", data="QUJD")
PAPER = Attachment(name="a.pdf", media_type="application/pdf", data="QUJD")
NOTE = Attachment(name="a.txt", media_type="text/plain", data="QUJD")


def test_images_and_files_go_with_the_text():
    (turn,) = body([Message(role="user", content=(PICTURE, "Wh", "at?", PAPER, NOTE))])["messages"]
    inline = {"type": "base64", "data": "QUJD"}
    assert turn["content"] == [
        {"type": "image", "source": {**inline, "media_type": "image/png"}},
        {"type": "text", "text": "What?"},
        {
            "type": "document",
            "title": "a.pdf",
            "source": {**inline, "media_type": "application/pdf"},
        },
        {
            "type": "document",
            "title": "a.txt",
            "source": {"type": "text", "media_type": "text/plain", "data": "ABC"},
        },
    ]


@pytest.mark.parametrize(
    "part",
    [
        PICTURE.model_copy(update={"media_type": "image/tiff"}),
        PAPER.model_copy(update={"media_type": "text/csv"}),
    ],
)
def test_what_it_does_not_take_is_an_error_before_the_call(part):
    with pytest.raises(BackendError, match="it takes") as raised:
        body([Message(role="user", content=(part,))])
    assert raised.value.kind == "bad_request"


def test_a_schema_is_asked_for_natively_and_in_the_prompt():
    sent = body(options=WITH_SCHEMA)
    assert sent["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {"n": {"type": "integer"}},
            "required": ["n"],
            "additionalProperties": False,
        },
    }
    assert '"minimum": 0' in sent["messages"][0]["content"][0]["text"]
    free = GenerationOptions(
        json_schema={"type": "object", "additionalProperties": {"type": "integer"}}
    )
    assert "output_config" not in body(options=free)


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({"type": "string", "maxLength": 3}, {"type": "string"}),
        ({"type": "array", "items": SCHEMA, "minItems": 2}, {"type": "array", "items": "closed"}),
        ({"anyOf": [SCHEMA, {"type": "null"}]}, {"anyOf": ["closed", {"type": "null"}]}),
        (
            {"$ref": "#/$defs/x", "$defs": {"x": SCHEMA}},
            {"$ref": "#/$defs/x", "$defs": {"x": "closed"}},
        ),
        ({"type": "object"}, None),
        ({"type": "array", "items": {"type": "object"}}, None),
        ({"type": "array", "items": True}, None),
        ({**SCHEMA, "additionalProperties": True}, None),
        ({**SCHEMA, "properties": {"x": {"type": "object", "properties": {}}}}, None),
    ],
)
def test_schemas_are_made_fit_for_constrained_decoding_or_left_to_the_prompt(schema, made):
    closed_one = decodable(SCHEMA)
    assert closed_one["additionalProperties"] is False

    def filled(value):
        if isinstance(value, dict):
            return {key: filled(one) for key, one in value.items()}
        return (
            [filled(one) for one in value]
            if isinstance(value, list)
            else (closed_one if value == "closed" else value)
        )

    assert decodable(schema) == filled(made)


# -- how replies are read


def test_pieces_of_a_call_become_one_call_when_it_is_whole(server):
    server.reset(
        stream(
            start(),
            block(),
            text("Let me add."),
            closed(),
            block("tool_use", 1, id="t1", name="add", input={}),
            piece("", 1),
            piece('{"a": 1', 1),
            piece(', "b": 2}', 1),
            closed(1),
            block("tool_use", 2, id="t2", name="stop", input={}),
            closed(2),
            end("tool_use"),
            OVER,
        )
    )
    found = deltas(anthropic(server), options=WITH_TOOLS)
    assert joined(found) == "Let me add."
    assert calls(found) == [
        ToolCall(id="t1", name="add", arguments={"a": 1, "b": 2}),
        ToolCall(id="t2", name="stop"),
    ]
    assert found[-1].stop == "tool_calls"


@pytest.mark.parametrize("arguments", ['{"a": 1', '{"a": "one", "b": 2}', "[1]"])
def test_broken_arguments_are_an_error_with_all_that_has_come(server, arguments):
    server.reset(
        stream(
            start(),
            block(),
            text("Adding. "),
            closed(),
            block("tool_use", 1, id="t", name="add", input={}),
            piece(arguments, 1),
            closed(1),
            end("tool_use"),
            OVER,
        )
    )
    error = failure(anthropic(server), options=WITH_TOOLS)
    assert (error.kind, error.text) == ("bad_reply", f"Adding. add({arguments})")


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "filtered"),
        ("something_new", "stop"),
    ],
)
def test_reasons_of_the_end_are_mapped(server, reason, stop):
    server.reset(message("fine", reason=reason))
    assert deltas(anthropic(server))[-1].stop == stop


def test_counts_hold_what_was_cached_and_are_cumulative(server):
    counts = {"cache_creation_input_tokens": 30, "cache_read_input_tokens": 50}
    server.reset(
        stream(
            start(**counts),
            block(),
            text("fine"),
            closed(),
            end(output=3),
            end(output=7, input_tokens=12),
            OVER,
        )
    )
    found = deltas(anthropic(server))[-1].usage
    assert (found.prompt_tokens, found.cached_tokens, found.completion_tokens) == (92, 50, 7)
    assert found.cache_write_tokens == 30


def test_an_interrupted_reply_tells_what_its_prompt_took(server):
    server.reset(stream(start(input_tokens=40), block(), text("half"), end=True))
    last = deltas(anthropic(server))[-1]
    assert (last.stop, last.usage.prompt_tokens) == ("interrupted", 40)


@pytest.mark.parametrize(
    "steps",
    [
        [start(), block(), text("fine"), closed(), end()],  # no message_stop
        [start(), block(), text("fine"), OVER],  # no reason
        [block("text", 0, text="fine"), closed(), end(), OVER],
        [start(), block("thinking", 0, thinking=""), {"type": "content_block_delta",
         "delta": {"type": "signature_delta"}}, closed(), text("fine"), end(), OVER],
    ],
)  # fmt: skip
def test_streams_that_leave_something_out_are_whole_all_the_same(server, steps):
    server.reset(stream(*steps))
    found = deltas(anthropic(server))
    assert (joined(found), found[-1].stop) == ("fine", "stop")


def test_a_reply_without_anything_is_an_error(server):
    server.reset(stream(start(), OVER))
    assert failure(anthropic(server)).kind == "bad_reply"


def test_a_reply_that_was_all_thoughts_is_an_error_that_names_the_limit(server):
    thought = {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}}
    server.reset(stream(start(), block("thinking", thinking=""), thought, end("max_tokens"), OVER))
    assert "all 512 tokens" in str(failure(anthropic(server)))


def test_json_that_does_not_hold_is_an_error_with_its_text(server):
    server.reset(message('{"n": 3}'))
    assert joined(deltas(anthropic(server), options=WITH_SCHEMA)) == '{"n": 3}'
    server.reset(message('{"n": -3}'))
    error = failure(anthropic(server), options=WITH_SCHEMA)
    assert (error.kind, error.text) == ("bad_reply", '{"n": -3}')
    assert "less than the minimum of 0" in str(error)


def test_the_native_form_is_left_out_where_it_is_refused(server):
    server.reset(
        status(400, {"error": {"message": "output_config.format: not on this model"}}),
        message('{"n": 3}'),
    )
    assert joined(deltas(anthropic(server), options=WITH_SCHEMA)) == '{"n": 3}'
    assert ["output_config" in sent for sent in server.bodies] == [True, False]


def test_a_whole_reply_is_read_with_its_calls(server):
    content = [
        {"type": "text", "text": "Adding."},
        {"type": "tool_use", "id": "t", "name": "add", "input": {"a": 1, "b": 2}},
    ]
    server.reset(whole({"type": "message", "content": content, "stop_reason": "tool_use"}))
    found = deltas(anthropic(server), options=WITH_TOOLS)
    assert (joined(found), calls(found)[0].arguments) == ("Adding.", {"a": 1, "b": 2})
    assert found[-1].stop == "tool_calls"


def test_a_server_of_another_api_is_told_as_that(server):
    server.reset(*[chat("fine")] * 5)
    error = failure(anthropic(server))
    assert error.kind in {"bad_reply", "unavailable"}
    assert "base_url" in str(error)
