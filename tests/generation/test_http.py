"""Servers that misbehave: every fault on a real one, for both backends."""

import gc
import itertools
import logging
import socket
import threading
import time
import traceback
import weakref
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from server import (
    CLOSE,
    DONE,
    OVER,
    RESET,
    STALL,
    block,
    chat,
    chunk,
    closed,
    delta,
    end,
    event,
    finish,
    head,
    message,
    serving,
    start,
    status,
    stream,
    usage,
    whole,
)
from server import text as said
from talking import (
    BACKENDS,
    KEY,
    KEY_ENV,
    QUESTION,
    QUICK,
    adeltas,
    deltas,
    failure,
    interrupted,
    text,
    tries,
)

from ctxeng.errors import BackendError
from ctxeng.generation import http
from ctxeng.generation.exchange import RETRY_ADVICE
from ctxeng.settings import TimeoutSettings
from ctxeng.testing.generators import GENERATOR_LAWS

SOON = 3.0
"""Seconds within which a test's call must be back, whatever the server does."""

REPLIES = {"openai": chat, "anthropic": message}
BEGINNINGS = {
    # A stream up to its first token, by backend: with that token, or with all but that.
    "openai": ([delta(role="assistant", content="")], [delta(content="half")]),
    "anthropic": ([start(), block(), {"type": "ping"}], [said("half")]),
}


@pytest.fixture(params=sorted(BACKENDS))
def backend(request):
    return request.param


@pytest.fixture
def generator(backend, server):
    return BACKENDS[backend](server)


def begun(backend, *then):
    """A stream that goes on in an unwanted way after its first token."""
    before, token = BEGINNINGS[backend]
    return stream(*before, *token, *then, end=False)


def not_begun(backend, *then):
    return stream(*BEGINNINGS[backend][0], *then, end=False)


@pytest.mark.parametrize("law", GENERATOR_LAWS, ids=lambda law: law.__name__)
def test_the_laws_hold(law, generator):
    law(generator)


def test_a_reply_comes_in_pieces_with_its_counts(backend, server, generator):
    server.reset(REPLIES[backend]("fi", "n", "e"))
    found = deltas(generator)
    assert [d.text for d in found] == ["fi", "n", "e", ""]
    last = found[-1]
    assert (last.stop, last.usage.prompt_tokens, last.usage.completion_tokens) == ("stop", 11, 7)
    assert last.usage.seconds >= last.usage.first_token_seconds > 0
    (headers,) = server.headers
    assert KEY in (
        headers.get("authorization"),
        headers.get("x-api-key"),
        headers.get("authorization", "")[7:],
    )
    assert headers["accept-encoding"] == "identity"


# -- what cannot pass


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (status(401, {"error": {"message": "bad"}}), "auth", f"bad. The key comes from {KEY_ENV}"),
        (status(403, {"error": {"message": "not yours"}}), "auth", "not yours"),
        (status(404, {"error": {"message": "no model"}}), "not_found", "Check model and base_url"),
        (status(400, {"error": {"message": "prompt is too long"}}), "context_length", "too long"),
        (status(400, {"error": {"message": "what?"}}), "bad_request", "400: what?"),
        (status(422, "nonsense"), "bad_request", "nonsense"),
        (status(402, {"error": {"message": "pay"}}), "budget", "billing"),
        (status(302, "", Location="http://elsewhere.example/v1"), "refused", "elsewhere.example"),
        (status(308, "", Location="https://elsewhere.example/"), "refused", "not followed"),
        (status(200, "<html>log in</html>", content="text/html"), "bad_reply", "a web page"),
        (status(200, "<html>log in</html>", content="text/plain"), "bad_reply", "a web page"),
        (status(200, "{}", content_encoding="br"), "bad_reply", "compressed"),
        (status(200, "[1, 2]"), "bad_reply", r"no JSON object: \[1, 2\]"),
        (status(200, '{"choi'), "bad_reply", "no JSON object"),
        (status(200, "{}"), "bad_reply", "the reply has no"),
        (stream(b"data: {oh no\n\n"), "bad_reply", "no JSON object: {oh no"),
        (stream(b"data: 7\n\n"), "bad_reply", "no JSON object"),
        (stream(b"data: [" + b"[" * 50_000 + b"\n\n"), "bad_reply", "no JSON object"),
    ],
)  # fmt: skip
def test_what_cannot_pass_is_one_error_at_once(server, generator, reply, kind, says):
    reply = [piece.replace(b"content_encoding", b"Content-Encoding") for piece in reply]
    server.reset(reply)
    error = failure(generator)
    assert error.kind == kind
    assert not error.retryable
    assert len(server.requests) == 1
    assert str(error).startswith(generator.name)
    with pytest.raises(BackendError, match=says):
        raise error


