"""What is said to servers that speak like OpenAI's, and how their replies are read."""

import json

import pytest
from server import DONE, chat, delta, finish, status, stream, usage, whole
from talking import calls, deltas, failure, openai, text

from ctxeng.errors import BackendError
from ctxeng.generation.http import server_of
from ctxeng.generation.openai import fits_strict, request_body
from ctxeng.settings import ModelSettings
from ctxeng.types import (
    Attachment,
    GenerationOptions,
    Image,
    Message,
    Segment,
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
WITH_TOOLS = GenerationOptions(tools=(ADD, Tool(name="stop")))
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
WITH_SCHEMA = GenerationOptions(json_schema=SCHEMA)
ASKED = [Message(role="user", content="How many?")]


def segment(said, role="user"):
    return Segment(text=said, section="sources", role=role, tokens=1, trust="document", reason="")


def body(messages=ASKED, options=None, **table):
    settings = ModelSettings(backend="openai", **{"model": "m", **table})
    made = request_body(server_of(settings), messages, options or GenerationOptions())
    return json.loads(json.dumps(made))


def call(index=0, **fields):
    return delta(tool_calls=[{"index": index, "type": "function", **fields}])


# -- what is sent


def test_a_request_asks_for_a_stream_with_its_counts():
    assert body(base_url="http://h:9/v1") == {
        "model": "m",
        "messages": [{"role": "user", "content": "How many?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 512,
        "temperature": 0.0,
    }


def test_segments_are_their_texts_and_leading_system_messages_are_one():
    messages = [
        Message(role="system", content="Be short."),
        Message(role="system", content=(segment("Cite.", "system"), segment(" Always.", "system"))),
        Message(role="user", content=(segment("[1] a\n"), segment("[2] b\n"), "Which?")),
        Message(role="assistant", content="b [2]"),
    ]
    assert body(messages)["messages"] == [
        {"role": "system", "content": "Be short.\n\nCite. Always."},
        {"role": "user", "content": "[1] a\n[2] b\nWhich?"},
        {"role": "assistant", "content": "b [2]"},
    ]


def test_options_are_sent_where_they_say_something():
    options = GenerationOptions(
        max_tokens=9, temperature=0.7, top_p=0.9, seed=3, stop=("END",), tools=(ADD,)
    )
    sent = body(options=options, base_url="http://h:9/v1")
    assert sent["max_tokens"] == 9
    assert (sent["temperature"], sent["top_p"], sent["seed"], sent["stop"]) == (
        0.7,
        0.9,
        3,
        ["END"],
    )
    assert sent["tool_choice"] == "auto"
    assert sent["tools"] == [
        {
            "type": "function",
            "function": {"name": "add", "description": "Adds.", "parameters": ADD.parameters},
        }
    ]
    greedy = body(options=options.model_copy(update={"temperature": 0.0}))
    assert "top_p" not in greedy  # it says nothing where the likeliest token is taken


@pytest.mark.parametrize(
    ("table", "has", "lacks"),
    [
        ({"model": "gpt-4o"}, {"max_completion_tokens": 512, "temperature": 0.5}, {"max_tokens"}),
        ({"model": "gpt-5.5"}, {"max_completion_tokens": 512}, {"temperature", "top_p"}),
        (
            {"profile": "mistral"},
            {"random_seed": 3, "tool_choice": "any"},
            {"stream_options", "seed"},
        ),
        ({"profile": "deepseek"}, {"max_tokens": 512}, {"seed", "random_seed"}),
        ({"profile": "ollama"}, {"seed": 3, "tool_choice": "required"}, set()),
    ],
)
def test_vendors_get_what_they_take_under_their_own_names(table, has, lacks):
    options = GenerationOptions(
        temperature=0.5, top_p=0.5, seed=3, tools=(ADD,), tool_choice="required"
    )
    sent = body(options=options, **table)
    assert sent | has == sent
    assert not lacks & set(sent)


def test_calls_and_results_are_sent_back():
    messages = [
        *ASKED,
        Message(role="assistant", tool_calls=(ToolCall(id="c", name="add", arguments={"a": "é"}),)),
        Message(role="tool", content="3", tool_call_id="c"),
    ]
    assert body(messages)["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "c",
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"a": "é"}'},
                }
            ],
        },
        {"role": "tool", "content": "3", "tool_call_id": "c"},
    ]


PICTURE = Image(media_type="image/png", data="QUJD")
PAPER = Attachment(name="a.pdf", media_type="application/pdf", data="QUJD")


def test_images_and_files_go_with_the_text():
    (message,) = body([Message(role="user", content=(PICTURE, segment("What?"), PAPER))])[
        "messages"
    ]
    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        {"type": "text", "text": "What?"},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"},
        },
    ]


