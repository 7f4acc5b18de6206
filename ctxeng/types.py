"""The words of ctxeng, as values.

Every value is frozen, strict and refuses unknown fields. Scores: higher is better. Ranges are
half-open ``[start, end)`` and count characters of the document's text. *Terms* are what the
lexical index counts, *tokens* what a model counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Literal, overload

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

Trust = Literal["system", "user", "memory", "document", "tool", "web", "untrusted"]
"""How far a text may be believed, most first: ours, the caller's, what was remembered of the
caller, the caller's files, a tool's result, a web page, anybody's."""

Transformation = Literal["verbatim", "template", "selected", "summarised", "resolved"]
"""What was done to a text: nothing; it is ours, such as a heading or a marker; sentences of it were
chosen; it was put in other words; its pronouns were replaced by names."""

TextFormat = Literal["plain", "markdown", "code", "table"]
"""How the text of a document is to be read and cut."""

Role = Literal["system", "user", "assistant", "tool"]
SearchMode = Literal["lexical", "dense", "hybrid"]

Metadata = dict[str, JsonValue]
Filter = Mapping[str, str | int | float | bool | list[str] | list[int]]
"""Keys: ``uri``, ``title``, ``media_type``, ``document_id`` or a metadata key. A list: any of."""


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _whole(value: object) -> object:
    """Lone surrogates, which JSON can carry, are no text: each becomes U+FFFD. Nothing can write
    them as UTF-8: no database, no index, no tokenizer.
    """
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in value)
    elif isinstance(value, dict):
        return {_whole(key): _whole(one) for key, one in value.items()}
    elif isinstance(value, list | tuple):
        return type(value)(_whole(one) for one in value)
    return value


def _refuse_surrogates(value: object) -> object:
    """For keys: two of them must not become one."""
    if _whole(value) != value:
        raise ValueError("holds a lone surrogate, which is no text: choose another")
    return value


Text = Annotated[str, BeforeValidator(_whole)]
Key = Annotated[str, BeforeValidator(_refuse_surrogates)]
Strings = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
"""A tuple of strings that also takes a list, which is what JSON and callers hand in."""


class Value(BaseModel):
    """Base of every value: frozen, strict, closed."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Span(Value):
    """A half-open character range ``[start, end)`` in a document's text."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Span:
        if self.end < self.start:
            raise ValueError(f"a span cannot end ({self.end}) before it starts ({self.start})")
        return self

    def __len__(self) -> int:
        return self.end - self.start


class Scope(Value):
    """Who may see a thing. Every read and every write carries one."""

    tenant: Key = "local"
    user: Key = "local"
    collection: Key = "default"

    @cached_property
    def key(self) -> str:
        """One string that no other scope has: what the store and the indexes compare."""
        return json.dumps([self.tenant, self.user, self.collection], ensure_ascii=False)


class Part(Value):
    """A stretch of a document that its source marks off: a page, slide, sheet, cell or chapter.

    A chunk never crosses the border of a part, and takes its ``label`` as location.
    """

    label: Text
    """What a person would say: ``page 3``, ``sheet Budget``, ``cell 4``."""
    span: Span
    format: TextFormat | None = None
    """How this part is to be cut; None: as the document."""
    language: str = ""
    """Programming language of a code part, as tree-sitter names it."""


class Document(Value):
    """One loaded source."""

    id: Key = Field(min_length=1)
    text: Text
    title: Text = ""
    uri: Text = ""
    """Where it comes from; the id where nothing better is known."""
    media_type: Text = "text/plain"
    """Of the source (``application/pdf``); ``format`` says what ``text`` is."""
    format: TextFormat = "plain"
    language: Text = ""
    """Programming language of a code document, as tree-sitter names it."""
    metadata: Annotated[Metadata, BeforeValidator(_whole)] = Field(default_factory=dict)
    parts: Annotated[tuple[Part, ...], BeforeValidator(_as_tuple)] = ()
    """In text order and without overlap; may leave gaps."""
    scope: Scope = Scope()
    trust: Trust = "untrusted"

    @model_validator(mode="before")
    @classmethod
    def _uri_defaults_to_id(cls, data: object) -> object:
        if isinstance(data, dict) and not data.get("uri") and "id" in data:
            return {**data, "uri": data["id"]}
        return data

    @model_validator(mode="after")
    def _parts_ascend_inside_the_text(self) -> Document:
        end = 0
        for part in self.parts:
            if not end <= part.span.start <= part.span.end <= len(self.text):
                raise ValueError(
                    f"part {part.label!r} [{part.span.start}, {part.span.end}) overlaps the one "
                    f"before it, or lies outside the text of {len(self.text)} characters"
                )
            end = part.span.end
        return self

    @cached_property
    def content_hash(self) -> str:
        """sha256 of all that an index would see; equal hash means nothing to do."""
        content = self.model_dump(mode="json", exclude={"scope", "id", "uri"})
        return sha256(json.dumps(content, sort_keys=True, ensure_ascii=False))