PAGE = "<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>"


@pytest.mark.parametrize(
    ("reply", "table", "says"),
    [
        (status(404, PAGE, content="text/html"), {}, "status 404: a web page: 502 Bad Gateway. "),
        (status(404, "<h1>Not\nhere</h1>"), {}, "status 404: a web page: Not here. Check "),
        (status(404, "no"), {}, "/chat/completions was asked"),
        (status(404, "no"), {"profile": "ollama"}, "`ollama pull small` gets one."),
        (status(405, "no"), {}, "Check model and base_url"),
        (status(200, "It runs", content="text/plain"), {}, "what came is no reply: It runs. Does "),
        (status(401, {"error": {"message": "Who is it?."}}), {}, "Who is it?. The key comes "),
        (status(400, {"error": {"message": "foo?"}}), {}, "foo?. Does the model take "),
    ],
)
def test_a_message_says_what_came_and_what_to_do(server, reply, table, says):
    server.reset(reply)
    assert says in str(failure(BACKENDS["openai"](server, **table)))


def test_a_redirect_takes_the_key_nowhere(generator, server):
    with serving() as elsewhere:
        server.reset(status(307, "", Location=f"{elsewhere.url}/chat/completions"))
        assert failure(generator).kind == "refused"
        assert elsewhere.connections == 0


def test_without_a_key_none_is_sent_and_the_error_says_how_to_name_one(backend, server):
    server.reset(status(401, {"error": {"message": "who are you?"}}))
    error = failure(BACKENDS[backend](server, key_env=""))
    assert "key_env" in str(error)
    assert not {"authorization", "x-api-key"} & set(server.headers[0])


def test_a_missing_key_is_told_before_anything_is_sent(backend, server, monkeypatch):
    monkeypatch.delenv(KEY_ENV)
    error = failure(BACKENDS[backend](server))
    assert error.kind == "auth"
    assert f"environment variable {KEY_ENV}" in str(error)
    assert server.connections == 0


def test_the_key_is_read_for_each_request(generator, server, monkeypatch):
    deltas(generator)
    monkeypatch.setenv(KEY_ENV, "sk-another-0123456789")
    deltas(generator)
    assert "sk-another-0123456789" in str(server.headers[1])
    assert KEY not in str(server.headers[1])


# -- what can pass


@pytest.mark.parametrize("number", [408, 429, 500, 502, 503, 504, 529])
def test_what_can_pass_is_tried_again_and_each_try_is_in_the_trace(server, generator, number):
    failing = status(number, {"error": {"message": "busy"}})
    server.reset(failing, failing)
    found, stages = tries(partial(deltas, generator))
    assert text(found) == "fine"
    assert [(s["try"], s["status"]) for s in stages] == [(1, number), (2, number), (3, 200)]
    assert stages[0]["wait"] == 0
    assert all(s["wait"] <= 0.05 for s in stages)
    assert [bool(s["error"]) for s in stages] == [True, True, False]
    assert {s["model"] for s in stages} == {generator.name}


@pytest.mark.parametrize(
    "how", [[RESET], [CLOSE], [b"HTT", CLOSE], [b"no http at all\r\n\r\n", CLOSE]]
)
def test_broken_connections_are_tried_again(server, generator, how):
    server.reset(how, how)
    assert text(deltas(generator)) == "fine"
    assert len(server.requests) == 3


def test_a_stream_that_breaks_before_its_first_token_is_tried_again(backend, server, generator):
    cut = not_begun(backend, event({"type": "ping"})[:9])
    for ending in ([RESET], [CLOSE], [b"0\r\n\r\n"]):
        server.reset([*cut, *ending])
        assert text(deltas(generator)) == "fine"
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "overloaded", "type": "overloaded_error"}},
        {"error": {"message": "upstream", "code": 502}},
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    ],
)
def test_an_error_inside_a_stream_is_tried_again_before_the_first_token(
    backend, server, generator, error
):
    server.reset(not_begun(backend, error, CLOSE))
    assert text(deltas(generator)) == "fine"
    server.reset(begun(backend, error, CLOSE))
    came, why = interrupted(deltas(generator))
    assert came == "half"
    assert error["error"]["message"] in why
    assert len(server.requests) == 1


