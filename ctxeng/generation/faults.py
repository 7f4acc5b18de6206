"""What can go wrong when a server is asked, as kinds of ``BackendError``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from ctxeng.errors import BackendErrorKind

if TYPE_CHECKING:
    import httpx

PASSING = frozenset({408, 429, 500, 502, 503, 504, 529})
"""Statuses that a later try may not meet."""

_KINDS: Mapping[int, BackendErrorKind] = {
    401: "auth",
    402: "budget",
    403: "auth",
    404: "not_found",
    405: "not_found",
    408: "timeout",
    413: "context_length",
    429: "rate_limit",
    504: "timeout",
    529: "unavailable",
}
_TYPES: Mapping[str, tuple[BackendErrorKind, bool]] = {
    # Types and codes that vendors give in a body or inside a stream; whether they can pass.
    "api_error": ("unavailable", True),
    "authentication_error": ("auth", False),
    "billing_error": ("budget", False),
    "billing_hard_limit_reached": ("budget", False),
    "content_filter": ("bad_request", False),
    "context_length_exceeded": ("context_length", False),
    "exceed_context_size_error": ("context_length", False),
    "insufficient_quota": ("budget", False),
    "internal_error": ("unavailable", True),
    "internal_server_error": ("unavailable", True),
    "invalid_api_key": ("auth", False),
    "invalid_request_error": ("bad_request", False),
    "model_not_found": ("not_found", False),
    "not_found_error": ("not_found", False),
    "overloaded_error": ("unavailable", True),
    "permission_error": ("auth", False),
    "rate_limit_error": ("rate_limit", True),
    "rate_limit_exceeded": ("rate_limit", True),
    "request_too_large": ("context_length", False),
    "server_error": ("unavailable", True),
    "service_unavailable": ("unavailable", True),
    "timeout_error": ("timeout", True),
}
_TOO_LONG = re.compile(
    r"context[ _](length|window|size|limit)|prompt is too long|too many (input )?tokens"
    r"|maximum (context|model|input) length|max_new_tokens` must be|input (is )?too long"
    r"|tokens? .{0,40}exceeds? |context the overflows|too large for model",
    re.I,
)
_NO_MODEL = re.compile(
    r"model.{0,60}(not (be )?(exist|found)|unknown)|(invalid|unknown) model", re.I
)


class TryError(Exception):
    """One try has failed: what happened, not yet of which model and where.

    ``verdict``: about a reply that came to its end; so it is said even after its text was handed
    on. ``text`` is what had come. The words may hold what a server sent back, the key included:
    they stand in ``what`` only, and so in no traceback.
    """

    def __init__(
        self,
        kind: BackendErrorKind,
        what: str,
        *,
        advice: str = "",
        retryable: bool = False,
        retry_after: float | None = None,
        status: int | None = None,
        verdict: bool = False,
        text: str = "",
    ) -> None:
        super().__init__(kind)
        self.kind = kind
        self.what = what
        self.advice = advice
        self.retryable = retryable
        self.retry_after = retry_after
        self.status = status
        self.verdict = verdict
        self.text = text


def of_status(status: int, headers: Mapping[str, str], body: str) -> TryError:
    """A response that is no reply. ``body`` may be only its beginning; ``headers`` have small
    letters.
    """
    if 300 <= status < 400:
        return TryError(
            "refused",
            f"it redirects (status {status}) to {headers.get('location', 'nowhere')}, "
            "which is not followed, for the key would go with it",
            status=status,
        )
    try:
        parsed: object = json.loads(body)
    except (ValueError, RecursionError):
        parsed = {"message": _of_page(body) if body.lstrip().startswith("<") else body}
    request = headers.get("request-id") or headers.get("x-request-id") or ""
    error = of_words(parsed, status, request=request)
    error.retry_after = retry_after(headers) if error.retryable else None
    return error


def of_words(body: object, status: int | None = None, *, request: str = "") -> TryError:
    """An error object, of a response with this status or (None) from inside a stream. The words
    are as they came: whoever shows them hides the key in them first, then cuts them.
    """
    words, codes = said(body)
    if status is None:
        status = next((int(c) for c in codes if re.fullmatch(r"[45][0-9][0-9]", c)), None)
    kind, passing = _of_number(status)
    named = [_TYPES[code] for code in codes if code in _TYPES]
    if named and (status in {None, 400, 422, 429} or named[0][0] == "budget"):
        kind, passing = named[0]
    if kind in {"bad_request", "other"} or status == 500:
        if _TOO_LONG.search(words):
            kind, passing = "context_length", False
        elif _NO_MODEL.search(words):
            kind, passing = "not_found", False
    number = f"status {status}" if status is not None else "an error inside the reply"
    about = [code for code in dict.fromkeys(codes) if not code.isdecimal()]
    about += [f"request {request}"] if request else []
    if about:
        number += f" ({', '.join(about)})"
    what = f"{number}: {words.strip() or 'no words'}"
    return TryError(kind, what, retryable=passing, status=status)


def of_exception(error: httpx.HTTPError | httpx.InvalidURL | httpx.StreamError) -> TryError:
    """Whatever httpx raises."""
    import httpx

    why = f"{type(error).__name__}: {_first_words(error)}".rstrip(": ")
    match error:
        case httpx.ConnectTimeout():
            advice = "Is the address right? Or raise timeout.connect."
            return TryError("timeout", "no connection in time", advice=advice, retryable=True)
        case httpx.TimeoutException():
            return TryError("timeout", f"no answer in time ({why})", retryable=True)
        case httpx.ConnectError() if re.search(r"SSL|TLS|CERTIFICATE", str(error)):
            advice = (
                "Does the server speak TLS (https://)? A certificate of your own authority is "
                "trusted when SSL_CERT_FILE names it."
            )
            return TryError("unavailable", f"no TLS connection ({why})", advice=advice)
        case httpx.NetworkError() | httpx.RemoteProtocolError() | httpx.ProxyError():
            return TryError("unavailable", f"the connection failed ({why})", retryable=True)
        case _:
            return TryError("other", f"the request failed ({why})")


def _first_words(error: BaseException | None) -> str:
    """Of the error, or of what caused it: a connection that was reset has none of its own."""
    while error is not None and not str(error):
        error = error.__cause__
    return "" if error is None else str(error)


def said(body: object) -> tuple[str, list[str]]:
    """The words of an error object and its types and codes, in whatever shape servers give it."""
    inner = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(inner, dict):
        return ("" if inner is None else str(inner)), []
    codes = [str(inner[name]) for name in ("type", "code", "status") if inner.get(name)]
    words = next((inner[n] for n in ("message", "detail", "msg") if inner.get(n)), "")
    return (words if isinstance(words, str) else json.dumps(words or inner)), codes


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: given in seconds, milliseconds or as a date.

    A date is compared with the server's own clock where it says it.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1_000
    value = headers.get("retry-after", "")
    seconds = _number(value)
    if seconds is not None:
        return seconds
    date = _date(value)
    if date is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (date - now).total_seconds())


def one_line(text: str, limit: int = 300) -> str:
    """A server's words for a person: no control characters, no line breaks, bounded."""
    shown = " ".join("".join(c if c.isprintable() else " " for c in text[: limit * 4]).split())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _of_page(page: str) -> str:
    """What a web page says: its title, or its words."""
    title = re.search(r"<title[^>]*>([^<]+)", page, re.I)
    words = title[1] if title else re.sub(r"<[^>]*>", " ", page)
    return f"a web page: {' '.join(words.split()) or 'without words'}"


def _of_number(status: int | None) -> tuple[BackendErrorKind, bool]:
    if status is None:
        return "other", False
    if status >= 500:
        return _KINDS.get(status, "unavailable"), status in PASSING
    return _KINDS.get(status, "bad_request" if status >= 400 else "bad_reply"), status in PASSING


def _number(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError, TypeError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
