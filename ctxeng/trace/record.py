"""What is kept of a run, and how it is read back.

A record is two lines of JSON. The first has what went in and came out, with long texts in the place
of which stands their number in ``texts``, a list of hashes; the trace's id is the hash of this
line, so the id vouches for every text. The second line has what differs from run to run: times.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any

from pydantic import Field, JsonValue

from ctxeng.errors import WorkspaceError
from ctxeng.protocols import TraceRecord
from ctxeng.settings import Settings
from ctxeng.text.secrets import Redactor
from ctxeng.trace.recorder import TIMES, Facts, Recorder
from ctxeng.types import Hit, Usage, Value, sha256

FORMAT = 2
"""1 kept no texts."""
LONG = 96
"""Characters from which a string is kept by reference; shorter ones cost less where they stand."""
REFERENCE = "$text"
DECIMALS = 6
"""Of a candidate's scores; those in the context are whole."""
NEVER = datetime.fromtimestamp(0, UTC)
"""Time of a run of which it is not known."""
TITLE = 120
"""Characters of the query that a list of runs shows."""


class KeptHit(Value):
    """A hit as it is kept: by its chunk's id, which says what its text was. Scores are rounded."""

    id: str
    document_id: str
    start: int
    end: int
    part: str = ""
    tokens: int
    score: float
    stages: dict[str, float] = Field(default_factory=dict)


class KeptDocument(Value):
    """A document of the candidates as it was then."""

    uri: str
    hash: str
    """Begins the hash of its source; empty where it could not be told."""


class TraceSummary(Value):
    """One line of the list of runs. Runs that differ in nothing but time are one trace."""

    id: str
    verb: str
    time: datetime
    """UTC, of the last of its runs."""
    runs: int = 1
    query: str = ""
    """Its first characters."""
    model: str = ""
    tokens: int | None = None
    """Of the prompt."""
    damaged: bool = False
    """What else there was to say of it cannot be read."""


class Trace(Value):
    """The record of one run; ``ctxeng.replay`` rebuilds its prompt and compares two of them."""

    id: str
    verb: str
    time: datetime
    runs: int = 1
    format: int = FORMAT
    version: str = ""
    """Of ctxeng."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Of what took part: analyzer, chunker, embedder, tokenizer."""
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    change: int = 0
    """Number of the last change in the index."""
    candidates: tuple[KeptHit, ...] = ()
    """Best first."""
    documents: dict[str, KeptDocument] = Field(default_factory=dict)
    context: dict[str, JsonValue] | None = None
    prompt: str = ""
    """sha256 of the prompt's bytes, as they were."""
    answer: dict[str, JsonValue] | None = None
    usage: Usage | None = None
    stages: tuple[dict[str, JsonValue], ...] = ()
    """In the order in which they ended."""
    seconds: float = 0.0
    redacted: int = 0
    """How many keys were taken out of the texts; then they differ from what the model saw."""
    error: str = ""
    """What ended the run."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run's record says beside what the run itself took in and made."""

    settings: Settings = field(default_factory=Settings)
    versions: Mapping[str, str] = field(default_factory=dict)
    change: int = 0
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Of the sources of the candidates' documents, by document id."""


