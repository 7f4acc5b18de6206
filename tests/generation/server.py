"""A real HTTP server on loopback that says what it is told to, misbehaviour included.

A reply is a list of steps: bytes to send, a number of seconds to let pass, or ``STALL`` (say
nothing until the client goes), ``RESET`` (break the connection), ``CLOSE`` (end it). After the last
step the connection stays open for the next request.
"""

import asyncio
import json
import socket
import struct
import threading
from contextlib import contextmanager

STALL, RESET, CLOSE = "stall", "reset", "close"

ANTHROPIC_PATH = "/v1/messages"
TLS_HANDSHAKE = b"\x16"


class Server:
    def __init__(self):
        self.replies = []
        """What the next requests get, one each; when there are none left, a plain reply."""
        self.requests = []
        """(path, headers with small letters, parsed body) of each."""
        self.connections = 0
        self.open = set()
        self.sent = 0
        self.gone = threading.Event()
        """A client has left while we had more to say."""
        self.host = ""

    @property
    def url(self):
        return f"http://{self.host}/v1"

    @property
    def root(self):
        """As the Anthropic backend is given it."""
        return f"http://{self.host}"

    def reset(self, *replies):
        self.replies = list(replies)
        self.requests.clear()
        self.gone.clear()
        self.connections = self.sent = 0

    @property
    def bodies(self):
        return [body for _, _, body in self.requests]

    @property
    def headers(self):
        return [headers for _, headers, _ in self.requests]

    async def serve(self, reader, writer):
        self.connections += 1
        self.open.add(writer)
        try:
            while (request := await read_request(reader, writer)) is not None:
                self.requests.append(request)
                reply = self.replies.pop(0) if self.replies else plain(request)
                await self.say(reply, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.set()
        finally:
            self.open.discard(writer)
            writer.close()

    async def say(self, reply, reader, writer):
        for step in reply:
            if step is STALL:
                while await reader.read(4096):
                    pass
                self.gone.set()
                raise ConnectionResetError
            if step is RESET:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
            if step in (RESET, CLOSE):
                writer.transport.abort() if step is RESET else writer.close()
                raise ConnectionAbortedError
            if isinstance(step, float):
                await asyncio.sleep(step)
                continue
            for _ in range(getattr(step, "many", 1)):
                writer.write(step)
                await writer.drain()
                self.sent += len(step)


async def read_request(reader, writer):
    try:
        first = await reader.readexactly(1)
        if first == TLS_HANDSHAKE:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return None
        head = first + await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in filter(None, lines):
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    try:
        path = first.split()[1]
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return path, headers, json.loads(body)
    except (IndexError, ValueError):
        return None  # no HTTP


def plain(request):
    """A whole reply, in the form of the API that was asked."""
    return message("fine") if request[0] == ANTHROPIC_PATH else chat("fine")


@contextmanager
def serving(tls=None):
    """``tls``: an ``ssl.SSLContext``; the server then speaks TLS only."""
    server = Server()
    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def run():
        listening = await asyncio.start_server(
            server.serve, "127.0.0.1", 0, limit=1 << 20, ssl=tls, backlog=500
        )
        server.host = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        ready.set()
        async with listening:
            await listening.start_serving()
            await stopping.wait()
        while server.open:
            for writer in list(server.open):
                writer.transport.abort()
            await asyncio.sleep(0)

    stopping = asyncio.Event()

    def thread():
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run())
        loop.close()

    running = threading.Thread(target=thread, daemon=True)
    running.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stopping.set)
        running.join(10)
        assert not running.is_alive()


def head(status=200, *, content="text/event-stream", **headers):
    """The first lines of a response; what follows ends with the connection, or is chunked."""
    lines = [f"HTTP/1.1 {status} Of Course", f"Content-Type: {content}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def stream(*steps, end=True):
    """A chunked stream of events: dicts become events, bytes go as they are."""
    said = [head(Transfer_Encoding="chunked")]
    for step in steps:
        data = event(step) if isinstance(step, dict) else step
        said.append(chunk(data) if isinstance(data, bytes) else data)
    return [*said, b"0\r\n\r\n"] if end else said


def event(data):
    text = json.dumps(data)
    name = data.get("type")
    named = f"event: {name}\n" if isinstance(name, str) else ""
    return f"{named}data: {text}\n\n".encode()


def status(number, body="", *, content="application/json", **headers):
    data = (body if isinstance(body, str) else json.dumps(body)).encode()
    return [head(number, content=content, Content_Length=len(data), **headers) + data]


def whole(body):
    """One JSON text, as from a server that does not stream."""
    return status(200, body)


DONE = b"data: [DONE]\n\n"


def delta(**fields):
    """One chunk of a chat completion."""
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def finish(reason="stop"):
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def usage(prompt=11, completion=7, **more):
    return {
        "choices": [],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, **more},
    }


def chat(*texts, reason="stop", counts=None):
    return stream(
        delta(role="assistant", content=""),
        *[delta(content=text) for text in texts],
        finish(reason),
        counts or usage(),
        DONE,
    )


def start(**counts):
    """The beginning of an Anthropic reply."""
    counts = {"input_tokens": 11, "output_tokens": 1, **counts}
    return {"type": "message_start", "message": {"id": "m", "content": [], "usage": counts}}


def block(kind="text", at=0, **fields):
    fields = fields or {"text": ""}
    return {"type": "content_block_start", "index": at, "content_block": {"type": kind, **fields}}


def text(said, at=0):
    return {
        "type": "content_block_delta",
        "index": at,
        "delta": {"type": "text_delta", "text": said},
    }


def piece(json_text, at=0):
    return {
        "type": "content_block_delta",
        "index": at,
        "delta": {"type": "input_json_delta", "partial_json": json_text},
    }


def closed(at=0):
    return {"type": "content_block_stop", "index": at}


def end(reason="end_turn", output=7, **counts):
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason},
        "usage": {"output_tokens": output, **counts},
    }


OVER = {"type": "message_stop"}


def message(*texts, reason="end_turn", **counts):
    said = [text(one) for one in texts]
    return stream(start(**counts), block(), {"type": "ping"}, *said, closed(), end(reason), OVER)