class Chunk(Value):
    """A piece of a document. ``text == document.text[span.start : span.end]``."""

    id: str
    document_id: str
    text: str
    span: Span
    position: int = Field(default=0, ge=0)
    """Ordinal in its document."""
    line: int = Field(default=1, ge=1)
    """Line of the document's text on which it begins, from 1."""
    prefix: str = ""
    """The situating text that is indexed with the chunk and quoted apart from it."""
    heading_path: Strings = ()
    """From the document's title to the innermost heading above the chunk."""
    part: str = ""
    """Label of the part that holds it: ``page 3``."""
    tokens: int = Field(default=0, ge=0)
    """Of ``text``; 0 until counted."""
    format: TextFormat = "plain"
    defines: Strings = ()
    """Identifiers that this piece of code defines, as written."""

    @property
    def indexed_text(self) -> str:
        """What the lexical index sees."""
        return f"{self.prefix}\n{self.text}" if self.prefix else self.text

    @property
    def embedded_text(self) -> str:
        """What the embedder sees: it depends on nothing but the chunk and its headings, so that an
        edit elsewhere in the document never costs another embedding.
        """
        return "\n".join(filter(None, (" > ".join(self.heading_path), self.text)))


class Query(Value):
    """What is asked, and of whose content."""

    text: Text
    kind: Literal["original", "rewritten", "hypothetical", "sub-question"] = "original"
    filter: Annotated[dict[str, Strings], BeforeValidator(_whole)] = Field(default_factory=dict)
    """Every key must match; a key's values are alternatives. Compared as strings."""
    scope: Scope = Scope()


class Hit(Value):
    """What a retriever found. ``stages`` holds the score of each stage that touched it."""

    id: str
    text: str
    tokens: int = Field(ge=0)
    score: float
    stages: dict[str, float] = Field(default_factory=dict)
    document_id: str = ""
    uri: str = ""
    title: str = ""
    start: int = 0
    end: int = 0
    line: int = 1
    part: str = ""
    position: int = 0
    prefix: str = ""
    heading_path: Strings = ()
    format: TextFormat = "plain"
    media_type: str = "text/plain"
    metadata: Metadata = Field(default_factory=dict)
    trust: Trust = "untrusted"

    @property
    def span(self) -> Span:
        return Span(start=self.start, end=self.end)

    @property
    def location(self) -> str:
        """Where a person would look: ``policy.pdf, page 3`` or ``notes.md:12``."""
        return f"{self.uri}, {self.part}" if self.part else f"{self.uri}:{self.line}"


class Source(Value):
    """The exact place that a piece of a prompt or an answer comes from."""

    uri: str
    document_id: str
    span: Span
    line: int = 1
    part: str = ""
    title: str = ""
    heading_path: Strings = ()
    format: TextFormat = "plain"

    @property
    def location(self) -> str:
        return f"{self.uri}, {self.part}" if self.part else f"{self.uri}:{self.line}"


class Image(Value):
    """A picture in a message."""

    media_type: str
    """``image/png``, ``image/jpeg`` …"""
    data: str
    """Base64."""


class Attachment(Value):
    """A file in a message, for backends that read files themselves."""

    name: str
    media_type: str
    data: str
    """Base64."""


class ToolCall(Value):
    """What a model asks for; ``arguments`` hold to the tool's schema where it has one."""

    id: str
    name: str
    arguments: Metadata = Field(default_factory=dict)