def written(recorder: Recorder, around: Surroundings, redactor: Redactor) -> TraceRecord:
    """The record of a run, without keys."""
    texts = _Texts(redactor)
    context, answer = recorder.context, recorder.answer
    stages = sorted(recorder.stages, key=lambda facts: str(facts["stage"]))
    settings, _ = redactor.redact(around.settings.model_dump_json())
    content: Facts = {
        "format": FORMAT,
        "verb": recorder.verb,
        "version": _version(),
        "versions": {**around.versions},
        "inputs": texts.pack(recorder.inputs),
        "settings": texts.pack(settings),
        "change": around.change,
        "candidates": _columns(recorder.hits),
        "documents": {
            hit.document_id: {"uri": hit.uri, "hash": around.hashes.get(hit.document_id, "")[:16]}
            for hit in recorder.hits
        },
        "context": texts.pack(context.model_dump(mode="json", exclude=_DROPPED))
        if context
        else None,
        "prompt": sha256(context.render()) if context else "",
        "answer": texts.pack(answer.model_dump(mode="json", exclude=_APART)) if answer else None,
        "usage": answer.usage.model_dump(mode="json", exclude=_SECONDS) if answer else None,
        "stages": [
            {key: texts.pack(fact) for key, fact in facts.items() if key not in TIMES}
            for facts in stages
        ],
        "error": recorder.error,
        "texts": [*texts.hashes],
    }
    # Many, of short texts, and with nothing in them to be escaped: written as they are.
    dropped = context.model_dump_json(include=_DROPPED) if context else "{}"
    first, count = redactor.redact(f'{_dumped(content)[:-1]},"rest":{dropped}}}')
    redacted = texts.redacted + count
    if redacted:
        first = f'{first[:-1]},"redacted":{redacted}}}'
    times: Facts = {
        "stages": [{key: facts[key] for key in TIMES if key in facts} for facts in stages],
        "seconds": round(recorder.seconds, 6),
        "usage": answer.usage.model_dump(mode="json", include=_SECONDS) if answer else None,
    }
    query = str(recorder.inputs.get("query", ""))
    summary, _ = redactor.redact(
        _dumped(
            {
                "query": query if len(query) <= TITLE else f"{query[: TITLE - 1]}…",
                "model": recorder.inputs.get("model", ""),
                "tokens": context.tokens if context else None,
            }
        )
    )
    return TraceRecord(
        id=sha256(first)[:32],
        verb=recorder.verb,
        time=recorder.time.isoformat(timespec="microseconds"),
        summary=summary,
        payload=f"{first}\n{_dumped(times)}",
        texts=texts.found,
    )


def read_summary(record: TraceRecord) -> TraceSummary:
    """One line of the list; of a damaged one its id."""
    try:
        told = json.loads(record.summary) if record.summary else {}
        return TraceSummary(
            id=record.id,
            verb=record.verb,
            time=_time(record.time),
            runs=record.runs,
            query=str(told.get("query", "")),
            model=str(told.get("model", "")),
            tokens=told.get("tokens"),
        )
    except (ValueError, AttributeError):
        return TraceSummary(id=record.id, verb=record.verb, time=NEVER, damaged=True)


def read(record: TraceRecord) -> Trace:
    """The trace of a record, after its hashes have been compared.

    Raises:
        WorkspaceError: it is damaged, or of a newer ctxeng.
    """
    first, _, second = record.payload.partition("\n")
    try:
        content = json.loads(first)
        if "format" not in content:
            return _read_first_format(record, content)
        form = content["format"]
        if form > FORMAT:
            raise WorkspaceError(
                f"trace {record.id}: was recorded by a newer ctxeng ({content.get('version')}, "
                f"format {form}; this one knows up to {FORMAT}): upgrade ctxeng."
            )
        if sha256(first)[:32] != record.id:
            raise damaged(record.id, "its content does not have the hash that its id names")
        return _read(record, content, json.loads(second))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise damaged(record.id, f"it cannot be read ({type(error).__name__})") from error


def damaged(trace_id: str, why: str) -> WorkspaceError:
    return WorkspaceError(
        f"trace {trace_id}: damaged: {why}. Other traces and the index are not concerned; "
        f"`ctxeng trace remove {trace_id}` takes it away."
    )