def test_at_last_the_failure_is_raised_and_says_how_often_it_was_tried(server, generator):
    server.reset(*[status(503, "down")] * 9)
    error = failure(generator)
    assert (error.kind, error.retryable, len(server.requests)) == ("unavailable", True, 5)
    assert "down (5 tries)" in str(error)


def test_the_pauses_grow_and_are_random(backend, server):
    pauses = set()
    for _ in range(3):
        server.reset(*[status(500, "down")] * 9)
        _, stages = tries(partial(failure, BACKENDS[backend](server, first_pause=0.02)))
        waits = [s["wait"] for s in stages]
        assert all(wait <= 0.02 * 2**n for n, wait in enumerate(waits))
        pauses.update(waits[1:])
    assert len(pauses) > 6


def test_the_pause_that_the_server_asks_for_is_kept(server, generator):
    now = datetime.now(UTC)
    date = format_datetime(now + timedelta(seconds=1), usegmt=True)
    server.reset(
        status(429, "slow down", Retry_After="0.2"),
        status(529, "slow down", Retry_After=date, Date=format_datetime(now, usegmt=True)),
    )
    found, stages = tries(partial(deltas, generator))
    assert text(found) == "fine"
    assert 0.2 <= stages[1]["wait"] <= 0.25
    assert 0.9 <= stages[2]["wait"] <= 1.2


def test_a_pause_beyond_the_deadline_is_not_waited_for(server, generator):
    server.reset(status(429, "slow down", Retry_After="3600"))
    began = time.monotonic()
    error = failure(generator)
    assert time.monotonic() - began < SOON
    assert (error.kind, error.retryable, error.retry_after) == ("rate_limit", True, 3600)
    assert "asks to wait 3600 s" in str(error)


def test_nobody_listening_is_an_error_that_asks_whether_the_server_runs(backend):
    with serving() as gone:
        pass
    error = failure(BACKENDS[backend](gone, key_env=""))
    assert (error.kind, error.retryable) == ("unavailable", True)
    assert "Is the server running" in str(error)


def test_a_host_that_does_not_exist_is_an_error(backend, server):
    table = {"base_url": "http://nowhere.invalid:1/v1", "key_env": ""}
    assert failure(BACKENDS[backend](server, **table)).kind == "unavailable"


def test_tls_to_a_plain_server_is_told_as_that_and_not_tried_again(backend, server):
    url = server.root.replace("http://", "https://")
    error = failure(BACKENDS[backend](server, base_url=url))
    assert (error.kind, error.retryable) == ("unavailable", False)
    assert "https://" in str(error)
    assert server.connections == 1


def test_a_server_that_accepts_and_never_answers_is_given_up(backend):
    with socket.create_server(("127.0.0.1", 0), backlog=8) as silent:
        table = {"base_url": f"http://127.0.0.1:{silent.getsockname()[1]}/v1"}
        timeout = TimeoutSettings(connect=1, first_token=0.1, between_tokens=0.1, total=0.5)
        began = time.monotonic()
        error = failure(BACKENDS[backend](None_(), timeout, key_env="", **table))
    assert time.monotonic() - began < SOON
    assert (error.kind, error.retryable) == ("timeout", True)


class None_:  # noqa: N801 - a server that is not there
    url = root = ""


# -- time


def test_a_stall_before_the_first_token_is_tried_again(backend, server):
    for stalling in ([STALL], [head(), STALL], not_begun(backend, STALL)):
        server.reset(stalling)
        found, stages = tries(partial(deltas, BACKENDS[backend](server, QUICK)))
        assert text(found) == "fine"
        assert [s["error"] for s in stages] == ["timeout", ""]
        assert server.gone.wait(SOON)


def test_a_stall_in_mid_stream_keeps_what_has_come_and_closes_the_connection(backend, server):
    server.reset(begun(backend, STALL))
    came, why = interrupted(deltas(BACKENDS[backend](server, QUICK)))
    assert came == "half"
    assert "no further token within 0.25 s" in why
    assert "timeout.between_tokens" in why
    assert server.gone.wait(SOON)
    assert len(server.requests) == 1