class Carried(Value):
    """What a message holds beside its text."""

    files: Annotated[tuple[Image | Attachment, ...], BeforeValidator(_as_tuple)] = ()
    tool_calls: Annotated[tuple[ToolCall, ...], BeforeValidator(_as_tuple)] = ()
    tool_call_id: str = ""
    tokens: int = Field(default=0, ge=0)
    """What it is taken to cost: calls as JSON, a file by the plan's allowance."""


class Segment(Value):
    """A piece of the built prompt; the prompt is the segments' texts, joined."""

    text: str
    section: str
    role: Role
    tokens: int = Field(ge=0)
    """Of ``text``."""
    trust: Trust
    """The lowest of all that it was made from."""
    reason: str
    """Why it is in the prompt."""
    source: Source | None = None
    transformation: Transformation = "verbatim"
    """``verbatim``: the text of ``source``."""
    made_by: str = ""
    """The model or rule that transformed it."""
    notes: Strings = ()
    """What was done to its text before, such as invisible characters taken out."""
    number: int | None = None
    """The number by which an answer cites it."""
    scores: dict[str, float] = Field(default_factory=dict)
    chunk_ids: Strings = ()
    turn: int | None = None
    """Which turn of a chat it is of. Neighbours of one role and turn make one message."""
    carries: Carried | None = None


class Dropped(Value):
    """A candidate that did not get into the prompt, and why."""

    source: Source | None = None
    tokens: int
    score: float
    reason: str
    chunk_ids: Strings = ()
    section: str = "sources"
    label: str = ""
    """What it is, where it has no source: how its text begins."""
    trust: Trust = "untrusted"


class SectionUse(Value):
    """What one section of a plan was given of the budget, and used. Tokens."""

    name: str
    role: Role
    minimum: int
    maximum: int | None
    """None: no limit of its own."""
    given: int
    """Of the budget; what is rendered never takes more."""
    used: int
    """Markers around its texts and what its messages carry included."""
    kept: int = 0
    """Candidates."""
    dropped: int = 0


def _no_parameters() -> Metadata:
    return {"type": "object", "properties": {}}


class Tool(Value):
    """A callable that the model may ask for; what it says of itself is data, never an order."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str = ""
    parameters: Metadata = Field(default_factory=_no_parameters)
    """JSON schema of its arguments."""
    server: str = ""
    side_effects: bool = True


class Message(Value):
    """One turn of a chat; ours keep the segments that they are made of."""

    role: Role
    content: (
        str | Annotated[tuple[str | Segment | Image | Attachment, ...], BeforeValidator(_as_tuple)]
    ) = ""
    tool_calls: Annotated[tuple[ToolCall, ...], BeforeValidator(_as_tuple)] = ()
    """What an assistant's turn asks for."""
    tool_call_id: str = ""
    """Which call a tool's turn answers."""

    @property
    def text(self) -> str:
        """Its text; images and files leave none."""
        if isinstance(self.content, str):
            return self.content
        return "".join(
            part if isinstance(part, str) else part.text
            for part in self.content
            if isinstance(part, str | Segment)
        )


RenderFormat = Literal["text", "messages", "openai", "anthropic"]
Json = dict[str, JsonValue]


