"""One request to a server: where it goes, what it carries, and how much may come back.

Redirects are not followed, bodies are bounded, every wait has an end, and the key is in nothing
but the request's header. Errors are raised outside of ``except`` blocks: what httpx raises holds
the request, and with it the key.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import anyio
from anyio.lowlevel import RunVar
from pydantic import JsonValue

from ctxeng.errors import BackendError, BackendErrorKind, ConfigError
from ctxeng.generation.alarm import Alarm
from ctxeng.generation.faults import TryError, of_exception, of_status
from ctxeng.generation.keys import Secret
from ctxeng.generation.profiles import Profile, parse_url, profile_of
from ctxeng.generation.sse import EventParser, TooLongError
from ctxeng.settings import ModelSettings, TimeoutSettings

if TYPE_CHECKING:
    import ssl

    import httpx

MAX_BODY = 64_000_000
"""Bytes of one reply with all its events."""
MAX_EVENT = 4_000_000
MAX_WHOLE = 16_000_000
"""Bytes of a reply that is one JSON text."""
MAX_ERROR = 64_000
"""Bytes that are read of a response that is no reply."""
CLOSING = 1.0
"""Seconds that closing a connection may take."""

SHOWN = 120
EVENTS = re.compile(rb"(data|event|id|retry)?:|$")
"""How a stream of events begins."""
BOM = b"\xef\xbb\xbf"

_OWN_MACHINE = ("all://localhost", "all://127.0.0.1", "all://[::1]")


@dataclass(frozen=True, slots=True)
class Server:
    """A model and where it is asked."""

    model: str
    place: str
    """The base URL: what messages show."""
    url: str
    profile: Profile
    key_env: str
    """Empty: no key is sent."""
    timeouts: TimeoutSettings

    @property
    def name(self) -> str:
        return f"{self.model}@{self.place}"

    @property
    def needs_key(self) -> bool:
        return bool(self.key_env)

    def advice(self, kind: BackendErrorKind) -> str:
        """What somebody who meets an error of this kind can do."""
        if kind == "auth" and not self.key_env:
            return (
                "No key was sent: name the environment variable, or keyring entry, that holds it "
                "with key_env in the model's table."
            )
        get = self.profile.get_model.format(model=self.model)
        get = f" `{get}` gets one." if get else ""
        return _ADVICE.get(kind, "").format(key_env=self.key_env, url=self.url, get=get)


_ADVICE: Mapping[BackendErrorKind, str] = {
    "auth": "The key comes from {key_env} (environment or keyring): is it right, and may it use "
    "this model?",
    "not_found": "Check model and base_url in the model's table: {url} was asked. The server's "
    "list of models shows what it has.{get}",
    "context_length": "Lower max_tokens or the context's budget.",
    "rate_limit": "Wait, or lower max_concurrent or requests_per_minute in the model's table.",
    "unavailable": "Is the server running, and is base_url right?",
    "refused": "If you trust that address, set base_url to it.",
    "budget": "The account has no credit left: see the vendor's billing page.",
    "bad_request": "Does the model take what is asked? Its documentation says which parameters, "
    "messages and files it does.",
    "other": "Ask again, or look into the server's log.",
    "bad_reply": "Does base_url lead to the API that the model's backend speaks?",
}


def server_of(table: ModelSettings) -> Server:
    """Raises:
    ConfigError: the table names no model, no place, or a profile that does not exist.
    """
    profile = profile_of(table)
    if not table.model:
        raise ConfigError(f"a model of backend {table.backend!r} needs a name: model = …")
    base = (table.base_url or profile.base_url).rstrip("/")
    if not base:
        raise ConfigError(f"profile {profile.name!r} has no address of its own: set base_url.")
    host = parse_url(base).hostname
    base = base.removesuffix(profile.path)
    path = profile.path
    if base.endswith("/v1"):
        path = path.removeprefix("/v1")
    # A vendor's key goes to that vendor and to nobody else, unless the table says so.
    own = profile.key_env if host in profile.hosts else ""
    return Server(
        model=table.model,
        place=base,
        url=base + path,
        profile=profile,
        key_env=table.key_env or own,
        timeouts=table.timeouts,
    )


def refuse_part(server: Server, what: str, taken: Sequence[str]) -> BackendError:
    """A part of a message that the backend does not take."""
    instead = f"it takes {', '.join(taken)}" if taken else "it takes none"
    return BackendError(
        f"{server.name}: {what}: {instead} (profile {server.profile.name!r}). Leave it out, or "
        "hand in its text.",
        kind="bad_request",
    )


class LateError(TryError):
    """The time that was given has passed."""

    def __init__(self) -> None:
        super().__init__("timeout", "nothing came in time", retryable=True)


class _Loop:
    """Stands for one event loop, and lives as long."""


_loop: RunVar[_Loop] = RunVar("ctxeng event loop")


class Client:
    """One pool of connections for each event loop, shared by all streams on it. It goes with its
    loop, or with its owner.
    """

    def __init__(self, *, socket: str = "", connected: Callable[[Any], None] | None = None) -> None:
        """``socket``: path of the Unix socket that is asked, whatever the address says.
        ``connected``: called with each connection's socket when it stands.
        """
        self._socket = socket
        self._connected = connected
        self._clients: WeakKeyDictionary[_Loop, httpx.AsyncClient] = WeakKeyDictionary()

    async def send(
        self, server: Server, key: Secret, body: bytes, *, until: float
    ) -> httpx.Response:
        """The response, its head read and nothing more.

        Args:
            until: in the loop's time; the head must have come by then.

        Raises:
            TryError: there is none.
        """
        import httpx

        def sign(request: httpx.Request) -> httpx.Request:
            if key:
                header = server.profile.key_header
                request.headers[header] = server.profile.key_prefix + key.reveal()
            return request

        client = self._get()
        try:
            request = client.build_request(
                "POST",
                server.url,
                content=body,
                headers={
                    "Content-Type": "application/json",
                    "Accept": "text/event-stream, application/json",
                    "Accept-Encoding": "identity",
                    **server.profile.headers,
                },
                timeout=httpx.Timeout(None, connect=server.timeouts.connect),
                extensions={"trace": self._watch} if self._connected else {},
            )
            with anyio.fail_after(max(0.0, until - anyio.current_time())):
                return await client.send(request, auth=sign, stream=True, follow_redirects=False)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failed = of_exception(error)
        except TimeoutError:
            failed = LateError()
        raise failed

    async def aclose(self) -> None:
        """Close the connections of this event loop. They are opened again when they are needed."""
        client = self._clients.pop(_this_loop(), None)
        if client is not None:
            await client.aclose()

    async def _watch(self, event: str, about: Mapping[str, Any]) -> None:
        watch_connections(self._connected, event, about)

    def _get(self) -> httpx.AsyncClient:
        loop = _this_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = _new_client(self._socket)
        return client


def watch_connections(
    connected: Callable[[Any], None] | None, event: str, about: Mapping[str, Any]
) -> None:
    """Takes what httpx's extension ``trace`` tells, and hands on the socket of each connection."""
    if connected and event.startswith("connection.connect_") and event.endswith(".complete"):
        connected(about["return_value"].get_extra_info("socket"))


