import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from ctxeng.embedding import ApiEmbedder
from ctxeng.errors import BackendError, ConfigError
from ctxeng.testing.embedders import EMBEDDER_LAWS

KEY = "sk-very-secret-0123456789"
Reply = tuple[int, dict[str, str], Any]


def letters(text: str) -> list[float]:
    counts = [float(text.lower().count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"]
    return [*counts, 1.0]


def embeddings(request: dict[str, Any]) -> Reply:
    data = [{"index": i, "embedding": letters(text)} for i, text in enumerate(request["input"])]
    return 200, {}, {"data": list(reversed(data))}  # servers promise no order


class Server:
    def __init__(self) -> None:
        self.replies: list[Callable[[dict[str, Any]], Reply]] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    def fail(self, status: int, body: Any = "busy", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies.append(lambda _: (status, named, body))


@contextmanager
def serving() -> Iterator[tuple[Server, str]]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.requests.append(request)
            state.keys.append(self.headers["Authorization"])
            answer = state.replies.pop(0) if state.replies else embeddings
            status, headers, body = answer(request)
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    try:
        yield state, f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    with serving() as found:
        yield found


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.mark.parametrize("law", EMBEDDER_LAWS, ids=lambda law: law.__name__)
def test_laws_hold(law, server):
    law(ApiEmbedder("letters", base_url=server[1], batch_size=3))


def test_texts_go_in_batches_with_the_key_and_come_back_in_order(server):
    state, url = server
    embedder = ApiEmbedder("letters", base_url=url + "/", batch_size=2)
    texts = ["aaa", "bbb", "ccc", "ddd", "eee"]
    vectors = embedder.embed(texts, "document")
    assert vectors.argmax(axis=1).tolist() == [0, 1, 2, 3, 4]
    assert [request["input"] for request in state.requests[1:]] == [
        texts[:2],
        texts[2:4],
        texts[4:],
    ]
    assert {request["model"] for request in state.requests} == {"letters"}
    assert set(state.keys) == {f"Bearer {KEY}"}


def test_blank_texts_are_not_sent(server):
    state, url = server
    vectors = ApiEmbedder("letters", base_url=url).embed(["", "a", " \n"], "document")
    assert [request["input"] for request in state.requests] == [["dimensions"], ["a"]]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_without_a_key_none_is_sent(server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    state, url = server
    ApiEmbedder("letters", base_url=url).embed(["a"], "query")
    assert set(state.keys) == {None}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_can_pass_is_tried_again_after_the_pause_the_server_names(server, status):
    state, url = server
    state.fail(status, Retry_After="0")
    state.fail(status, Retry_After="0.01")
    assert ApiEmbedder("letters", base_url=url).embed(["a"], "query").shape == (1, 27)
    assert len(state.requests) == 4  # two failures, the question for dimensions, the text


def test_a_pause_beyond_the_deadline_is_not_waited_for(server):
    state, url = server
    state.fail(429, "slow down", Retry_After="3600")
    with pytest.raises(BackendError, match='429: "slow down"') as raised:
        ApiEmbedder("letters", base_url=url, timeout=5).embed(["a"], "query")
    assert raised.value.retryable
    assert len(state.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 404])
def test_what_cannot_pass_is_not_tried_again(server, status):
    state, url = server
    state.fail(status, {"error": "no"})
    with pytest.raises(BackendError, match=str(status)) as raised:
        ApiEmbedder("letters", base_url=url).embed(["a"], "query")
    assert not raised.value.retryable
    assert len(state.requests) == 1
    if status == 401:
        assert "OPENAI_API_KEY" in str(raised.value)


def test_nobody_listening_is_a_retryable_error():
    with serving() as (_, url):
        pass
    with pytest.raises(BackendError, match="Is the server running") as raised:
        ApiEmbedder("letters", base_url=url, timeout=0.3).embed(["a"], "query")
    assert raised.value.retryable


@pytest.mark.parametrize(
    "body",
    [
        "not json at all",
        {"error": "quota"},
        {"data": []},
        {"data": [{"index": 0, "embedding": ["x"]}]},
        {"data": [{"index": 0, "embedding": None}]},
    ],
)
def test_nonsense_is_an_error(server, body):
    state, url = server
    state.fail(200, body)
    with pytest.raises(BackendError):
        ApiEmbedder("letters", base_url=url).embed(["a"], "query")


def test_a_change_of_dimensions_and_values_that_are_no_numbers_are_errors(server):
    state, url = server
    embedder = ApiEmbedder("letters", base_url=url)
    assert embedder.dimensions == 27
    state.fail(200, {"data": [{"index": 0, "embedding": [1.0, 2.0]}]})
    with pytest.raises(BackendError, match="27 dimensions"):
        embedder.embed(["a"], "query")
    state.fail(200, {"data": [{"index": 0, "embedding": [float("nan")] * 27}]})
    with pytest.raises(BackendError, match="no numbers"):
        embedder.embed(["a"], "query")


def test_a_base_url_that_is_none_is_a_configuration_error():
    with pytest.raises(ConfigError, match="is no URL"):
        ApiEmbedder("m", base_url="localhost:8080/v1").embed(["a"], "query")


@pytest.mark.parametrize("key", [KEY, KEY + "\x07", "schlüssel-" + KEY])
def test_the_key_is_in_no_error_and_no_repr(server, monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    state, url = server
    state.fail(401, f"bad key {KEY}")
    embedder = ApiEmbedder("letters", base_url=url.replace("//", "//user:password@"), timeout=0.3)
    shown = repr(embedder) + embedder.name + repr(vars(embedder))
    assert "password" not in embedder.name
    with pytest.raises((BackendError, ConfigError)) as raised:
        embedder.embed(["a"], "query")
    error: BaseException | None = raised.value
    while error is not None:
        shown += str(error) + repr(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert KEY not in shown