class Context(Value):
    """The built prompt. It renders byte for byte from its segments."""

    query: str
    segments: Annotated[tuple[Segment, ...], BeforeValidator(_as_tuple)]
    dropped: Annotated[tuple[Dropped, ...], BeforeValidator(_as_tuple)] = ()
    tokens: int
    """Of the rendered text, by the tokenizer that is named."""
    budget: int
    """For the rendered text and what is ``reserved``."""
    tokenizer: str
    sections: Annotated[tuple[SectionUse, ...], BeforeValidator(_as_tuple)] = ()
    """How a plan's budget was divided, in prompt order."""
    reserved: dict[str, int] = Field(default_factory=dict)
    """Tokens of the budget that no text shows: ``tools`` (schemas), ``template`` (what the chat
    template puts around messages), ``carried`` (files and calls), ``reply``."""
    plan: str = ""
    """Name and hash of the plan that it was built by."""
    stable: int = Field(default=0, ge=0)
    """How many of the first segments stay the same from one prompt to the next."""

    @overload
    def render(self, format: Literal["text"] = "text") -> str: ...
    @overload
    def render(self, format: Literal["messages"]) -> tuple[Message, ...]: ...
    @overload
    def render(self, format: Literal["openai"]) -> list[Json]: ...
    @overload
    def render(self, format: Literal["anthropic"]) -> Json: ...
    def render(
        self, format: RenderFormat = "text"
    ) -> str | tuple[Message, ...] | list[Json] | Json:
        """The prompt as text, as our messages, as OpenAI's list of messages, or as Anthropic's
        ``{"system": …, "messages": …}`` with a cache breakpoint behind the stable segments. The
        texts in each, joined, are the segments' texts, joined.

        Raises:
            ValueError: there is no such format.
        """
        if format == "text":
            return "".join(segment.text for segment in self.segments)
        if format == "messages":
            return self.messages
        if format == "openai":
            return [_openai(message) for message in self.messages]
        if format == "anthropic":
            return _anthropic(self)
        raise ValueError(f"{format!r}: the formats are text, messages, openai and anthropic")

    @property
    def text(self) -> str:
        return self.render()

    @property
    def sources(self) -> tuple[Segment, ...]:
        """The segments that an answer may cite."""
        return tuple(segment for segment in self.segments if segment.source is not None)

    @property
    def messages(self) -> tuple[Message, ...]:
        """Neighbouring segments of one role and turn make one message."""
        return tuple(_message(group) for group in _turns(self.segments))

    def manifest(self) -> list[Json]:
        """Why each piece is in the prompt or not: one row per kept segment, in prompt order, then
        one per dropped candidate, best first.
        """
        return [_kept_row(segment) for segment in self.segments] + [
            _dropped_row(row) for row in self.dropped
        ]

    def unchanged_tokens(self, previous: Context, count: Callable[[str], int] | None = None) -> int:
        """Tokens at the start of the prompt that are as in ``previous``: what a backend's prompt
        cache can keep.

        Args:
            count: counts a text's tokens; without it a segment that changed in its middle counts
                for nothing.
        """
        same = ""
        tokens = 0
        for ours, theirs in zip(self.segments, previous.segments, strict=False):
            if (ours.role, ours.carries) != (theirs.role, theirs.carries):
                break
            shared = _common_start(ours.text, theirs.text)
            same += ours.text[:shared]
            if shared < len(ours.text) or shared < len(theirs.text):
                break
            tokens += ours.tokens
        return tokens if count is None else count(same)


def _common_start(one: str, other: str) -> int:
    """Length of the prefix that both have."""
    if one == other:
        return len(one)
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _turns(segments: tuple[Segment, ...]) -> list[list[Segment]]:
    groups: list[list[Segment]] = []
    for segment in segments:
        last = groups[-1][-1] if groups else None
        if last is not None and (last.role, last.turn) == (segment.role, segment.turn):
            groups[-1].append(segment)
        else:
            groups.append([segment])
    return groups


def _message(group: list[Segment]) -> Message:
    carried = [segment.carries for segment in group if segment.carries is not None]
    if not carried:
        return Message(role=group[0].role, content=tuple(group))
    content: list[str | Segment | Image | Attachment] = []
    for segment in group:
        content += [segment] if segment.text else []
        content += segment.carries.files if segment.carries is not None else ()
    return Message(
        role=group[0].role,
        content=tuple(content),
        tool_calls=tuple(call for one in carried for call in one.tool_calls),
        tool_call_id=next((one.tool_call_id for one in carried if one.tool_call_id), ""),
    )


def _openai(message: Message) -> Json:
    parts = () if isinstance(message.content, str) else message.content
    files = any(isinstance(part, Image | Attachment) for part in parts)
    made: Json = {
        "role": message.role,
        "content": [*map(_openai_part, parts)] if files else message.text,
    }
    if message.tool_calls:
        made["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments, ensure_ascii=False),
                },
            }
            for call in message.tool_calls
        ]
    if message.role == "tool":
        made["tool_call_id"] = message.tool_call_id
    return made


