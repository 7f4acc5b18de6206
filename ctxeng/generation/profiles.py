"""What each vendor's API takes, wants and calls things: data, so that nothing branches on a name.

Checked against the vendors' documentation and the profiles of litellm 1.109 and pydantic-ai 2.68.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from ctxeng.errors import ConfigError
from ctxeng.generation.prices import KNOWN, KnownModel
from ctxeng.settings import ModelSettings, PriceSettings

COMMON_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")


@dataclass(frozen=True, slots=True)
class Profile:
    """One vendor, or one kind of server. Whatever is not said is as most have it."""

    name: str
    path: str = "/chat/completions"
    """What stands behind ``base_url``."""
    base_url: str = ""
    hosts: tuple[str, ...] = ()
    """Hosts, or ``:port`` on the own machine, by which a ``base_url`` is recognised."""
    key_env: str = ""
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "
    headers: Mapping[str, str] = field(default_factory=dict)
    max_tokens: str = "max_tokens"
    seed: str = "seed"
    """Name of the parameter; empty: it takes none, and a seed is not sent."""
    required: str = "required"
    """How it is said that some tool must be called."""
    schema: Literal["json_schema", "json_object", "output_config"] = "json_schema"
    """Its native form of structured output."""
    asks_usage: bool = True
    """Usage in a stream comes when ``stream_options`` ask for it; else by itself."""
    no_sampling: str = r"(?!)"
    """Models, as a pattern, that refuse ``temperature`` and ``top_p``."""
    optional: tuple[str, ...] = (
        "stream_options", "seed", "temperature", "top_p", "response_format", "output_config",
    )  # fmt: skip
    """Parameters that a call can do without where the model refuses them by name: the prompt asks
    for the schema as well, and the reply is checked."""
    images: tuple[str, ...] = COMMON_IMAGES
    files: tuple[str, ...] = ()
    get_model: str = ""
    """The command that gets a model for it."""
    local: bool = False
    """Runs on machines of one's own: it costs nothing."""

    def takes_sampling(self, model: str) -> bool:
        return re.match(self.no_sampling, model) is None


OPENAI = Profile(
    "openai",
    base_url="https://api.openai.com/v1",
    hosts=("api.openai.com",),
    key_env="OPENAI_API_KEY",
    max_tokens="max_completion_tokens",
    no_sampling=r"o\d|gpt-5(?!-chat|\.[1-4])|gpt-5\.[1-3]-chat|gpt-5\.\d-pro|gpt-[6-9]",
    files=("application/pdf",),
)
ANTHROPIC = Profile(
    "anthropic",
    path="/v1/messages",
    base_url="https://api.anthropic.com",
    hosts=("api.anthropic.com",),
    key_env="ANTHROPIC_API_KEY",
    key_header="x-api-key",
    key_prefix="",
    headers={"anthropic-version": "2023-06-01"},
    seed="",
    required="any",
    schema="output_config",
    no_sampling=r"claude-(fable|mythos|opus-4-[7-9]|(opus|sonnet|haiku)-[5-9])",
    files=("application/pdf", "text/plain"),
)
ANY = Profile("compatible")
"""Any other server that speaks like OpenAI's."""

PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        OPENAI,
        ANTHROPIC,
        ANY,
        Profile(
            "deepseek",
            base_url="https://api.deepseek.com",
            hosts=("api.deepseek.com",),
            key_env="DEEPSEEK_API_KEY",
            schema="json_object",
            seed="",
            images=(),
        ),
        Profile(
            "groq",
            base_url="https://api.groq.com/openai/v1",
            hosts=("api.groq.com",),
            key_env="GROQ_API_KEY",
            max_tokens="max_completion_tokens",
        ),
        Profile(
            "mistral",
            base_url="https://api.mistral.ai/v1",
            hosts=("api.mistral.ai",),
            key_env="MISTRAL_API_KEY",
            seed="random_seed",
            required="any",
            asks_usage=False,
        ),
        Profile(
            "openrouter",
            base_url="https://openrouter.ai/api/v1",
            hosts=("openrouter.ai",),
            key_env="OPENROUTER_API_KEY",
            files=("application/pdf",),
        ),
        Profile(
            "ollama",
            base_url="http://127.0.0.1:11434/v1",
            hosts=(":11434",),
            get_model="ollama pull {model}",
            local=True,
        ),
        Profile(
            "lmstudio",
            base_url="http://127.0.0.1:1234/v1",
            hosts=(":1234",),
            get_model="lms get {model}",
            local=True,
        ),
        Profile("vllm", base_url="http://127.0.0.1:8000/v1", hosts=(":8000",), local=True),
        Profile("llama.cpp", base_url="http://127.0.0.1:8080/v1", hosts=(":8080",), local=True),
    )
}
_OF_BACKEND = {"openai": OPENAI, "anthropic": ANTHROPIC}
_OWN_MACHINE = {"localhost", "127.0.0.1", "::1"}


