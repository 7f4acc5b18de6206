"""Asks an OpenAI-compatible server for vectors."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import tenacity

from ctxeng.embedding.packaged import unit_rows
from ctxeng.errors import BackendError, ConfigError
from ctxeng.protocols import TextKind, Vectors

if TYPE_CHECKING:
    import httpx

PASSING = {408, 409, 425, 429, 500, 502, 503, 504}
"""Statuses that a later try may not meet."""
LONGEST_WAIT = 20.0


class _RetryAfterError(BackendError):
    """A failure that can pass; ``seconds`` is what the server asked to wait, if it did."""

    def __init__(self, message: str, seconds: float | None = None) -> None:
        super().__init__(message, retryable=True)
        self.seconds = seconds


class ApiEmbedder:
    """``POST {base_url}/embeddings`` of OpenAI and of every server that speaks like it.

    Rows are scaled to length 1. A blank text is not sent (servers refuse it) and gets a fixed unit
    vector. What can pass (no connection, 429, 5xx) is tried again with growing random pauses, or
    after the pause that the server names, until ``timeout`` seconds have gone by.

    Args:
        model: as the server calls it.
        base_url: ``https://api.openai.com/v1``, ``http://127.0.0.1:8080/v1``.
        key_env: environment variable with the key; read at each request, kept nowhere. Unset: no
            key is sent, as local servers want none.
        batch_size: texts in one request.
        timeout: seconds for one request with all its tries.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str,
        key_env: str = "OPENAI_API_KEY",
        batch_size: int = 32,
        timeout: float = 60.0,
    ) -> None:
        self._model = model
        self._base_url = base_url.rstrip("/")
        self._key_env = key_env
        self._batch_size = batch_size
        self._timeout = timeout

    @property
    def name(self) -> str:
        return f"{self._model}@{self._place}"

    @cached_property
    def dimensions(self) -> int:
        """Asks the server, once."""
        return len(self._ask(["dimensions"])[0])

    def embed(self, texts: Sequence[str], kind: TextKind) -> Vectors:
        """Raises:
        ConfigError: the base URL is no URL.
        BackendError: the server failed, refused or answered nonsense; ``retryable`` where the
            failure could have passed but did not within the timeout.
        """
        rows = np.zeros((len(texts), self.dimensions), np.float32)
        sent = [index for index, text in enumerate(texts) if text.strip()]
        for start in range(0, len(sent), self._batch_size):
            batch = sent[start : start + self._batch_size]
            vectors = self._ask([texts[index] for index in batch])
            if {len(vector) for vector in vectors} != {self.dimensions}:
                raise BackendError(f"{self.name}: vectors do not have {self.dimensions} dimensions")
            rows[batch] = vectors
        if not np.isfinite(rows).all():
            raise BackendError(f"{self.name}: a vector holds values that are no numbers")
        return unit_rows(rows)

    def coverage(self, text: str) -> float:
        """1: what a model behind an API knows cannot be seen."""
        return 1.0

    def __repr__(self) -> str:
        return f"ApiEmbedder({self.name})"

    @cached_property
    def _client(self) -> httpx.Client:
        import httpx

        return httpx.Client()

    @property
    def _place(self) -> str:
        """The base URL without a user or password that someone put into it."""
        scheme, _, rest = self._base_url.rpartition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}" if scheme else rest

    def _ask(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, asked for until it is there or time is up."""
        tries = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_RetryAfterError),
            wait=_pause,
            stop=tenacity.stop_before_delay(self._timeout),
            reraise=True,
        )
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        return tries(self._post, clean, deadline=time.monotonic() + self._timeout)

    def _post(self, texts: Sequence[str], *, deadline: float) -> list[list[float]]:
        import httpx

        key = os.environ.get(self._key_env, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(f"The key in {self._key_env} holds characters that no key has.")
        try:
            response = self._client.post(
                f"{self._base_url}/embeddings",
                json={"model": self._model, "input": texts, "encoding_format": "float"},
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=max(0.1, deadline - time.monotonic()),
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ConfigError(f"embedding.base_url = {self._place!r} is no URL: {error}") from None
        except httpx.RequestError as error:
            why = f"{type(error).__name__}: {error}"
            why = why.replace(key, "…") if key else why
            raise _RetryAfterError(
                f"{self.name}: no answer ({why}). Is the server running and "
                "embedding.base_url right?"
            ) from None  # the chain would carry the request with its key
        if response.is_error:
            said = " ".join(response.text.split())[:300]
            said = said.replace(key, "…") if key else said
            message = f"{self.name}: refused with status {response.status_code}: {said}"
            if response.status_code in PASSING:
                raise _RetryAfterError(message, _seconds(response.headers.get("Retry-After", "")))
            if response.status_code in {401, 403}:
                message += f" (the key comes from the environment variable {self._key_env})"
            raise BackendError(message)
        return self._vectors(response, len(texts))

    def _vectors(self, response: httpx.Response, count: int) -> list[list[float]]:
        try:
            data = sorted(response.json()["data"], key=lambda item: item["index"])
            vectors = [[float(value) for value in item["embedding"]] for item in data]
        except (ValueError, KeyError, TypeError) as error:
            raise BackendError(
                f"{self.name}: the answer is not a list of embeddings ({error!r}). Does "
                "embedding.base_url end where /embeddings must follow?"
            ) from error
        if len(vectors) != count:
            raise BackendError(f"{self.name}: {len(vectors)} vectors for {count} texts")
        return vectors


def _pause(state: tenacity.RetryCallState) -> float:
    """Seconds until the next try: what the server asked for, else growing and random."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _RetryAfterError) and error.seconds is not None:
        return error.seconds
    return float(tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT)(state))


def _seconds(retry_after: str) -> float | None:
    """A ``Retry-After`` in seconds; None for none, and for a date, which nobody sends here."""
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        return None