@pytest.mark.parametrize(
    ("part", "table", "says"),
    [
        (PICTURE, {"profile": "deepseek"}, r"an image \(image/png\): it takes none"),
        (
            PICTURE.model_copy(update={"media_type": "image/tiff"}),
            {},
            "it takes image/png, image/j",
        ),
        (PAPER, {"profile": "vllm"}, r"a.pdf \(application/pdf\): it takes none"),
        (PAPER.model_copy(update={"media_type": "text/csv"}), {}, "it takes application/pdf"),
    ],
)
def test_what_the_backend_does_not_take_is_an_error_before_the_call(part, table, says):
    with pytest.raises(BackendError, match=says) as raised:
        body([Message(role="user", content=(part,))], **table)
    assert raised.value.kind == "bad_request"


def test_a_schema_is_asked_for_natively_and_in_the_prompt():
    sent = body(options=WITH_SCHEMA, base_url="http://h:9/v1")
    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True},
    }
    (message,) = sent["messages"]
    assert message["content"].startswith("How many?\n\nReply with JSON only")
    assert json.dumps(SCHEMA) in message["content"]
    assert body(options=WITH_SCHEMA, profile="deepseek")["response_format"] == {
        "type": "json_object"
    }


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (SCHEMA, True),
        ({"type": "object"}, False),
        ({**SCHEMA, "required": []}, False),
        ({**SCHEMA, "additionalProperties": True}, False),
        ({"type": "array", "items": SCHEMA}, True),
        ({"type": "array", "items": {"type": "object", "properties": {}}}, False),
        ({"anyOf": [SCHEMA, {"type": "null"}], "$defs": {"x": {"type": "object"}}}, False),
        ({"type": "string"}, True),
    ],
)
def test_strict_decoding_is_asked_for_where_the_schema_allows_it(schema, strict):
    assert fits_strict(schema) is strict


def test_lone_surrogates_are_sent_as_question_marks(server):
    assert text(deltas(openai(server), [Message(role="user", content="a\ud800b")])) == "fine"
    assert server.bodies[0]["messages"][0]["content"] == "a?b"


def test_lone_surrogates_that_come_become_marks(server):
    said = b'data: {"choices": [{"delta": {"content": "a\\ud800b \\ud83c\\udf89"}}]}\n\n'
    server.reset(stream(said, finish(), DONE))
    assert text(deltas(openai(server))) == "a\ufffdb 🎉"


# -- what a model refuses by name


def test_a_parameter_that_is_refused_by_name_is_left_out_from_then_on(server):
    refusal = {"error": {"message": "Unsupported parameter: 'stream_options'"}}
    other = {"error": {"message": "'temperature' does not support 0.0 with this model"}}
    server.reset(status(400, refusal), status(400, other))
    generator = openai(server)
    assert text(deltas(generator)) == "fine"
    first, second, third = server.bodies
    assert set(first) - set(second) == {"stream_options"}
    assert set(second) - set(third) == {"temperature"}
    assert text(deltas(generator)) == "fine"
    assert set(server.bodies[3]) == set(third)


def test_a_parameter_that_is_needed_is_not_left_out(server):
    server.reset(status(400, {"error": {"message": "'messages' is too odd"}}))
    assert failure(openai(server)).kind == "bad_request"
    assert len(server.requests) == 1


# -- how replies are read


def test_pieces_of_a_call_become_one_call_when_it_is_whole(server):
    server.reset(
        stream(
            delta(role="assistant", content=None),
            delta(content="Let me add."),
            call(id="c1", function={"name": "add", "arguments": ""}),
            call(function={"arguments": '{"a": 1'}),
            call(function={"arguments": ', "b": 2}'}),
            call(1, id="c2", function={"name": "stop", "arguments": ""}),
            finish("tool_calls"),
            usage(),
            DONE,
        )
    )
    found = deltas(openai(server), options=WITH_TOOLS)
    assert text(found) == "Let me add."
    assert calls(found) == [
        ToolCall(id="c1", name="add", arguments={"a": 1, "b": 2}),
        ToolCall(id="c2", name="stop"),
    ]
    assert found[-1].stop == "tool_calls"


