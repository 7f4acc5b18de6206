"""What can go wrong, as kinds of errors."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from ctxeng.generation.faults import (
    TryError,
    of_exception,
    of_status,
    of_words,
    one_line,
    retry_after,
)


@pytest.mark.parametrize(
    ("status", "kind", "passes"),
    [
        (400, "bad_request", False),
        (401, "auth", False),
        (402, "budget", False),
        (403, "auth", False),
        (404, "not_found", False),
        (405, "not_found", False),
        (408, "timeout", True),
        (413, "context_length", False),
        (422, "bad_request", False),
        (429, "rate_limit", True),
        (500, "unavailable", True),
        (501, "unavailable", False),
        (502, "unavailable", True),
        (503, "unavailable", True),
        (504, "timeout", True),
        (529, "unavailable", True),
        (301, "refused", False),
        (307, "refused", False),
        (204, "bad_reply", False),
    ],
)
def test_each_status_has_its_kind_and_may_pass_or_not(status, kind, passes):
    error = of_status(status, {}, '{"error": {"message": "so it is"}}')
    assert (error.kind, error.retryable, error.status) == (kind, passes, status)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "no luck", "type": "t", "code": None}},
        {"error": "no luck"},
        {"message": "no luck", "object": "error", "code": 400},
        {"detail": "no luck"},
        {"detail": [{"loc": ["body"], "msg": "no luck"}]},
        {"type": "error", "error": {"type": "api_error", "message": "no luck"}},
        "no luck",
        ["no luck"],
    ],
)
def test_a_servers_words_are_found_in_every_shape(body):
    assert "no luck" in of_words(body, 400).what


@pytest.mark.parametrize(
    "body",
    [None, {}, [], 7, {"error": {}}, {"error": None}, {"message": {"a": {"b": 1}}}, {"code": []}],
)
def test_an_error_without_words_is_an_error_all_the_same(body):
    assert of_words(body, 400).kind == "bad_request"
    assert of_words(body).kind == "other"


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000",
        "the request exceeds the available context size, try increasing it",
        "`inputs` tokens + `max_new_tokens` must be <= 4096",
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        "Trying to keep the first 5000 tokens when context the overflows",
        "Input tokens exceed the configured limit of 272000 tokens.",
    ],
)
def test_a_context_that_is_too_long_is_known_by_its_words(words):
    assert of_status(400, {}, f'{{"error": {{"message": "{words}"}}}}').kind == "context_length"
    assert of_status(500, {}, words).kind == "context_length"


@pytest.mark.parametrize(
    "words",
    ["Model Not Exist", "Invalid model: big", "The model `x` does not exist", "unknown model"],
)
def test_a_model_that_is_not_there_is_known_by_its_words(words):
    assert of_status(400, {}, f'{{"message": "{words}"}}').kind == "not_found"


@pytest.mark.parametrize(
    ("error", "kind", "passes"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, "unavailable", True),
        ({"type": "rate_limit_error"}, "rate_limit", True),
        ({"type": "server_error", "code": None}, "unavailable", True),
        ({"code": 502, "message": "upstream"}, "unavailable", True),
        ({"code": "insufficient_quota", "type": "insufficient_quota"}, "budget", False),
        ({"code": "context_length_exceeded"}, "context_length", False),
        ({"type": "authentication_error"}, "auth", False),
        ({"type": "brand_new_error"}, "other", False),
        ("out of memory", "other", False),
    ],
)
def test_an_error_inside_a_reply_has_the_kind_that_its_type_or_code_says(error, kind, passes):
    found = of_words({"error": error})
    assert (found.kind, found.retryable) == (kind, passes)


def test_a_quota_that_is_used_up_does_not_pass_though_it_says_429():
    body = '{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}'
    error = of_status(429, {"retry-after": "1"}, body)
    assert (error.kind, error.retryable, error.retry_after) == ("budget", False, None)


NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        (
            {
                "retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True),
                "date": format_datetime(NOW, usegmt=True),
            },
            90,
        ),
        ({"retry-after": format_datetime(NOW - timedelta(days=9), usegmt=True)}, 0),
        ({"retry-after": "Sun Mar  1 12:01:00 2026", "date": format_datetime(NOW)}, 60),
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Thu, 99 Foo 99999 99:99:99 GMT"}, None),
    ],
)
def test_the_pause_that_a_server_asks_for_is_read_in_every_form(headers, seconds):
    assert retry_after(headers) == seconds


def test_a_date_is_counted_from_now_where_the_server_does_not_say_its_own():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 55 < retry_after({"retry-after": later}) <= 60


def every(kind):
    yield kind
    for one in kind.__subclasses__():
        yield from every(one)


RAISED = {
    *every(httpx.HTTPError),
    *every(httpx.StreamError),
    httpx.InvalidURL,
} - {httpx.HTTPStatusError}  # only ``raise_for_status`` raises it


@pytest.mark.parametrize("kind", sorted(RAISED, key=lambda k: k.__name__), ids=lambda k: k.__name__)
def test_no_exception_of_httpx_is_unknown(kind):
    takes_none = kind in {
        httpx.ResponseNotRead,
        httpx.RequestNotRead,
        httpx.StreamConsumed,
        httpx.StreamClosed,
    }
    error = of_exception(kind() if takes_none else kind("boom"))
    assert isinstance(error, TryError)
    if issubclass(kind, httpx.NetworkError | httpx.TimeoutException):
        assert error.retryable


def test_what_tls_says_does_not_pass():
    error = of_exception(httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER] wrong version number"))
    assert (error.kind, error.retryable) == ("unavailable", False)
    assert "https" in error.advice


def test_a_servers_words_are_one_line_without_control_characters():
    shown = one_line("\x1b[31mred\x1b[0m\r\nnext\u2028line\t" + "x" * 1_000)
    assert shown.startswith(" [31mred [0m next line x".strip()[:10])
    assert shown.isprintable()
    assert len(shown) == 300