def test_signs_of_life_are_no_tokens(backend, server):
    """Comments and pings for ever do not hold a call for ever."""
    alive = chunk(b": here\n\n"), chunk(event({"type": "ping", "choices": []}))
    for before in (not_begun(backend), begun(backend)):
        server.reset(*[itertools.chain(before, paced(*alive)) for _ in range(9)])
        began = time.monotonic()
        timeout = TimeoutSettings(connect=1, first_token=0.2, between_tokens=0.2, total=0.6)
        generator = BACKENDS[backend](server, timeout)
        try:
            assert text(deltas(generator)) == "half"
        except BackendError as error:
            assert error.kind == "timeout"
        assert time.monotonic() - began < SOON


PACE = 0.002
"""Seconds between two pieces of a slow server."""


def paced(*steps, times=None):
    """The steps again and again, at a server's pace."""
    rounds = itertools.repeat(None) if times is None else range(times)
    return (one for _ in rounds for step in steps for one in (step, PACE))


def test_thoughts_count_as_tokens_but_can_be_tried_again(backend, server):
    thought = {
        "openai": delta(reasoning_content="hm"),
        "anthropic": {"type": "content_block_delta", "delta": {"type": "thinking_delta"}},
    }[backend]
    thinking = chunk(event(thought))
    server.reset(
        itertools.chain(not_begun(backend), paced(thinking, times=60), [CLOSE]),
        itertools.chain(
            not_begun(backend), paced(thinking, times=150), begun(backend)[1:], [CLOSE]
        ),
    )
    timeout = TimeoutSettings(connect=1, first_token=0.15, between_tokens=0.15, total=5)
    came, _ = interrupted(deltas(BACKENDS[backend](server, timeout)))
    assert came == "half"
    assert len(server.requests) == 2


def test_the_total_time_ends_a_reply_that_comes_too_slowly(backend, server):
    token = chunk(event(BEGINNINGS[backend][1][0]))
    server.reset(itertools.chain(begun(backend), paced(token)))
    timeout = TimeoutSettings(connect=1, first_token=1, between_tokens=1, total=0.3)
    began = time.monotonic()
    came, why = interrupted(deltas(BACKENDS[backend](server, timeout)))
    assert 0.25 < time.monotonic() - began < SOON
    assert came.startswith("halfhalf")
    assert "no whole reply within 0.3 s" in why
    assert "timeout.total" in why


def test_the_total_time_spans_all_tries(backend, server):
    server.reset(*[[STALL]] * 9)
    timeout = TimeoutSettings(connect=1, first_token=0.2, between_tokens=1, total=0.5)
    began = time.monotonic()
    error = failure(BACKENDS[backend](server, timeout))
    assert time.monotonic() - began < SOON
    assert error.kind == "timeout"
    assert len(server.requests) in {2, 3}


def test_counts_that_never_come_do_not_hold_a_reply_that_has_ended(backend, server):
    stop = {"openai": [finish()], "anthropic": [closed(), end()]}[backend]
    for then in ([STALL], [RESET], [b"data: {oh", CLOSE]):
        server.reset(begun(backend, *stop, *then))
        found = deltas(BACKENDS[backend](server, QUICK))
        assert (text(found), found[-1].stop, found[-1].error) == ("half", "stop", "")
        assert found[-1].usage.completion_tokens > 0


def test_a_plain_number_is_the_time_in_all(backend, server):
    server.reset(*[[STALL]] * 9)
    began = time.monotonic()
    assert failure(BACKENDS[backend](server, 0.3)).kind == "timeout"
    assert time.monotonic() - began < SOON


# -- bytes