@pytest.mark.parametrize(
    "pieces",
    [
        # whole calls without an index, as one list; arguments as an object; no ids
        [
            delta(
                tool_calls=[
                    {"id": "c1", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}},
                    {"id": "c2", "function": {"name": "add", "arguments": {"a": 3, "b": 4}}},
                ]
            )
        ],
        [
            delta(tool_calls=[{"id": "c1", "function": {"name": "add", "arguments": '{"a": 1,'}}]),
            delta(tool_calls=[{"function": {"arguments": ' "b": 2}'}}]),
            delta(tool_calls=[{"id": "c2", "function": {"name": "add", "arguments": '{"a": 3,'}}]),
            delta(tool_calls=[{"id": "c2", "function": {"arguments": ' "b": 4}'}}]),
        ],
        [
            call(0, function={"name": "add", "arguments": '{"a": 1, "b": 2}'}),
            call(1, function={"name": "add", "arguments": '{"a": 3, "b": 4}'}),
        ],
    ],
)
@pytest.mark.parametrize("reason", ["tool_calls", "stop", "function_call"])
def test_servers_that_say_calls_differently_are_understood(server, pieces, reason):
    server.reset(stream(*pieces, finish(reason), DONE))
    found = deltas(openai(server), options=WITH_TOOLS)
    assert [c.arguments for c in calls(found)] == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert len({c.id for c in calls(found)}) == 2
    assert found[-1].stop == "tool_calls"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ('{"a": 1', "Expecting"),
        ("[1, 2]", "no JSON object"),
        ('{"a": "one", "b": 2}', "'one' is not of type 'integer'"),
        ('{"a": 1}', "'b' is a required property"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_broken_arguments_are_an_error_with_all_that_has_come(server, arguments, says):
    server.reset(
        stream(
            delta(content="Let me add. "),
            call(id="c1", function={"name": "add", "arguments": arguments}),
            finish("tool_calls"),
            DONE,
        )
    )
    error = failure(openai(server), options=WITH_TOOLS)
    assert (error.kind, error.retryable) == ("bad_reply", False)
    assert says in str(error)
    assert error.text == f"Let me add. add({arguments})"
    assert len(server.requests) == 1
    alone = call(id="c1", function={"name": "add", "arguments": arguments})
    server.reset(stream(alone, finish("tool_calls"), DONE))
    assert failure(openai(server), options=WITH_TOOLS).text == f"add({arguments})"


def test_a_tool_that_nobody_offered_is_handed_on(server):
    server.reset(
        stream(call(id="c", function={"name": "fly", "arguments": '{"x": 1}'}), finish(), DONE)
    )
    (found,) = calls(deltas(openai(server), options=WITH_TOOLS))
    assert found == ToolCall(id="c", name="fly", arguments={"x": 1})


def test_a_call_without_a_name_is_an_error(server):
    server.reset(stream(call(id="c", function={"arguments": "{}"}), finish(), DONE))
    assert "without a name" in str(failure(openai(server)))


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("content_filter", "filtered"),
        ("eos", "stop"),
        ("something_new", "stop"),
    ],
)
def test_reasons_of_the_end_are_mapped(server, reason, stop):
    server.reset(chat("fine", reason=reason))
    assert deltas(openai(server))[-1].stop == stop


def test_a_refusal_is_text_and_a_filtered_reply(server):
    server.reset(stream(delta(refusal="I will "), delta(refusal="not."), finish(), DONE))
    found = deltas(openai(server))
    assert (text(found), found[-1].stop) == ("I will not.", "filtered")


def test_an_error_as_the_reason_of_the_end_is_one(server):
    ending = {**finish("error")["choices"][0], "error": {"code": 502, "message": "upstream"}}
    server.reset(stream({"choices": [ending]}))
    assert text(deltas(openai(server))) == "fine"  # tried again
    server.reset(stream(delta(content="half"), {"choices": [ending]}))
    found = deltas(openai(server))
    assert (text(found), found[-1].stop) == ("half", "interrupted")
    assert "upstream" in found[-1].error


@pytest.mark.parametrize(
    "counts",
    [
        usage(20, 5, prompt_tokens_details={"cached_tokens": 16}),
        usage(20, 5, prompt_cache_hit_tokens=16),
        {"choices": [], "x_groq": {"usage": {"prompt_tokens": 20, "completion_tokens": 5}}},
        usage(20, 5, prompt_tokens_details={"cached_tokens": 99}),
        usage(20, 5, prompt_tokens_details=None, total_tokens="many"),
    ],
)
def test_counts_are_read_where_vendors_put_them(server, counts):
    server.reset(chat("fine", counts=counts))
    found = deltas(openai(server))[-1].usage
    assert (found.prompt_tokens, found.completion_tokens) == (20, 5)
    assert found.cached_tokens <= 20
    assert (found.cached_tokens == 16) == ("16" in json.dumps(counts))


