"""What is known of vendors, and how a table finds it."""

import pytest

from ctxeng.errors import ConfigError
from ctxeng.generation.http import server_of
from ctxeng.generation.prices import KNOWN
from ctxeng.generation.profiles import (
    PROFILES,
    known_prices,
    known_window,
    profile_of,
)
from ctxeng.settings import ModelSettings, PriceSettings


def table(backend="openai", model="m", **more):
    return ModelSettings(backend=backend, model=model, **more)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (table(), "openai"),
        (table("anthropic"), "anthropic"),
        (table("anthropic", base_url="http://127.0.0.1:9000"), "anthropic"),
        (table(base_url="https://api.mistral.ai/v1"), "mistral"),
        (table(base_url="http://localhost:11434/v1"), "ollama"),
        (table(base_url="http://[::1]:8080/v1"), "llama.cpp"),
        (table(base_url="http://127.0.0.1:8000/v1/"), "vllm"),
        (table(base_url="http://10.0.0.7:8000/v1"), "compatible"),
        (table(base_url="https://api.openai.com.evil.example/v1"), "compatible"),
        (table(base_url="http://10.0.0.7:8000/v1", profile="vllm"), "vllm"),
        (table(base_url="https://api.anthropic.com/v1"), "compatible"),
    ],
)
def test_a_profile_is_found_by_name_then_by_address_then_by_backend(settings, name):
    assert profile_of(settings).name == name


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (table(model=""), "needs a name"),
        (table(profile="nobody"), "none of anthropic, compatible"),
        (table(profile="anthropic"), "does not fit backend 'openai'"),
        (table("anthropic", profile="vllm"), "does not fit backend 'anthropic'"),
        (table(profile="compatible"), "set base_url"),
        (table(base_url="localhost:8080/v1"), "no address"),
        (table(base_url="ftp://example.org"), "no address"),
        (table(base_url="http://:80"), "no address"),
        (table(base_url="http://[::1"), "no address"),
        (table(base_url="http://host:99999999/v1"), "no address"),
    ],
)
def test_a_table_that_leads_nowhere_is_an_error_that_says_why(settings, says):
    with pytest.raises(ConfigError, match=says):
        server_of(settings)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:pass-secret@host/v1",
        "https://sk-pass-secret@host/v1",
        "https://host/v1?key=pass-secret",
        "https://host/v1#pass-secret",
        "pass-secret://host",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(url):
    with pytest.raises(ConfigError, match="base_url") as raised:
        server_of(table(base_url=url))
    assert url.startswith("pass-secret") or "pass-secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (table(), "https://api.openai.com/v1/chat/completions"),
        (table(base_url="http://h:1/v1/"), "http://h:1/v1/chat/completions"),
        (table(base_url="http://h:1/v1/chat/completions"), "http://h:1/v1/chat/completions"),
        (table(base_url="http://h:1/proxy"), "http://h:1/proxy/chat/completions"),
        (table("anthropic"), "https://api.anthropic.com/v1/messages"),
        (table("anthropic", base_url="http://h:1"), "http://h:1/v1/messages"),
        (table("anthropic", base_url="http://h:1/v1"), "http://h:1/v1/messages"),
        (table("anthropic", base_url="http://h:1/v1/messages"), "http://h:1/v1/messages"),
    ],
)
def test_the_path_stands_behind_the_address_once(settings, url):
    assert server_of(settings).url == url


def test_a_vendors_key_goes_to_the_vendor_only():
    assert server_of(table()).key_env == "OPENAI_API_KEY"
    assert server_of(table("anthropic")).key_env == "ANTHROPIC_API_KEY"
    assert server_of(table(base_url="https://api.openai.com/v1")).key_env == "OPENAI_API_KEY"
    assert server_of(table(base_url="https://elsewhere.example/v1")).key_env == ""
    assert server_of(table("anthropic", base_url="https://elsewhere.example")).key_env == ""
    assert server_of(table(base_url="https://elsewhere.example/v1", profile="openai")).key_env == ""
    assert server_of(table(base_url="http://h/v1", key_env="MINE")).key_env == "MINE"


@pytest.mark.parametrize(
    ("model", "prompt"),
    [
        ("gpt-4o", 2.5),
        ("gpt-4o-2024-08-06", 2.5),
        ("gpt-4o-mini", 0.15),
        ("gpt-4o-mini-2024-07-18", 0.15),
        ("gpt-4o-audio-preview", None),
        ("gpt-5.1", 1.25),
        ("gpt-5-turbo", None),
        ("brand-new", None),
    ],
)
def test_prices_are_those_of_the_model_and_of_its_dated_versions(model, prompt):
    found = known_prices(table(model=model))
    assert (None if found is None else found.prompt) == prompt


def test_a_newer_model_does_not_take_the_price_of_an_older_one():
    assert known_prices(table("anthropic", "claude-opus-5-5")).prompt == 4
    assert known_prices(table("anthropic", "claude-opus-5")).prompt == 5
    assert known_prices(table("anthropic", "claude-opus-5-9")) is None
    assert known_prices(table("anthropic", "claude-sonnet-4-5-20250929")).completion == 15


def test_the_tables_own_prices_win_and_ones_own_machine_is_free():
    mine = PriceSettings(prompt=9)
    assert known_prices(table(model="gpt-4o", prices=mine)) == mine
    assert known_prices(table(base_url="http://127.0.0.1:11434/v1")) == PriceSettings()
    assert known_prices(table(base_url="http://10.0.0.7:9/v1", model="gpt-4o")) is None


def test_windows_are_known_or_given():
    assert known_window(table(model="gpt-4o")) == 128_000
    assert known_window(table(model="gpt-4o", context_window=5)) == 5
    assert known_window(table(model="brand-new")) is None


@pytest.mark.parametrize("backend", ["transformers", "llama", "extractive"])
def test_a_backend_without_a_vendor_has_the_window_that_it_is_given(backend):
    assert known_window(ModelSettings(backend=backend, model="m", context_window=5)) == 5
    assert known_window(ModelSettings(backend=backend, model="m")) is None


@pytest.mark.parametrize("model", ["o3", "o4-mini", "gpt-5", "gpt-5-mini", "gpt-5.5", "gpt-6-sol"])
def test_models_that_think_first_are_sent_no_temperature(model):
    assert not PROFILES["openai"].takes_sampling(model)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-5-chat-latest", "gpt-5.4"])
def test_the_others_are(model):
    assert PROFILES["openai"].takes_sampling(model)


def test_every_known_model_has_sound_figures():
    for vendor, models in KNOWN.items():
        assert vendor in PROFILES
        for model in models.values():
            assert 0 < model.cached <= model.prompt <= model.completion
            assert model.window >= 128_000
            assert model.cache_write is None or model.prompt < model.cache_write


def test_writing_to_the_cache_is_charged_by_those_who_say_so():
    assert known_prices(table("anthropic", "claude-sonnet-4-5")).cache_write == 3.75
    assert known_prices(table(model="gpt-6-sol")).cache_write == 2.5
    assert known_prices(table(model="gpt-4o")).cache_write is None
