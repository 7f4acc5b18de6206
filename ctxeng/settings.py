"""Settings: one small model per room, handed in as a value.

Read from ``ctxeng.toml`` (found upwards from the working folder, or named), then from environment
variables ``CTXENG_<ROOM>__<NAME>`` (in a table in a table: ``CTXENG_GENERATION__STEPS__JUDGE``),
then from arguments; later wins.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from ctxeng.errors import ConfigError


class Room(BaseModel):
    """Settings are frozen and refuse unknown names; text from the environment is converted. No
    error shows what stands in the place of a wrong value: it may be a key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Keyed(Room):
    """A table of a server: it names the key, and never holds it."""

    @model_validator(mode="before")
    @classmethod
    def _hold_no_key(cls, table: object) -> object:
        if not isinstance(table, Mapping):
            return table
        held = next((name for name in table if str(name).lower() in _HOLDS_KEY), None)
        if held is not None:
            raise PydanticCustomError(
                "key_in_table",
                "{held} is no setting, and a key does not stand in a file. Put it into an "
                'environment variable, or the keyring, and name that: key_env = "NAME"',
                {"held": held},
            )
        named = str(table.get("key_env") or "")
        if _KEY.search(named):
            raise PydanticCustomError(
                "key_in_table",
                "key_env holds what looks like the key itself. It names the environment "
                'variable, or keyring entry, that holds the key, such as "OPENAI_API_KEY"',
            )
        return table


_HOLDS_KEY = {"key", "api_key", "apikey", "api-key", "token", "secret", "password"}
_KEY = re.compile(r"^(sk|pk|gsk|hf|xai|gh[a-z])[-_]|^(?=.*[a-z])(?=.*\d)[\w-]{20,}$|[^\w.-]")
"""No name of a variable, and hardly one of a keyring's entry."""


class LoadingSettings(Room):
    max_file_bytes: int = Field(default=50_000_000, gt=0)
    """Larger files are reported, not read."""
    max_expanded_bytes: int = Field(default=200_000_000, gt=0)
    """What the members of a zipped format or an archive may unpack to, in all."""
    max_archive_members: int = Field(default=10_000, gt=0)
    max_depth: int = Field(default=40, gt=0)
    """Folders below a root, and nesting inside a file where the format nests."""
    archives: bool = False
    """Also look into .zip, .tar, .tar.gz …"""
    ignore_files: bool = True
    """Honour .gitignore and .ctxengignore."""
    hidden: bool = False
    """Also read files and folders whose name begins with a dot."""