def _openai_part(part: str | Segment | Image | Attachment) -> JsonValue:
    match part:
        case Image():
            url = f"data:{part.media_type};base64,{part.data}"
            return {"type": "image_url", "image_url": {"url": url}}
        case Attachment():
            url = f"data:{part.media_type};base64,{part.data}"
            return {"type": "file", "file": {"filename": part.name, "file_data": url}}
    return {"type": "text", "text": part if isinstance(part, str) else part.text}


_BREAKPOINT: Json = {"type": "ephemeral"}


def _anthropic(context: Context) -> Json:
    """System segments that come first are the system prompt; later ones are the user's, since the
    API takes none there.
    """
    system: list[Json] = []
    turns: list[Json] = []
    at = 0
    for group in _turns(context.segments):
        stable = max(0, context.stable - at)
        blocks = _anthropic_blocks(group, stable, border=0 < stable <= len(group))
        at += len(group)
        if group[0].role == "system" and not turns:
            system += blocks
            continue
        role = "assistant" if group[0].role == "assistant" else "user"
        if group[0].role == "tool":
            answered = _message(group).tool_call_id
            blocks = [{"type": "tool_result", "tool_use_id": answered, "content": [*blocks]}]
        last = turns[-1]["content"] if turns and turns[-1]["role"] == role else None
        if isinstance(last, list):
            last += blocks
        else:
            turns.append({"role": role, "content": [*blocks]})
    return {"system": [*system], "messages": [*turns]}


def _anthropic_blocks(group: list[Segment], stable: int, *, border: bool) -> list[Json]:
    """Texts that touch are one block, but for where the first ``stable`` segments end."""
    blocks: list[Json] = []
    texts: list[str] = []

    def close() -> None:
        text = "".join(texts)
        last = blocks[-1].get("text") if blocks else None
        if not text.strip() and isinstance(last, str):  # the API refuses blank blocks
            blocks[-1]["text"] = last + text
        elif text:
            blocks.append({"type": "text", "text": text})
        texts.clear()

    calls: list[ToolCall] = []
    for number, segment in enumerate(group, start=1):
        texts.append(segment.text)
        if segment.carries is not None:
            calls += segment.carries.tool_calls
            if segment.carries.files:
                close()
                blocks += [_anthropic_file(file) for file in segment.carries.files]
        if border and number == stable:
            close()
            if blocks:
                blocks[-1]["cache_control"] = dict(_BREAKPOINT)
    close()
    return blocks + [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
        for call in calls
    ]


def _anthropic_file(file: Image | Attachment) -> Json:
    source: Json = {"type": "base64", "media_type": file.media_type, "data": file.data}
    if isinstance(file, Image):
        return {"type": "image", "source": source}
    return {"type": "document", "source": source, "title": file.name}


def _kept_row(segment: Segment) -> Json:
    source = segment.source
    return {
        "kept": True,
        "number": segment.number,
        "section": segment.section,
        "source": source.location if source else "",
        "start": source.span.start if source else None,
        "end": source.span.end if source else None,
        "tokens": segment.tokens,
        "score": segment.scores.get("fused"),
        "trust": segment.trust,
        "transformation": segment.transformation,
        "made_by": segment.made_by,
        "reason": "; ".join((segment.reason, *segment.notes)),
    }


def _dropped_row(row: Dropped) -> Json:
    source = row.source
    return {
        "kept": False,
        "number": None,
        "section": row.section,
        "source": source.location if source else row.label,
        "start": source.span.start if source else None,
        "end": source.span.end if source else None,
        "tokens": row.tokens,
        "score": row.score,
        "trust": row.trust,
        "transformation": "verbatim",
        "made_by": "",
        "reason": row.reason,
    }


class Claim(Value):
    """One sentence of an answer and what it rests on."""

    text: str
    span: Span
    """In the answer's text."""
    sources: Annotated[tuple[Source, ...], BeforeValidator(_as_tuple)] = ()
    numbers: Annotated[tuple[int, ...], BeforeValidator(_as_tuple)] = ()
    """The markers, ``[1]``, that the sentence carries."""
    support: float = Field(default=0.0, ge=0.0, le=1.0)
    """How much of the sentence its sources hold; 0: no support found."""


