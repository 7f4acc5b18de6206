"""Whatever a server does, and in whatever order, a call ends in time and says what happened."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server import (
    CLOSE,
    DONE,
    OVER,
    RESET,
    STALL,
    block,
    chunk,
    delta,
    end,
    finish,
    head,
    start,
    status,
    stream,
    text,
    usage,
)
from talking import BACKENDS, KEY, KEY_ENV, QUESTION, deltas

from ctxeng.errors import BackendError
from ctxeng.protocols import Restart
from ctxeng.settings import TimeoutSettings
from ctxeng.types import GenerationOptions, Tool

TOTAL = 0.4
GRACE = 2.0
"""Seconds that a busy machine may add."""
TIMEOUT = TimeoutSettings(connect=0.3, first_token=0.08, between_tokens=0.08, total=TOTAL)
ECHO = {"error": {"message": f"the key {KEY}", "type": "invalid_request_error"}}

PIECES = st.sampled_from(
    [
        delta(role="assistant", content=""),
        delta(content="to"),
        delta(content=KEY),
        delta(reasoning_content="hm"),
        delta(tool_calls=[{"index": 0, "id": "c", "function": {"name": "t", "arguments": "{"}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": "}"}}]),
        finish(),
        finish("length"),
        usage(),
        start(),
        block(),
        text("to"),
        block("tool_use", 1, id="c", name="t", input={}),
        end(),
        OVER,
        ECHO,
        {"type": "error", "error": {"type": "overloaded_error", "message": KEY}},
        {"choices": []},
        {"what": ["is", "this"]},
        DONE,
        b"data: {oh no\n\n",
        b"data: \xff\xfe\n\n",
        b": here\n\n",
        b"data: [[[",
        b"event: ping\r\n\r\n",
    ]
)
ENDINGS = st.sampled_from([[], [STALL], [RESET], [CLOSE], [b"zz\r\n", CLOSE]])
STREAMS = st.builds(
    lambda pieces, ending: [*stream(*pieces, end=not ending), *ending],
    st.lists(PIECES, max_size=8),
    ENDINGS,
)
STATUSES = st.builds(
    lambda number, body, headers: status(number, body, **headers),
    st.sampled_from([204, 302, 400, 401, 403, 404, 408, 413, 418, 429, 500, 502, 503, 504, 529]),
    st.sampled_from(["", "nonsense", ECHO, {"error": KEY}, "[" * 9_999, {"detail": [1]}]),
    st.sampled_from([{}, {"Retry_After": "0"}, {"Retry_After": "9"}, {"Retry_After": "soon"},
                     {"Location": "http://elsewhere.example/"}]),
)  # fmt: skip
OTHERS = st.sampled_from(
    [
        [STALL],
        [RESET],
        [CLOSE],
        [b"no http\r\n\r\n", CLOSE],
        [head(), STALL],
        [head(Content_Length=9), b"data: ", CLOSE],
        status(200, "{}"),
        status(200, ECHO),
        status(200, '{"choices": [{"message": {"content": "to"}}]}'),
        status(200, '{"content": [{"type": "text", "text": "to"}]}'),
        status(200, "<html>", content="text/html"),
        status(200, "data: x", Content_Encoding="gzip"),
        [head(Transfer_Encoding="chunked"), chunk(b"x" * 9_000), CLOSE],
    ]
)
OPTIONS = st.sampled_from(
    [
        GenerationOptions(),
        GenerationOptions(json_schema={"type": "object"}),
        GenerationOptions(tools=(Tool(name="t"),)),
        GenerationOptions(retry_broken_streams=True),
    ]
)
KINDS = {
    "auth", "not_found", "context_length", "rate_limit", "unavailable", "timeout", "bad_request",
    "bad_reply", "refused", "budget", "other",
}  # fmt: skip


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(replies=st.lists(STREAMS | STATUSES | OTHERS, min_size=6, max_size=6), options=OPTIONS)
def test_a_call_ends_in_time_with_a_reply_a_marked_part_or_one_error(
    backend, server, replies, options
):
    server.reset(*replies)
    generator = BACKENDS[backend](server, TIMEOUT)
    began = time.monotonic()
    try:
        found = deltas(generator, QUESTION, options)
    except BackendError as error:
        assert error.kind in KINDS
        assert str(error).startswith(f"{generator.name}: ")
        assert len(str(error)) > len(generator.name) + 10
        shown = str(error) + error.text
    else:
        *earlier, last = found
        assert all(d.usage is None and d.stop is None for d in earlier)
        assert last.usage is not None
        assert last.stop is not None
        assert bool(last.error) == (last.stop == "interrupted")
        at = max((at for at, d in enumerate(earlier) if isinstance(d, Restart)), default=-1)
        assert at < 0 or options.retry_broken_streams
        assert earlier[at + 1 :] or last.stop != "interrupted"
        shown = last.error + "".join(d.text + d.error for d in earlier)
    assert time.monotonic() - began < TOTAL + GRACE
    assert KEY not in shown
    assert KEY_ENV not in shown or "key" in shown