@pytest.mark.parametrize(("told", "written"), [(9, 9), (99, 4), (None, 0), ("many", 0)])
def test_tokens_written_to_the_cache_are_no_more_than_there_are(server, told, written):
    details = {"cached_tokens": 16, "cache_write_tokens": told}
    server.reset(chat("fine", counts=usage(20, 5, prompt_tokens_details=details)))
    found = deltas(openai(server))[-1].usage
    assert (found.prompt_tokens, found.cached_tokens) == (20, 16)
    assert found.cache_write_tokens == min(written, 4)


@pytest.mark.parametrize(
    "steps",
    [
        [delta(content="fine"), finish(), usage()],  # no [DONE]
        [delta(content="fine"), DONE],  # no reason
        [{"choices": [{"delta": {"content": "fine"}, "finish_reason": "stop"}]}],
        [delta(content=[{"type": "text", "text": "fi"}, {"type": "thinking"}]), delta(content="ne"),
         DONE],
        [delta(content="fine"), {"choices": [{"index": 1, "delta": {"content": "no"}}]}, DONE],
        [delta(content="fine"), finish(), DONE, delta(content=" and more")],
    ],
)  # fmt: skip
def test_streams_that_leave_something_out_are_whole_all_the_same(server, steps):
    server.reset(stream(*steps))
    found = deltas(openai(server))
    assert (text(found), found[-1].stop) == ("fine", "stop")


@pytest.mark.parametrize("steps", [[DONE], [{"choices": []}, usage(), DONE]])
def test_a_reply_without_choices_is_an_error(server, steps):
    server.reset(stream(*steps))
    error = failure(openai(server))
    assert (error.kind, len(server.requests)) == ("bad_reply", 1)
    assert "empty" in str(error)


def test_a_reply_may_be_empty_where_the_model_says_so(server):
    server.reset(chat())
    (last,) = deltas(openai(server))
    assert (last.text, last.stop) == ("", "stop")


def test_a_reply_that_was_all_thoughts_is_an_error_that_names_the_limit(server):
    server.reset(stream(delta(reasoning_content="hm"), finish("length"), DONE))
    error = failure(openai(server), options=GenerationOptions(max_tokens=64))
    assert error.kind == "bad_reply"
    assert "all 64 tokens" in str(error)
    assert "max_tokens" in str(error)


def test_json_that_holds_is_a_reply(server):
    server.reset(chat('{"n"', ": 3}"))
    assert json.loads(text(deltas(openai(server), options=WITH_SCHEMA))) == {"n": 3}


@pytest.mark.parametrize(
    ("said", "reason", "says"),
    [
        ("three", "stop", "it is no JSON"),
        ('{"n": "three"}', "stop", r"\$.n: 'three' is not of type 'integer'"),
        ('{"n": ', "length", "cut off at max_tokens = 512"),
        ("[" * 100_000, "stop", "it is no JSON"),
        ("", "stop", "it is no JSON"),
    ],
)
def test_a_reply_that_does_not_hold_to_the_schema_is_an_error_with_its_text(
    server, said, reason, says
):
    server.reset(chat(said, reason=reason))
    error = failure(openai(server), options=WITH_SCHEMA)
    assert (error.kind, error.text) == ("bad_reply", said)
    with pytest.raises(BackendError, match=says):
        raise error
    assert error.why.startswith("the reply does not hold to the schema")
    assert server.host not in error.why


def test_a_call_instead_of_json_is_no_error(server):
    server.reset(stream(call(id="c", function={"name": "stop"}), finish(), DONE))
    options = WITH_TOOLS.model_copy(update={"json_schema": SCHEMA})
    assert deltas(openai(server), options=options)[-1].stop == "tool_calls"


def test_a_schema_that_leads_elsewhere_is_not_followed(server):
    server.reset(chat("{}"))
    schema = {"$ref": f"{server.root}/schema.json"}
    error = failure(openai(server), options=GenerationOptions(json_schema=schema))
    assert "refers to what is not in it" in str(error)
    assert len(server.requests) == 1


def test_json_that_is_nested_too_deeply_is_an_error(server):
    server.reset(chat("[" * 900 + "]" * 900))
    schema = {"type": "array", "items": {"$ref": "#"}}
    error = failure(openai(server), options=GenerationOptions(json_schema=schema))
    assert error.kind == "bad_reply"


def test_a_whole_reply_is_read_with_its_calls(server):
    message = {
        "content": "Let me add.",
        "tool_calls": [{"id": "c", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}],
    }
    server.reset(whole({"choices": [{"message": message}], "usage": {"prompt_tokens": 5}}))
    found = deltas(openai(server), options=WITH_TOOLS)
    assert (text(found), calls(found)[0].arguments) == ("Let me add.", {"a": 1, "b": 2})
    assert (found[-1].stop, found[-1].usage.prompt_tokens) == ("tool_calls", 5)