def hang_up(socket: Any) -> None:
    """End a connection at once, whoever reads or writes it, from any thread."""
    with suppress(OSError):  # it has ended already
        socket.shutdown(SHUT_RDWR)


def _this_loop() -> _Loop:
    loop = _loop.get(None)
    if loop is None:
        loop = _Loop()
        _loop.set(loop)
    return loop


def _new_client(socket: str) -> httpx.AsyncClient:
    import httpx

    if socket:
        transport = httpx.AsyncHTTPTransport(uds=socket, limits=httpx.Limits(max_connections=None))
        return httpx.AsyncClient(transport=transport, trust_env=False)
    return httpx.AsyncClient(
        verify=_tls(),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        mounts=dict.fromkeys(_OWN_MACHINE),  # no proxy leads to one's own machine
    )


@cache
def _tls() -> ssl.SSLContext:
    """Reading all certificates takes longer than a request: once per process."""
    import httpx

    return httpx.create_ssl_context()


@dataclass(slots=True, repr=False)
class Incoming:
    """A response that is being read. ``whole``: it is one JSON text and no stream of events;
    ``ended``: all of it has come.
    """

    response: httpx.Response
    key: Secret
    whole: bool = False
    ended: bool = False
    _chunks: AsyncGenerator[bytes] | None = None
    _parser: EventParser = field(default_factory=lambda: EventParser(MAX_EVENT))
    _body: bytearray = field(default_factory=bytearray)
    _size: int = 0
    _sniffed: bool = False
    _first: bytes = b""
    _hides: bool = field(init=False)
    _alarm: Alarm = field(init=False)

    def __post_init__(self) -> None:
        self._hides = self.key.unmistakable

    async def check(self, until: float) -> None:
        """Raises:
        TryError: it is not the beginning of a reply.
        """
        response = self.response
        if response.status_code != 200:
            headers = {name.lower(): value for name, value in response.headers.items()}
            body = (await self._error_body(until)).decode("utf-8", "replace")
            raise of_status(response.status_code, headers, body)
        kind = response.headers.get("content-type", "")
        if "html" in kind:
            raise TryError("bad_reply", f"a web page came instead of a reply ({kind})")
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise TryError("bad_reply", f"the reply is compressed ({encoding}), unasked")

    def texts(self, chunk: bytes | None) -> list[str] | None:
        """The data of the events that are whole with this chunk; None: all has come.

        Raises:
            TryError: too much came, or what is no reply.
        """
        if chunk is None:
            self.ended = True
            return self._rest()
        self._size += len(chunk)
        if self._size > MAX_BODY:
            raise TryError("bad_reply", f"the reply is larger than {MAX_BODY:,} bytes")
        if not self._sniffed:
            chunk = chunk.removeprefix(BOM).lstrip()
            if not chunk:
                return []
            self._sniffed, self.whole = True, chunk.startswith((b"{", b"["))
            self._first = chunk[:SHOWN]
            if chunk.startswith(b"<"):
                raise TryError("bad_reply", "a web page came instead of a reply")
        if self.whole:
            self._body += chunk
            if len(self._body) > MAX_WHOLE:
                raise TryError("bad_reply", f"the reply is larger than {MAX_WHOLE:,} bytes")
            return []
        try:
            texts = self._parser.feed(chunk)
        except TooLongError:
            too_long = TryError("bad_reply", f"one event is larger than {MAX_EVENT:,} bytes")
        else:
            return [self.key.hide(text) for text in texts] if self._hides else texts
        raise too_long

    def no_events(self) -> str:
        """What came in the place of events and of JSON, or empty."""
        if self.whole or EVENTS.match(self._first):
            return ""
        return self._shown(self._first.decode("utf-8", "replace"))

    async def close(self) -> None:
        """Ends the connection, unless all of it was read: then it can serve again."""
        closed = False
        try:
            with anyio.move_on_after(CLOSING, shield=True):
                if self._chunks is not None:
                    self._alarm.stop()
                    await self._chunks.aclose()
                await self.response.aclose()
                closed = True
        finally:
            if not closed:
                self._hang_up()

    def _hang_up(self) -> None:
        """At once: at the end of an event loop nothing can be waited for, and a server goes on
        writing as long as the connection stands.
        """
        stream = self.response.extensions.get("network_stream")
        socket = stream.get_extra_info("socket") if stream is not None else None
        if socket is not None:
            hang_up(socket)

    async def chunk(self, until: float) -> bytes | None:
        """What has come next; None: nothing will.

        Raises:
            TryError: nothing came in time, or the connection broke.
        """
        if self._chunks is None:
            # Not aiter_raw, which is some more functions for each token.
            stream = cast("httpx.AsyncByteStream", self.response.stream)
            self._chunks = cast("AsyncGenerator[bytes]", aiter(stream))
            self._alarm = Alarm(self.response.extensions["network_stream"].aclose)
        chunk, failed = None, None
        self._alarm.begin(until)
        try:
            chunk = await anext(self._chunks, None)
        except Exception as error:
            failed = _failure(error)
            if failed is None:
                raise
        finally:
            self._alarm.until = None
        if chunk is None and self._alarm.rang:
            raise LateError
        if failed is not None:
            raise failed
        return chunk

    def _rest(self) -> list[str] | None:
        """At the end of the body: what is still to be handed on, then None."""
        if self.whole:
            body, self._body = bytes(self._body), bytearray()
            return [self._shown(body.decode("utf-8", "replace"))] if body else None
        return [self._shown(text) for text in self._parser.end()] or None

    def _shown(self, text: str) -> str:
        """A server that sends the key back does not get it into a reply."""
        return self.key.hide(text) if self._hides else text

    async def _error_body(self, until: float) -> bytes:
        """As much of it as comes in time and is worth reading."""
        body = bytearray()
        while len(body) < MAX_ERROR:
            try:
                chunk = await self.chunk(until)
            except TryError:
                break  # the status alone says what matters
            if chunk is None:
                break
            body += chunk
        return bytes(body[:MAX_ERROR])


def _failure(error: Exception) -> TryError | None:
    """What httpx raises, as ours."""
    import httpx

    return of_exception(error) if isinstance(error, httpx.HTTPError | httpx.StreamError) else None


def as_json(body: Mapping[str, JsonValue]) -> bytes:
    """Lone surrogates, which no server can read, become question marks."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