class Peak:
    """The most memory that the process has had since this was made, in MB beyond what it had."""

    def __init__(self):
        self._file = Path("/proc/self/clear_refs")
        if not self._file.exists():
            pytest.skip("only Linux tells the peak of a stretch of time")
        self._file.write_text("5")  # forgets the peak so far
        self._before = self._kilobytes("VmRSS")

    def growth(self):
        return (self._kilobytes("VmHWM") - self._before) / 1024

    def _kilobytes(self, name):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@pytest.mark.parametrize(
    ("beginning", "filler"),
    [
        (head(), b"x" * 65_536),
        (head() + b"data: ", b"x" * 65_536),
        (head() + b"data: {}\n\n", b"data: {}\n\n" * 6_500),
        (head() + b":", b" " * 65_536),
        (head(content="application/json") + b'{"choices": "', b"x" * 65_536),
        (head(content="application/json", Content_Length=1 << 30), b" " * 65_536),
        (head(500, content="text/plain", Content_Length=1 << 30), b"x" * 65_536),
        (head(200, content="text/html", Content_Length=1 << 30), b"<p>" * 21_845),
    ],
    ids=["line", "event", "events", "comment", "json", "spaces", "error", "page"],
)
def test_a_body_of_a_gigabyte_is_given_up_early(backend, server, beginning, filler):
    many = (1 << 30) // len(filler)
    server.reset(*[[beginning, Flood(filler, many)]] * 5)
    peak = Peak()
    error = failure(BACKENDS[backend](server, timeout=2.0))
    assert error.kind in {"bad_reply", "unavailable", "timeout"}
    assert peak.growth() < 40
    assert server.sent < 90_000_000 * len(server.requests)


class Flood(bytes):
    """Stands in a reply for its bytes, many times."""

    def __new__(cls, filler, many):
        made = super().__new__(cls, filler)
        made.many = many
        return made


def test_a_reply_that_grows_beyond_the_limit_keeps_what_has_come(backend, server, monkeypatch):
    monkeypatch.setattr(http, "MAX_BODY", 100_000)
    token = chunk(event(BEGINNINGS[backend][1][0]))
    server.reset(itertools.chain(begun(backend), itertools.repeat(token, 5_000)))
    came, why = interrupted(deltas(BACKENDS[backend](server)))
    assert came.startswith("halfhalf")
    assert "larger than 100,000 bytes" in why


# -- forms of a stream


def test_unknown_fields_and_events_are_passed_over(backend, server, generator):
    strange = [
        b": a comment\n\n",
        b'event: brand_new\nid: 3\nretry: 10\ndata: {"type": "brand_new", "x": [1]}\n\n',
        {"type": "content_block_start", "content_block": {"type": "hologram"}, "choices": []},
        {"choices": [{"index": 0, "delta": {"hologram": 1}, "logprobs": None, "x": {}}]},
        {"choices": None, "usage": None, "error": None},
        {"choices": [7, None, {"delta": None}], "usage": {"prompt_tokens": -1}},
    ]
    before, token = BEGINNINGS[backend]
    ending = [finish(), DONE] if backend == "openai" else [end(), OVER]
    server.reset(stream(*before, *strange, *token, *strange, *ending))
    found = deltas(generator)
    assert (text(found), found[-1].stop) == ("half", "stop")


def test_bytes_that_are_no_utf_8_become_marks(backend, server, generator):
    bad = event(BEGINNINGS[backend][1][0]).replace(b"half", b"h\xff\xfef")
    ending = [finish(), DONE] if backend == "openai" else [end(), OVER]
    server.reset(stream(*BEGINNINGS[backend][0], bad, *ending))
    assert text(deltas(generator)) == "h\ufffd\ufffdf"


def test_a_stream_cut_into_single_bytes_is_the_same_reply(backend, server, generator):
    pieces = [piece for piece in REPLIES[backend]("fi", "ñe") if piece is not STALL]
    body = b"".join(piece.split(b"\r\n", 1)[1][:-2] for piece in pieces[1:-1])
    single = [head(), *(body[at : at + 1] for at in range(len(body))), CLOSE]
    server.reset(single)
    assert text(deltas(generator)) == "fiñe"


def test_broken_json_after_the_first_token_keeps_what_has_come(backend, server, generator):
    server.reset(begun(backend, b"data: {oh no\n\n", STALL))
    came, why = interrupted(deltas(generator))
    assert came == "half"
    assert "no JSON object" in why


def test_a_stream_half_closed_after_the_first_token_keeps_what_has_come(backend, server, generator):
    for ending in ([RESET], [CLOSE], [b"0\r\n\r\n"], [chunk(b'data: {"cho'), b"0\r\n\r\n"]):
        server.reset([*begun(backend), *ending])
        came, why = interrupted(deltas(generator))
        assert came == "half"
        assert "connection" in why
        assert why.endswith(RETRY_ADVICE)
        assert len(server.requests) == 1