def profile_of(table: ModelSettings) -> Profile:
    """The profile that the table names, or that its ``base_url`` shows, or of the backend's vendor.

    Raises:
        ConfigError: there is no such profile, it speaks another API than the backend, or the
            ``base_url`` is none.
    """
    vendor = _OF_BACKEND[table.backend]
    if table.profile:
        if table.profile not in PROFILES:
            raise ConfigError(
                f"profile = {table.profile!r} is none of {', '.join(sorted(PROFILES))}. Take one "
                "of them, or leave it out."
            )
        profile = PROFILES[table.profile]
        if (profile is ANTHROPIC) != (vendor is ANTHROPIC):
            raise ConfigError(f"profile {profile.name!r} does not fit backend {table.backend!r}.")
        return profile
    if not table.base_url or vendor is ANTHROPIC:
        return vendor
    url = parse_url(table.base_url)
    at = f":{url.port}" if url.hostname in _OWN_MACHINE else url.hostname
    found = (p for p in PROFILES.values() if at in p.hosts and p.path == vendor.path)
    return next(found, ANY)


def parse_url(base_url: str) -> SplitResult:
    """Raises:
    ConfigError: it is no http(s) address, or holds more than a place: a password in it would be
        shown wherever the address is.
    """
    try:
        url = urlsplit(base_url)
        _ = url.port  # a port that is none shows only now
    except ValueError as error:
        raise ConfigError(f"base_url is no address: {error}.") from None
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ConfigError(
            "base_url is no address of a server, such as http://127.0.0.1:8080/v1: it begins "
            f"with {url.scheme + '://' if url.scheme else 'no http:// or https://'}."
        )
    if "@" in url.netloc or url.query or url.fragment:
        raise ConfigError(
            "base_url holds a user, a password or parameters: give the place only. The key comes "
            "from the environment variable, or keyring entry, that key_env names."
        )
    return url


def known_model(table: ModelSettings) -> KnownModel | None:
    """What the packaged table says of it: the longest name that the model's begins with, so that
    dated versions are found.
    """
    known = KNOWN.get(profile_of(table).name, {})
    fitting = [name for name in known if _begins(table.model, name)]
    return known[max(fitting, key=len)] if fitting else None


def known_prices(table: ModelSettings) -> PriceSettings | None:
    """The table's own prices, or the packaged ones; None: nobody knows."""
    if table.prices is not None or profile_of(table).local:
        return table.prices or PriceSettings()
    model = known_model(table)
    if model is None:
        return None
    return PriceSettings(
        prompt=model.prompt,
        cached=model.cached,
        cache_write=model.cache_write,
        completion=model.completion,
    )


def known_window(table: ModelSettings) -> int | None:
    """Tokens that prompt and reply may have together; None: nobody knows."""
    if table.context_window or table.backend not in _OF_BACKEND:
        return table.context_window
    model = known_model(table)
    return model.window if model else None


def _begins(model: str, name: str) -> bool:
    """``gpt-4o-2024-08-06`` is a ``gpt-4o``; ``gpt-4o-mini`` and ``gpt-4o-audio-…`` are not."""
    return re.fullmatch(rf"{re.escape(name)}(-latest|[-@]\d{{4}}[\d-]*)?", model) is not None
