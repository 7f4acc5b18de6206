"""Every error that ctxeng raises on purpose.

    CtxengError
    ├── ConfigError        a setting, argument or missing extra
    ├── LoadError          a source that cannot be read; carries ``uri`` and ``hint``
    │   └── SkippedError        there is nothing in it to read; in a folder it is passed over
    ├── WorkspaceError     a workspace that cannot be opened, written or trusted
    │   └── WorkspaceBusyError  another process writes it
    ├── BackendError       a model or server failed; ``retryable`` says whether a retry can help
    ├── BudgetError        a token budget that nothing useful fits in
    ├── ToolError          a tool call that failed or was refused
    └── EvaluationError    an evaluation that cannot be trusted

A message says what happened, to which input, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ctxeng.types import Usage


class CtxengError(Exception):
    """Base of the tree."""


class ConfigError(CtxengError):
    """A setting or argument is wrong, or an optional package is missing."""


class LoadError(CtxengError):
    """A source cannot be read."""

    def __init__(self, uri: str, why: str, hint: str = "") -> None:
        super().__init__(uri, why, hint)  # all of them, so that it can be pickled
        self.uri = uri
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.uri}: {self.why}. {self.hint}".rstrip(". ") + ("" if self.hint else ".")


class SkippedError(LoadError):
    """There is nothing to read: the source is empty, of a kind without text (a picture, a program),
    or an archive that nobody asked to look into. In a folder such files are passed over.
    """


class WorkspaceError(CtxengError):
    """A workspace cannot be opened, written or trusted."""


class WorkspaceBusyError(WorkspaceError):
    """Another process writes the workspace."""


BackendErrorKind = Literal[
    "auth", "not_found", "context_length", "rate_limit", "unavailable", "timeout", "bad_request",
    "bad_reply", "refused", "budget", "other",
]  # fmt: skip
"""``unavailable``: no connection, or the server is at fault; ``bad_reply``: what came cannot be
read or does not hold to the schema; ``refused``: we would not follow; ``budget``: a spend limit."""


class BackendError(CtxengError):
    """A model or server failed."""

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        kind: BackendErrorKind = "other",
        retry_after: float | None = None,
        text: str = "",
        why: str = "",
        usage: Usage | None = None,
    ) -> None:
        """``retry_after``: seconds that the server asks to wait; ``text``: what had come; ``why``:
        of a reply that cannot be used, what is wrong with it, as its model may be told; ``usage``:
        what that reply took, where it is known.
        """
        super().__init__(message)
        self.retryable = retryable
        self.kind = kind
        self.retry_after = retry_after
        self.text = text
        self.why = why
        self.usage = usage


class BudgetError(CtxengError):
    """A token budget is too small for what must be in the prompt."""


class ToolError(CtxengError):
    """A tool call failed or was refused."""


class EvaluationError(CtxengError):
    """An evaluation cannot be trusted."""