class Citation(Value):
    """One row of an answer's source list."""

    number: int
    source: Source
    quote: str


StopReason = Literal["stop", "length", "tool_calls", "filtered", "interrupted"]
"""Why a reply ended: by itself, at ``max_tokens``, to call tools, by the vendor's filter, or
because its backend failed after it had begun."""


class Usage(Value):
    """What a reply took: tokens, wall seconds, and money where a price is known."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt's, those that the backend did not have to read again."""
    cache_write_tokens: int = 0
    """Of the prompt's, those that the backend put into its cache, where it charges for that."""
    seconds: float = 0.0
    first_token_seconds: float = 0.0
    cost: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            seconds=self.seconds + other.seconds,
            first_token_seconds=self.first_token_seconds or other.first_token_seconds,
            cost=self.cost + other.cost,
        )


class GenerationOptions(Value):
    """How a reply is to be written."""

    max_tokens: int = Field(default=512, gt=0)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int | None = None
    stop: Strings = ()
    tools: Annotated[tuple[Tool, ...], BeforeValidator(_as_tuple)] = ()
    tool_choice: Literal["auto", "none", "required"] = "auto"
    json_schema: Metadata | None = None
    """The reply's text must be JSON that holds to it."""


DEFAULT_OPTIONS = GenerationOptions()


class Reply(Value):
    """A whole reply of a model."""

    text: str
    tool_calls: Annotated[tuple[ToolCall, ...], BeforeValidator(_as_tuple)] = ()
    usage: Usage = Usage()
    stop: StopReason = "stop"
    model: str = ""
    value: JsonValue = None
    """The parsed text where ``json_schema`` was asked for."""
    error: str = ""
    """Why it was interrupted; the text is what had come until then."""


class Answer(Value):
    """The reply to a question, and what every sentence of it rests on."""

    text: str
    """With ``[1]`` markers."""
    found: bool
    """False: the sources do not answer, and the text says so, or no sentence of it is supported."""
    claims: Annotated[tuple[Claim, ...], BeforeValidator(_as_tuple)] = ()
    citations: Annotated[tuple[Citation, ...], BeforeValidator(_as_tuple)] = ()
    context: Context
    usage: Usage = Usage()
    model: str = ""
    error: str = ""
    """Why the model broke off; the text is what had come until then."""
    repaired: bool = False
    """Its first version had sentences without support, and this one is better supported."""
    notes: Strings = ()
    """Steps that failed and were done without."""
    trace_id: str = ""


class Failure(Value):
    """A source that could not be read; the run went on."""

    uri: str
    why: str
    hint: str = ""


class IndexReport(Value):
    """What one run of ``index`` did. Counts are sources (files, or documents handed in)."""

    added: int = 0
    changed: int = 0
    renamed: int = 0
    removed: int = 0
    unchanged: int = 0
    failed: Annotated[tuple[Failure, ...], BeforeValidator(_as_tuple)] = ()
    skipped: Annotated[tuple[Failure, ...], BeforeValidator(_as_tuple)] = ()
    """Files of a folder in which there is nothing to read: empty ones, pictures, programs."""
    chunks: int = 0
    """Written in this run."""
    usage: Usage = Usage()
    """Of the model that situates chunks, where one is set."""
    seconds: float = 0.0


class VectorStatus(Value):
    """How far the vectors of one embedder are."""

    model: str
    done: int
    total: int
    searched: bool
    """Dense search uses these."""


class Status(Value):
    workspace: str
    scope: Scope
    sources: int
    failed: int
    documents: int
    chunks: int
    vectors: Annotated[tuple[VectorStatus, ...], BeforeValidator(_as_tuple)] = ()
    dense: str
    """What searches the vectors: ``exact``, ``chroma`` or ``none``."""
    changes_behind: int
    """Changes that the lexical index has yet to take in."""


class Check(Value):
    """One finding of ``doctor``."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def sha256(text: str | bytes) -> str:
    """Hex digest. Lone surrogates, which JSON can carry, are hashed as they are."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return hashlib.sha256(data).hexdigest()
