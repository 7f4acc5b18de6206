"""Messages as programs write them."""

import base64

import pytest

from ctxeng.errors import ConfigError
from ctxeng.generation.messages import as_messages
from ctxeng.types import Attachment, Image, Message, ToolCall

PIXEL = base64.b64encode(b"\x89PNG not really").decode()
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}


def test_a_question_is_the_users_message():
    assert as_messages("why?") == [Message(role="user", content="why?")]


def test_roles_and_texts_are_taken_as_they_are():
    assert as_messages(
        [
            {"role": "developer", "content": "Be short."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, "b"]},
            {"role": "assistant", "content": "c", "refusal": None, "annotations": []},
            Message(role="user", content="d"),
        ]
    ) == [
        Message(role="system", content="Be short."),
        Message(role="user", content=("a", "b")),
        Message(role="assistant", content="c"),
        Message(role="user", content="d"),
    ]


def test_images_and_files_are_taken_inline():
    (message,) = as_messages(
        [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                    {
                        "type": "file",
                        "file": {
                            "filename": "a.pdf",
                            "file_data": f"data:application/pdf;base64,{PIXEL}",
                        },
                    },
                ],
            }
        ]
    )
    assert message.content == (
        Image(media_type="image/png", data=PIXEL),
        Attachment(name="a.pdf", media_type="application/pdf", data=PIXEL),
    )


def test_calls_and_their_results_are_taken():
    made = as_messages([CALLING, {"role": "tool", "tool_call_id": "c1", "content": "2"}])
    assert made[0].tool_calls == (ToolCall(id="c1", name="add", arguments={"a": 1}),)
    assert made[1] == Message(role="tool", content="2", tool_call_id="c1")


def image(url):
    part = {"type": "image_url", "image_url": {"url": url}}
    return [{"role": "user", "content": [part]}]


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "the list is empty"),
        ({"role": "user", "content": "a"}, "a list of messages"),
        (["a"], r"messages\[0\]: a str is no message"),
        ([{"content": "a"}], "role None is none of"),
        ([{"role": "robot", "content": "a"}], "role 'robot' is none of"),
        ([{"role": "user"}], "has no content"),
        ([{"role": "user", "contents": "a"}], "contents: no such key"),
        ([{"role": "user", "content": 3}], "a int is neither text nor a list"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "type 'input_audio'"),
        ([{"role": "user", "content": [7]}], "type 'int'"),
        (image("https://example.org/a.png"), "addresses are not fetched"),
        (image("data:image/png;base64,###"), "not base64"),
        ([{"role": "user", "content": "a", "tool_calls": [CALL]}], "only an assistant's"),
        ([{"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}], "no tool call"),
        ([{"role": "assistant", "content": "", "tool_calls": "x"}], "a list of calls"),
        ([{"role": "tool", "content": "2", "tool_call_id": "c1"}], "the id of no call"),
        ([{"role": "tool", "content": "2", "tool_call_id": 1}], "a string is wanted"),
        ([CALLING, {"role": "tool", "content": "2"}], r"messages\[1\]"),
    ],
)
def test_what_is_no_message_is_an_error_that_says_where_and_why(messages, says):
    with pytest.raises(ConfigError, match=says):
        as_messages(messages)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "no JSON object"),
        (7, "no JSON object"),
        ({"a": object()}, "valid JSON"),
    ],
)
def test_arguments_that_are_none_are_an_error(arguments, says):
    call = {"id": "c1", "function": {"name": "add", "arguments": arguments}}
    with pytest.raises(ConfigError, match=says):
        as_messages([{"role": "assistant", "tool_calls": [call]}])
