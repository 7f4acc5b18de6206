"""Keeps the runs of an engine, and reads them back."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from ctxeng.errors import ConfigError, WorkspaceBusyError, WorkspaceError
from ctxeng.protocols import Retention, TraceRecord
from ctxeng.settings import Settings, TraceSettings
from ctxeng.store import SqliteStore
from ctxeng.text.secrets import Redactor, keys_in, remembered_keys
from ctxeng.trace import Recorder
from ctxeng.trace.record import Surroundings, Trace, TraceSummary, read, read_summary, written
from ctxeng.types import Scope

logger = logging.getLogger(__name__)

WAITING = 100
"""Runs that wait in memory while another process writes; then the oldest are let go of."""
SHORTEST_ID = 4
"""Characters of an id that is abbreviated."""
_NEWEST = re.compile(r"last(?:-(\d{1,6}))?$")
"""Stands for the id of the newest run, ``last-1`` for that of the one before."""


class Runs:
    """The runs of one scope. Nobody waits for them to be written: while another process or thread
    writes the workspace they stay in memory until the next run, or until the engine is closed.
    """

    def __init__(self, store: SqliteStore, scope: Scope, settings: Settings, *, kept: bool) -> None:
        self._store = store
        self._scope = scope
        self._settings: TraceSettings = settings.trace
        self._key_names = {
            settings.embedding.key_env,
            *(table.key_env for table in settings.models.values()),
        }
        self._waiting: deque[TraceRecord] = deque()
        self._lock = threading.Lock()
        self.kept = kept and settings.trace.enabled
        """Whether runs are kept at all."""

    def keep(self, recorder: Recorder, around: Callable[[Recorder], Surroundings]) -> str:
        """The id of the run; empty where it could not be recorded."""
        try:
            keys = keys_in(os.environ, self._key_names)
            redactor = _redactor(remembered_keys() | keys)
            record = written(recorder, around(recorder), redactor)
        except Exception as error:  # of whatever part: the answer is there all the same
            logger.warning("this run was not recorded: %s: %s", type(error).__name__, error)
            return ""
        with self._lock:
            self._waiting.append(record)
        self.write(wait=False)
        return record.id

    def write(self, *, wait: bool) -> None:
        """Write the runs that wait."""
        with self._lock:
            while self._waiting:
                try:
                    keep = self._retention()
                    self._store.put_trace(self._scope, self._waiting[0], keep, wait=wait)
                except WorkspaceBusyError as error:
                    if not wait and len(self._waiting) <= WAITING:
                        return
                    logger.warning("a run was not recorded: %s", error)
                except WorkspaceError as error:
                    logger.warning("a run was not recorded: %s", error)
                self._waiting.popleft()

    def list(self, limit: int | None) -> list[TraceSummary]:
        """Newest first."""
        self.write(wait=True)
        return [read_summary(row) for row in self._store.traces(self._scope, limit=limit)]

    def get(self, trace_id: str) -> Trace:
        """Raises:
        ConfigError: no trace has this id, or several begin so.
        WorkspaceError: it is damaged, or of a newer ctxeng.
        """
        self.write(wait=True)
        record = self._store.trace(self._scope, self._whole_id(trace_id))
        if record is None:  # removed since
            raise _unknown(trace_id)
        return read(record)

    def remove(self, trace_ids: Sequence[str]) -> int:
        """Remove these, or all where none are named; returns how many went."""
        self.write(wait=True)
        if trace_ids:
            wanted = [self._whole_id(trace_id) for trace_id in trace_ids]
        else:
            wanted = [row.id for row in self._store.traces(self._scope)]
        return self._store.remove_traces(self._scope, wanted)

    def _whole_id(self, trace_id: str) -> str:
        if newest := _NEWEST.match(trace_id):
            before = int(newest[1] or 0)
            found = self._store.traces(self._scope, limit=before + 1)[before:]
        elif len(trace_id) < SHORTEST_ID:
            raise ConfigError(
                f"trace {trace_id!r}: give at least {SHORTEST_ID} characters of the id, or "
                "'last'; `ctxeng trace list` shows all."
            )
        else:
            found = self._store.traces(self._scope, limit=2, prefix=trace_id.lower())
        if not found:
            raise _unknown(trace_id)
        if len(found) > 1:
            raise ConfigError(
                f"trace {trace_id!r}: several begin so ({', '.join(row.id for row in found)}): "
                "give more of the id."
            )
        return found[0].id

    def _retention(self) -> Retention:
        days = self._settings.keep_days
        since = None if days is None else datetime.now(UTC) - timedelta(days=days)
        return Retention(
            runs=self._settings.keep_runs,
            since=None if since is None else since.isoformat(timespec="microseconds"),
        )


def _unknown(trace_id: str) -> ConfigError:
    return ConfigError(
        f"trace {trace_id!r}: there is none here, or no longer (settings trace.keep_runs and "
        "trace.keep_days). `ctxeng trace list` shows what there is."
    )


@lru_cache(maxsize=8)
def _redactor(known: frozenset[str]) -> Redactor:
    return Redactor(known)