class ChunkingSettings(Room):
    min_words: int = Field(default=100, gt=0)
    max_words: int = Field(default=150, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> ChunkingSettings:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words ({self.min_words}) is over max_words ({self.max_words})")
        return self


class EmbeddingSettings(Keyed):
    model: str = "auto"
    """``auto`` (packaged static vectors, then packaged MiniLM where the extra ``local`` is
    installed), ``static``, ``minilm``, ``none``, a sentence-transformers folder or hub name, or a
    model of an OpenAI-compatible API (with ``base_url``)."""
    base_url: str = ""
    """Of an OpenAI-compatible server: ``http://127.0.0.1:8080/v1``."""
    key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key of that server."""
    batch_size: int = Field(default=32, gt=0)
    threads: int = Field(default=2, gt=0)
    timeout: float = Field(default=60.0, gt=0)


class IndexingSettings(Room):
    dense: Literal["auto", "exact", "chroma"] = "auto"
    """``auto``: exact search up to ``exact_limit`` chunks, Chroma above."""
    exact_limit: int = Field(default=50_000, gt=0)
    chroma_url: str = ""
    """Of a Chroma server, ``http://host:8000``; the vectors then live there, however few."""


class RetrievalSettings(Room):
    candidates: int = Field(default=100, gt=0)
    """How many each index contributes."""
    dense_weight: float | None = Field(default=None, ge=0, le=1)
    """Share of the dense scores in the fusion; None: by embedder (static .3, others .5)."""
    parent_weight: float = Field(default=0.75, ge=0)
    """What a document's score, BM25 or cosine, adds to that of its chunks."""
    definition_weight: float = Field(default=0.5, ge=0)
    """What a chunk gains, in idf, for defining an identifier that the query names."""


class ContextSettings(Room):
    budget: int = Field(default=2_000, gt=0)
    """Tokens of a built prompt."""
    window: int = Field(default=4_096, gt=0)
    """Tokens that the prompt of a conversation's turn and its reply may take together; no more than
    the model reads, where that is known."""
    plans: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """Tables ``[context.plans.NAME]``: what prompts are made of, for ``ContextPlan.from_table``."""


class TimeoutSettings(Room):
    """Seconds after which a backend is given up."""

    connect: float = Field(default=10.0, gt=0)
    first_token: float = Field(default=120.0, gt=0)
    between_tokens: float = Field(default=60.0, gt=0)
    total: float = Field(default=600.0, gt=0)
    """Of one reply with all its tries, and the waiting for its turn."""


class PriceSettings(Room):
    """Money for a million tokens, in whatever currency the limits are in."""

    prompt: float = Field(default=0.0, ge=0)
    cached: float | None = Field(default=None, ge=0)
    """Of prompt tokens that the backend did not have to read again; None: as ``prompt``."""
    cache_write: float | None = Field(default=None, ge=0)
    """Of prompt tokens that the backend put into its cache; None: as ``prompt``."""
    completion: float = Field(default=0.0, ge=0)


class ModelSettings(Keyed):
    """One table ``[models.NAME]``: a model by the name that ``--model`` and ``model=`` take."""

    backend: Literal["openai", "anthropic", "transformers", "llama", "extractive"]
    """``openai``: chat completions of any server that speaks them."""
    model: str = ""
    """As the backend calls it: a name, a folder, a hub name, a registered model."""
    base_url: str = ""
    """Empty: the vendor's own."""
    key_env: str = ""
    """Environment variable (or keyring entry) with the key. Empty: the vendor's usual one."""
    context_window: int | None = Field(default=None, gt=0)
    timeout: TimeoutSettings | Annotated[float, Field(gt=0)] = TimeoutSettings()
    """A number: seconds in all."""
    prices: PriceSettings | None = None
    """None: of the packaged table, where the model is in it."""
    adapter: str = ""
    """Folder of a LoRA adapter (``transformers``)."""
    budget: int | None = Field(default=None, gt=0)
    """Tokens of the prompts that are built for it, in the place of ``context.budget``. None: that
    one, or of a packaged model what it works best with, where that is less."""
    reminder: str | None = None
    """Words after the question: small models heed what they read last. None: of a packaged model
    its own, else none."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Of its answers, in the place of ``generation.max_tokens``: small models often do not end by
    themselves. None: that one, or of a packaged model its own, where that is less."""
    fallback: str = ""
    """Name of the model that is asked where this one fails before it has said anything."""
    escalate: str = ""
    """Name of the larger model that replies where this one is not sure enough. How sure it is, is
    told by four more replies: how alike they are to the first (F1 of their words)."""
    escalate_below: float = Field(default=0.8, ge=0)
    """Sureness under which ``escalate`` replies: the threshold that ``calibrate`` finds."""
    profile: str = ""
    """Name of the vendor's profile; empty: by ``base_url``."""
    max_concurrent: int = Field(default=8, gt=0)
    """Replies at once from this server. Names that share ``base_url`` and ``key_env`` share places
    and pace: each waits by its own limits, and all count."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    """Tries count too. None: no limit."""
    retry_broken_streams: bool = False
    """Start a reply again that breaks off after its first token (of servers). What was streamed
    until then is to be discarded: the stream says so with a ``Restart``."""

    @property
    def timeouts(self) -> TimeoutSettings:
        if isinstance(self.timeout, TimeoutSettings):
            return self.timeout
        return TimeoutSettings(
            connect=min(10.0, self.timeout),
            first_token=self.timeout,
            between_tokens=self.timeout,
            total=self.timeout,
        )


class StepSettings(Room):
    """Names of the models that work beside the one that answers; empty: none."""

    contextualise: str = ""
    """Writes what situates each chunk in its document, which is indexed with it."""
    judge: str = ""
    """Says whether the sources support each sentence of an answer; none: told by their words."""
    distil: str = ""
    """Shortens what has no room any more."""
    rewrite: str = ""
    """Makes a question of a conversation stand on its own; none: rules do."""


class GenerationSettings(Room):
    model: str = "extractive"
    """Who writes answers: ``extractive``, ``local``, or a name of ``[models.NAME]``."""
    max_tokens: int = Field(default=512, gt=0)
    """Of a reply; kept free beside the context's budget where a window is known."""
    temperature: float = Field(default=0.0, ge=0)
    cache: bool = True
    """Keep replies by model, options and messages; never where a sampled one has no seed."""
    spend_per_call: float | None = Field(default=None, ge=0)
    spend_per_session: float | None = Field(default=None, ge=0)
    spend_per_day: float | None = Field(default=None, ge=0)
    """Money; a call that could go over is not made. A day (of UTC) is counted in the workspace;
    without one that can be written, in the user's folder for state, for all such calls together."""
    repair: bool = False
    """Have the model write an answer once more that has sentences without support. Its text is
    then handed on when it has been checked, not while it is written."""
    steps: StepSettings = StepSettings()
    """Table ``[generation.steps]``."""


class TraceSettings(Room):
    """Which runs are kept in the workspace, to be looked at, replayed and compared."""

    enabled: bool = True
    keep_runs: int = Field(default=1_000, gt=0)
    """Of each scope, the newest; older ones go when a run is written."""
    keep_days: float | None = Field(default=None, gt=0)
    """None: no limit but ``keep_runs``."""


class Settings(Room):
    """All settings: one field per room."""

    loading: LoadingSettings = LoadingSettings()
    chunking: ChunkingSettings = ChunkingSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    indexing: IndexingSettings = IndexingSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    context: ContextSettings = ContextSettings()
    generation: GenerationSettings = GenerationSettings()
    trace: TraceSettings = TraceSettings()
    models: dict[str, ModelSettings] = Field(default_factory=dict)
    """Tables ``[models.NAME]``."""


def load_settings(
    path: Path | None = None, *, environment: Mapping[str, str] | None = None
) -> Settings:
    """Settings from a file and the environment.

    Args:
        path: the file; None looks for ``ctxeng.toml`` from the working folder upwards.
        environment: variables; None: ``os.environ``.

    Raises:
        ConfigError: the file is missing or not TOML, or a name or value is wrong.
    """
    file = path or _find_upwards(Path.cwd(), "ctxeng.toml")
    values: dict[str, object] = {}
    variables: dict[tuple[str, ...], str] = {}
    if file is not None:
        try:
            values = _from_file(tomllib.loads(file.read_text("utf-8")), file.parent)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{file}: cannot be read as settings: {error}") from error
    for name, value in (os.environ if environment is None else environment).items():
        steps = tuple(name.removeprefix("CTXENG_").lower().split("__"))
        if name.startswith("CTXENG_") and len(steps) > 1 and all(steps):
            values = _with(values, steps, value)
            variables[steps] = name
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        steps, wrong = what_is_wrong(error)
        variable = next((name for at, name in variables.items() if at == steps[: len(at)]), None)
        raise ConfigError(
            f"{variable or file or 'environment'}: setting {'.'.join(steps)}: {wrong}. "
            "docs/reference.md lists all settings."
        ) from error


def what_is_wrong(error: ValidationError) -> tuple[tuple[str, ...], str]:
    """Where in the settings, and what: of several errors the first that says something."""
    said = error.errors()
    first = next((one for one in said if one["type"] != "model_type"), said[0])
    # Of a setting that takes values of several types, the names of the types are left out.
    steps = tuple(str(step) for step in first["loc"] if str(step) not in _TYPES)
    if first["type"] != "extra_forbidden":
        return steps, first["msg"]
    rooms, names = [Room], set[str]()
    while rooms:
        room = rooms.pop()
        rooms += room.__subclasses__()
        names.update(room.model_fields)
    near = difflib.get_close_matches(steps[-1], names, 1)
    return steps, "there is no such setting" + (f" ({near[0]}, perhaps)" if near else "")


_TYPES = {"TimeoutSettings", "constrained-float", "float"}


def _from_file(values: dict[str, object], folder: Path) -> dict[str, object]:
    """What a file says, with the folders of models that it names by a relative path beside it."""
    tables = values.get("models")
    for table in tables.values() if isinstance(tables, dict) else ():
        for key in ("model", "adapter") if isinstance(table, dict) else ():
            if str(table.get(key, "")).startswith(("./", "../")):
                table[key] = str((folder / str(table[key])).resolve())
    return values


def _with(values: dict[str, object], steps: Sequence[str], value: str) -> dict[str, object]:
    """The values with one more; what is no table stays, and is refused as what it is."""
    first, *rest = steps
    if not rest:
        return {**values, first: value}
    own = values.get(first, {})
    return {**values, first: _with(own, rest, value)} if isinstance(own, dict) else values


def _find_upwards(folder: Path, name: str) -> Path | None:
    return next((f / name for f in (folder, *folder.parents) if (f / name).is_file()), None)