def _read(record: TraceRecord, content: dict[str, Any], times: dict[str, Any]) -> Trace:
    texts: list[str] = []
    for digest in content.pop("texts"):
        text = record.texts.get(str(digest))
        if text is None:
            raise damaged(record.id, f"the text {str(digest)[:12]} is missing")
        if sha256(text) != digest:
            raise damaged(record.id, f"the text {str(digest)[:12]} has been altered")
        texts.append(text)
    for key in ("inputs", "settings", "context", "answer", "stages"):
        content[key] = _unpacked(content[key], texts)
    content["settings"] = json.loads(str(content["settings"]))
    content["candidates"] = _rows(content["candidates"])
    rest = content.pop("rest")
    if content["context"] is not None:
        content["context"] = {**content["context"], **rest}
    pairs = zip(content["stages"], times["stages"], strict=True)
    content["stages"] = sorted(({**facts, **timed} for facts, timed in pairs), key=_end)
    if content["usage"] is not None:
        content["usage"] = {**content["usage"], **times["usage"]}
    whole = {
        **content,
        "id": record.id,
        "time": record.time,
        "runs": record.runs,
        "seconds": times["seconds"],
    }
    return Trace.model_validate_json(json.dumps(whole))


def _read_first_format(record: TraceRecord, content: Mapping[str, Any]) -> Trace:
    untimed = [
        {key: fact for key, fact in facts.items() if key not in ("seconds", "cpu_seconds", "wait")}
        for facts in content["stages"]
    ]
    if sha256(json.dumps({**content, "stages": untimed}, sort_keys=True))[:32] != record.id:
        raise damaged(record.id, "its content does not have the hash that its id names")
    return Trace(
        id=record.id,
        verb=record.verb,
        time=_time(record.time),
        runs=record.runs,
        format=1,
        version=content["version"],
        inputs=content["inputs"],
        stages=tuple(content["stages"]),
    )


def _end(facts: Mapping[str, Any]) -> float:
    return float(facts.get("at", 0)) + float(facts.get("seconds", 0))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


_APART = {"context", "usage", "trace_id"}
_DROPPED = {"dropped"}
_SECONDS = {"seconds", "first_token_seconds"}


def _dumped(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_COLUMNS = ("id", "document_id", "start", "end", "part", "tokens")


def _columns(hits: Sequence[Hit]) -> Facts:
    """Hits by column, which is half as long."""
    stages = dict.fromkeys(name for hit in hits for name in hit.stages)
    columns: Facts = {name: [getattr(hit, name) for hit in hits] for name in _COLUMNS}
    columns["score"] = [_short(hit.score) for hit in hits]
    columns["stages"] = {name: [_short(hit.stages.get(name)) for hit in hits] for name in stages}
    return columns


def _rows(columns: Mapping[str, Any]) -> list[JsonValue]:
    stages = columns["stages"]
    return [
        {
            **{name: columns[name][at] for name in (*_COLUMNS, "score")},
            "stages": {
                name: scores[at] for name, scores in stages.items() if scores[at] is not None
            },
        }
        for at in range(len(columns["id"]))
    ]


def _short(score: float | None) -> float | None:
    return None if score is None else round(score, DECIMALS)


@cache
def _version() -> str:
    return version("ctxeng")


class _Texts:
    """Takes long strings out of JSON values, each once."""

    def __init__(self, redactor: Redactor) -> None:
        self.hashes: dict[str, int] = {}
        """Their places in ``texts``."""
        self.found: dict[str, str] = {}
        self.redacted = 0
        self._redactor = redactor
        self._known: dict[str, int] = {}

    def pack(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return value if len(value) < LONG else {REFERENCE: self._number(value)}
        if isinstance(value, dict):
            return {
                f"${key}" if key[:1] == "$" else key: self.pack(one) for key, one in value.items()
            }
        if isinstance(value, list):
            return [self.pack(one) for one in value]
        return value

    def _number(self, text: str) -> int:
        if text not in self._known:
            kept, count = self._redactor.redact(text)
            self.redacted += count
            digest = sha256(kept)
            self._known[text] = self.hashes.setdefault(digest, len(self.hashes))
            self.found[digest] = kept
        return self._known[text]


def _unpacked(value: Any, texts: Sequence[str]) -> Any:
    if isinstance(value, dict):
        if REFERENCE in value:
            return texts[value[REFERENCE]]
        return {
            key[1:] if key[:1] == "$" else key: _unpacked(one, texts) for key, one in value.items()
        }
    if isinstance(value, list):
        return [_unpacked(one, texts) for one in value]
    return value