def test_text_and_failure_that_come_together_are_both_told(backend, server, generator):
    together = b"".join(event(e) for e in BEGINNINGS[backend][1]) + b"data: {oh no\n\n"
    server.reset(not_begun(backend, together, STALL))
    came, why = interrupted(deltas(generator))
    assert came == "half"
    assert "no JSON object" in why


# -- cancelling


def test_a_stream_that_is_closed_early_closes_the_connection(backend, server, generator):
    server.reset(begun(backend, STALL))

    async def leave():
        stream = generator.stream(QUESTION)
        assert (await anext(stream)).text == "half"
        await stream.aclose()
        with anyio.fail_after(SOON):
            assert await anyio.to_thread.run_sync(server.gone.wait, SOON)

    anyio.run(leave)


@pytest.mark.parametrize("when", ["before the head", "before the first token", "in mid-stream"])
def test_a_cancelled_call_closes_the_connection(backend, server, generator, when):
    steps = {
        "before the head": [STALL],
        "before the first token": not_begun(backend, STALL),
        "in mid-stream": begun(backend, STALL),
    }[when]
    server.reset(steps)

    async def cancel():
        with anyio.move_on_after(0.2) as scope:
            await adeltas(generator)
        assert scope.cancelled_caught
        assert await anyio.to_thread.run_sync(server.gone.wait, SOON)

    anyio.run(cancel)


# -- many


def test_many_streams_at_once_share_one_client_and_do_not_mix(backend, server, generator):
    count = 60
    server.reset(*[REPLIES[backend](f"<{n}", f"{n}>") for n in range(count)])
    texts = []

    async def one():
        texts.append(text([d async for d in generator.stream(QUESTION)]))

    async def all_at_once():
        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(one)
        await generator.aclose()

    anyio.run(all_at_once)
    assert sorted(texts) == sorted(f"<{n}{n}>" for n in range(count))


def test_a_connection_serves_again(server, generator):
    async def three_times():
        for _ in range(3):
            assert text([d async for d in generator.stream(QUESTION)]) == "fine"
        await generator.aclose()

    anyio.run(three_times)
    assert (len(server.requests), server.connections) == (3, 1)


def test_one_generator_works_on_several_event_loops(server, generator):
    for _ in range(2):
        assert text(deltas(generator)) == "fine"
    found = []
    thread = threading.Thread(target=lambda: found.append(text(deltas(generator))))
    thread.start()
    thread.join(SOON)
    assert found == ["fine"]


def test_every_piece_may_be_asked_for_by_another_task(backend, server, generator):
    """As the plain verbs do, which run each step on the background loop by itself."""
    server.reset(REPLIES[backend]("fi", "ne"), begun(backend, STALL))
    with start_blocking_portal() as portal:
        stream = generator.stream(QUESTION)
        found = [portal.call(stream.__anext__) for _ in range(3)]
        with pytest.raises(StopAsyncIteration):
            portal.call(stream.__anext__)
        assert (text(found), found[-1].stop) == ("fine", "stop")
        stream = generator.stream(QUESTION)
        portal.call(stream.__anext__)
        portal.call(stream.aclose)
        portal.call(generator.aclose)
    assert server.gone.wait(SOON)


def test_connections_go_with_their_generator(backend, server):
    """The background loop of the plain verbs never ends: nothing may stay with it."""

    async def drop():
        generator = BACKENDS[backend](server)
        assert text([d async for d in generator.stream(QUESTION)]) == "fine"
        gone = weakref.ref(generator.client._get())
        del generator
        gc.collect()
        assert gone() is None

    anyio.run(drop)


