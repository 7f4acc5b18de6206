"""llama.cpp inside this process (package ``xllamacpp``), asked over a private socket.

The package runs llama.cpp's own server on a thread of its own. It listens on a Unix socket in a
folder that only this user can enter: no port is opened, and nobody else can ask it.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakValueDictionary, finalize

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.extras import require
from ctxeng.generation.http import hang_up, watch_connections
from ctxeng.generation.loading_bar import file_bar_where_watched
from ctxeng.generation.resting_threads import resting_threads
from ctxeng.trace import stage

if TYPE_CHECKING:
    import httpx

BATCH = 128
"""Tokens of a prompt that are read before the server looks whether anybody still listens."""
KEPT_MIB = 512
"""Memory for prompts that were read before the last one."""
WINDOW = 8_192
"""Tokens, unless the model's table says more: memory for all of them is taken at once."""
HTTP_THREADS = 4
ASK_SECONDS = 60.0
WRITE_SECONDS = 60
"""That a reader may pause, with hundreds of tokens waiting for it."""
PING_SECONDS = 1
"""Between two looks of a waiting request at whether the server has ended."""
MARKER = re.compile(r"<\|.*\|>")
REMEMBERED = 4_096
"""Pieces of text of which it is known whether they are control tokens."""


class LlamaServer:
    """One model in memory. Loading it stops all other Python threads of the process for that time,
    which is the package's doing.
    """

    def __init__(self, gguf: Path, window: int | None) -> None:
        """Raises:
        ConfigError: the package is not installed, or the system has no Unix sockets.
        BackendError: the file cannot be loaded.
        """
        require("xllamacpp", "llama")
        import socket

        if not hasattr(socket, "AF_UNIX"):
            raise ConfigError(
                'backend "llama" needs Unix sockets, which this system does not have. Run '
                'llama.cpp\'s server, and name it with backend = "openai" and base_url.'
            )
        try:
            with resting_threads():
                import xllamacpp
        except ImportError as error:
            raise ConfigError(
                f"xllamacpp cannot be imported: {error}. Install the library that it names, or "
                'use backend = "transformers".'
            ) from error
        folder = Path(tempfile.mkdtemp(prefix="ctxeng-"))
        self.socket = str(folder / "llama.sock")
        wanted: Any = xllamacpp.CommonParams()
        wanted.model.path = str(gguf)
        wanted.n_ctx = window or WINDOW
        wanted.n_batch = wanted.n_ubatch = BATCH
        wanted.hostnames = [self.socket]
        wanted.n_threads_http = HTTP_THREADS
        wanted.cache_ram_mib = KEPT_MIB
        wanted.timeout_write = WRITE_SECONDS
        wanted.sse_ping_interval = PING_SECONDS
        wanted.verbosity = 0
        wanted.warmup = wanted.ui = False
        try:
            server = xllamacpp.Server(wanted)
        except RuntimeError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise BackendError(
                f"{gguf}: cannot be loaded: it is damaged, too large for the memory, or of an "
                "architecture that this llama.cpp does not know. Copy it again, or update "
                "xllamacpp."
            ) from error
        self._control: dict[str, bool] = {}
        held = self._held = [server]
        self.connections = Connections()
        # What is still at work when the interpreter ends would crash it.
        self._close = finalize(self, _close, held, self.connections, folder)
        self._close.atexit = True
        # Ending it before its loop runs would wait for ever: /slots is answered by the loop.
        self._ask("GET", "/slots")

    @property
    def library(self) -> Any:
        """The package's own object."""
        return self._held[0]

    def close(self) -> None:
        """Ends it, and whatever it is writing."""
        self._close()

    @cached_property
    def takes_tools(self) -> bool:
        """Whether the model's chat template knows of tools."""
        return bool(self._ask("GET", "/props")["chat_template_caps"].get("supports_tools"))

    def count(self, text: str) -> int:
        """Tokens of the text; what looks like a control token is text."""
        return len(self._tokens(text, control=False))

    def count_empty(self, *roles: Literal["user", "assistant"]) -> int:
        """Tokens of a chat of such messages without a word, as the model's template has it."""
        chat = [{"role": role, "content": ""} for role in roles]
        asked = self._ask("POST", "/v1/chat/completions/input_tokens", json={"messages": chat})
        return int(asked["input_tokens"])

    def is_control(self, piece: str) -> bool:
        """Whether the model would read this piece of a message as a control token."""
        if piece not in self._control:
            if len(self._control) >= REMEMBERED:
                self._control.clear()
            as_control = len(self._tokens(piece, control=True)) == 1
            # Some are read as one token whatever is asked for, as gpt-oss's `<|start|>` is.
            known = MARKER.fullmatch(piece) is not None or self.count(piece) > 1
            self._control[piece] = as_control and known
        return self._control[piece]

    def _tokens(self, text: str, *, control: bool) -> list[int]:
        body = {"content": text, "add_special": False, "parse_special": control}
        return list(self._ask("POST", "/tokenize", json=body)["tokens"])

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        import httpx

        options["extensions"] = {"trace": partial(watch_connections, self.connections.add)}
        try:
            return self._client.request(method, path, **options).raise_for_status().json()
        except httpx.HTTPError as error:
            raise BackendError(f"llama.cpp does not answer {path}: {error!r}.") from error

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        return httpx.Client(
            transport=httpx.HTTPTransport(uds=self.socket),
            base_url="http://localhost",
            timeout=ASK_SECONDS,
            trust_env=False,
        )


class Connections:
    """The connections to a server, so that all can be ended: it waits for those that are open when
    it ends, and nobody may be there to read what it writes.
    """

    def __init__(self) -> None:
        self._sockets: list[Any] = []
        self._ended = False
        self._turn = threading.RLock()  # the collector may end it in the midst of `add`

    def add(self, socket: Any) -> None:
        with self._turn:
            self._sockets = [one for one in self._sockets if one.fileno() >= 0] + [socket]
            if self._ended:
                hang_up(socket)

    def end(self) -> None:
        """End all there are, and all there will be."""
        with self._turn:
            self._ended = True
            for socket in self._sockets:
                hang_up(socket)


_servers: WeakValueDictionary[tuple[Path, int | None], LlamaServer] = WeakValueDictionary()
_starting = threading.Lock()


def llama_server(gguf: Path, window: int | None) -> LlamaServer:
    """The server of a file, started where it does not run yet. Raises as ``LlamaServer``."""
    with _starting:
        server = _servers.get((gguf, window))
        if server is None:
            with stage("generate.load") as facts:
                facts["file"] = gguf.name
                with file_bar_where_watched(gguf):
                    server = _servers[gguf, window] = LlamaServer(gguf, window)
    return server


def _close(held: list[Any], connections: Connections, folder: Path) -> None:
    connections.end()
    held.clear()  # its destructor ends the threads and waits for them
    shutil.rmtree(folder, ignore_errors=True)