def test_no_proxy_leads_to_ones_own_machine(server, generator, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert text(deltas(generator)) == "fine"


# -- the key


def everything(error):
    """All that a log, a crash report or a debugger would show of an error: the whole chain, and
    the variables of every frame.
    """
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    texts = list(shown.format())
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        texts += [repr(error), str(error), repr(vars(error))]
        for one in (error.__cause__, error.__context__):
            if one is not None:
                chained = traceback.TracebackException.from_exception(one, capture_locals=True)
                texts += list(chained.format())
        error = error.__cause__ or error.__context__
    return "".join(texts)


ECHO = {"error": {"message": "x" * 280 + f" wrong key {KEY}", "type": f"t{KEY}"}}


@pytest.mark.parametrize(
    "reply",
    [
        status(401, ECHO),
        status(401, f"Authorization: Bearer {KEY}"),
        status(500, ECHO, Request_Id=KEY),
        status(302, "", Location=f"http://elsewhere.example/?key={KEY}"),
        status(429, ECHO, Retry_After="3600"),
        status(200, ECHO),
        status(200, f"[{KEY}"),
        status(200, f"<html>{KEY}</html>", content=f"text/html; {KEY}"),
        [RESET],
        [f"HTTP/1.1 {KEY}\r\n\r\n".encode(), CLOSE],
        [STALL],
        stream(ECHO),
        stream(f"data: {KEY}\n\n".encode()),
    ],
)
@pytest.mark.parametrize("key", [KEY, "only-letters"])
def test_the_key_is_in_no_error_log_trace_or_repr(backend, server, reply, key, caplog, monkeypatch):
    monkeypatch.setenv(KEY_ENV, key)
    reply = [s.replace(KEY.encode(), key.encode()) if isinstance(s, bytes) else s for s in reply]
    server.reset(*[reply] * 5)
    caplog.set_level(logging.DEBUG)
    for name in ("httpcore", "httpx"):  # which log what the server's headers say
        caplog.set_level(logging.INFO, logger=name)
    timeout = TimeoutSettings(connect=1, first_token=0.1, between_tokens=0.1, total=0.4)
    generator = BACKENDS[backend](server, timeout)
    error, stages = tries(partial(failure, generator))
    assert key in str(server.headers)
    shown = everything(error) + repr(stages) + caplog.text + error.text
    shown += repr(generator) + repr(vars(generator)) + generator.name
    assert key not in shown
    assert key[:12] not in shown


def test_the_key_is_in_no_log_of_a_plain_call(generator, caplog):
    caplog.set_level(logging.DEBUG)
    assert text(deltas(generator)) == "fine"
    assert "HTTP Request" in caplog.text  # they do log
    assert KEY not in caplog.text


def test_a_key_that_the_server_sends_back_gets_into_no_reply(backend, server, generator):
    server.reset(REPLIES[backend](f"your key is {KEY}, is it not?"))
    assert text(deltas(generator)) == "your key is …, is it not?"


def test_an_interrupted_reply_does_not_tell_the_key(backend, server, generator):
    server.reset(begun(backend, ECHO, STALL))
    _, why = interrupted(deltas(generator))
    assert KEY not in why
    assert KEY[:12] not in why


def test_usage_that_is_not_reported_is_counted(backend, server, generator):
    server.reset(
        {
            "openai": stream(delta(content="five little words, at least"), finish(), DONE),
            "anthropic": stream(
                block(), said("five little words, at least"), end(output=None), OVER
            ),
        }[backend]
    )
    last = deltas(generator)[-1]
    assert last.usage.prompt_tokens >= 5
    assert last.usage.completion_tokens >= 5


def test_the_counter_learns_from_what_is_reported(backend, server, generator):
    prompt = "Expenses above five hundred euros are approved by the head of the department. " * 4
    before = generator.counter.count(prompt)
    reported = round(before * 0.8)
    counts = {"openai": {"counts": usage(reported)}, "anthropic": {"input_tokens": reported}}
    server.reset(REPLIES[backend]("fine", **counts[backend]))
    deltas(generator, [QUESTION[1].model_copy(update={"content": prompt})])
    assert generator.counter.count(prompt) == pytest.approx(reported, abs=2)


def test_a_server_that_does_not_stream_is_read_all_the_same(backend, server, generator):
    server.reset(
        whole(
            {
                "openai": {
                    "choices": [{"message": {"content": "fine"}, "finish_reason": "length"}],
                    **{"usage": {"prompt_tokens": 5, "completion_tokens": 2}},
                },
                "anthropic": {
                    "content": [{"type": "text", "text": "fine"}],
                    "stop_reason": "max_tokens",
                    "usage": {"input_tokens": 5, "output_tokens": 2},
                },
            }[backend]
        )
    )
    first, last = deltas(generator)
    assert (first.text, last.stop) == ("fine", "length")
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (5, 2)
