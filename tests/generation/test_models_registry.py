"""Names of local models: what they stand for, and which can be used."""

import threading

import pytest

pytest.importorskip("torch", reason="needs the extra `local`")

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation import models
from ctxeng.generation.llama import LlamaGenerator
from ctxeng.generation.local import TransformersGenerator
from ctxeng.generation.models import (
    add_model,
    model_statuses,
    resolve_local,
    resolve_registered,
)
from ctxeng.generation.named import check_name
from ctxeng.generation.packaged import models_cache
from ctxeng.generation.registry import Registered, registered, remember
from ctxeng.generation.sources import llama_source, transformers_source
from ctxeng.settings import GenerationSettings, ModelSettings, Settings
from tests.generation.packaged_model import cache_home
from tests.generation.tiny import ask, make_model, table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def gguf(tmp_path):
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF" + bytes(100))
    return file


def add(name, where=""):
    return add_model(name, str(where), on_progress=lambda _: None)


def status_of(name, **tables):
    settings = Settings.model_validate({"models": tables})
    return next(one for one in model_statuses(settings) if one.name == name)


def test_an_added_folder_is_used_by_its_name(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder.parent)
    made = add("ours", "tiny")
    assert (made.usable, made.backend, made.model) == (True, "transformers", str(folder))
    monkeypatch.chdir(tmp_path)  # the name means the same from everywhere
    generator = resolve_registered("ours")
    assert isinstance(generator, TransformersGenerator)
    assert ask(generator, max_tokens=2)[-1].stop == "length"
    assert generator.name.startswith("ours@")
    by_table = TransformersGenerator(table("ours"))
    assert by_table.name == generator.name
    # the same weights by their folder have the same fingerprint
    assert transformers_source(str(folder)).name.partition("@")[2] in generator.name


def test_adding_again_takes_the_place_of_what_was(folder, gguf):
    add("ours", folder)
    add("ours", gguf)
    assert registered()["ours"] == Registered("ours", "gguf", str(gguf))


def test_a_hub_name_is_kept_and_not_asked_for(monkeypatch):
    monkeypatch.setattr("ctxeng.generation.sources.from_hub", None)
    made = add("qwen", "Qwen/Qwen2.5-0.5B-Instruct@main")
    assert made.usable
    assert "downloaded when it is first used" in made.why
    assert resolve_registered("qwen").name == "Qwen/Qwen2.5-0.5B-Instruct@main on transformers"


def test_what_cannot_be_reached_on_the_hub_is_a_backend_error(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def unreachable(*_, **__):
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(BackendError, match="cannot be downloaded from the hub") as failed:
        ask(TransformersGenerator(table("nobody/nothing")))
    assert failed.value.retryable


@pytest.mark.parametrize(
    ("name", "where", "words"),
    [
        ("ours", "", "no packaged model; there is smollm2"),
        ("ours", "nowhere/at/all", "no such folder or file"),
        ("ours", "./nowhere", "no such folder or file"),
        ("local", "Qwen/Qwen2.5", "choose another name"),
        ("extractive", "Qwen/Qwen2.5", "choose another name"),
        ("a b", "Qwen/Qwen2.5", "choose another name"),
        ("../x", "Qwen/Qwen2.5", "choose another name"),
    ],
)
def test_what_cannot_be_added_says_why(name, where, words):
    with pytest.raises(ConfigError, match=words):
        add(name, where)
    assert registered() == {}


def test_a_folder_that_is_no_model_is_not_added(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"config\.json is missing"):
        add("ours", tmp_path / "empty")
    (tmp_path / "text.gguf").write_text("no model")
    with pytest.raises(ConfigError, match="is no GGUF file"):
        add("ours", tmp_path / "text.gguf")


def test_a_file_of_names_that_is_damaged_says_what_to_do():
    (models_cache()).mkdir(parents=True)
    (models_cache() / "registered.json").write_text('{"ours": {"kin')
    with pytest.raises(ConfigError, match="Delete it"):
        registered()


def test_names_added_at_the_same_time_are_all_kept():
    threads = [
        threading.Thread(target=remember, args=(Registered(f"m{n}", "hub", "a/b"),))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(registered()) == sorted(f"m{n}" for n in range(12))


def all_is_installed(monkeypatch):
    monkeypatch.setattr("ctxeng.generation.extras.find_spec", lambda name: name)


def test_a_gguf_file_is_run_by_llama_and_nothing_else(gguf, folder, monkeypatch):
    all_is_installed(monkeypatch)
    with pytest.raises(ConfigError, match='backend = "llama"'):
        transformers_source(str(gguf))
    with pytest.raises(ConfigError, match="reads GGUF files"):
        llama_source(str(folder))


def test_without_the_extra_it_says_which(monkeypatch, folder, gguf):
    monkeypatch.setattr("ctxeng.generation.extras.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"ctxeng\[local\]"):
        TransformersGenerator(table(folder))
    with pytest.raises(ConfigError, match=r"ctxeng\[llama\]"):
        LlamaGenerator(ModelSettings(backend="llama", model=str(gguf)))
    with pytest.raises(ConfigError, match=r"ctxeng\[llama\].*ctxeng\[local\]"):
        resolve_local()
    assert not status_of("local").usable


def test_local_is_the_packaged_model_on_what_is_installed(monkeypatch):
    with pytest.raises(ConfigError, match="ctxeng models add smollm2"):
        resolve_local()
    assert status_of("local").advice == "Run `ctxeng models add smollm2`."
    monkeypatch.setenv("XDG_CACHE_HOME", cache_home())
    all_is_installed(monkeypatch)
    assert isinstance(resolve_local(), LlamaGenerator)
    assert isinstance(resolve_registered("smollm2"), LlamaGenerator)
    monkeypatch.setattr(models, "missing", lambda packages: [p for p in packages if p[0] == "x"])
    assert isinstance(resolve_local(), TransformersGenerator)
    local = status_of("local")
    assert local.usable
    assert local.why == "smollm2 on transformers"


def test_tables_are_listed_with_why_they_cannot_be_used(folder, monkeypatch, tmp_path):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    tables = {
        "good": {"backend": "transformers", "model": str(folder)},
        "gone": {"backend": "transformers", "model": str(tmp_path / "gone")},
        "gpt": {"backend": "openai", "model": "gpt-4o"},
        "own": {"backend": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"},
        "odd": {"backend": "openai", "model": "m", "base_url": "ftp://x"},
        "quotes": {"backend": "extractive"},
    }
    usable = {name: status_of(name, **tables).usable for name in tables}
    assert usable == {
        "good": True,
        "gone": False,
        "gpt": False,
        "own": True,
        "odd": False,
        "quotes": True,
    }
    gpt = status_of("gpt", **tables)
    assert "no key" in gpt.why
    assert "OPENAI_API_KEY" in gpt.advice
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    shown = status_of("gpt", **tables)
    assert shown.usable
    assert "sk-0123456789" not in repr(shown)


def test_what_a_table_leads_to_must_be_usable_too():
    table = {"backend": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    tables = {
        "falls": {**table, "fallback": "nowhere"},
        "rises": {**table, "escalate": "rises"},
        "lands": {**table, "fallback": "extractive"},
    }
    assert status_of("lands", **tables).usable
    assert "no model is called 'nowhere'" in status_of("falls", **tables).why
    assert "ctxeng.toml" in status_of("falls", **tables).advice
    assert "goes round in a circle" in status_of("rises", **tables).why


def test_a_model_of_unknown_price_is_not_usable_under_a_spend_limit():
    far = ModelSettings(backend="openai", model="m", base_url="https://models.example/v1")
    limited = Settings(models={"far": far}, generation=GenerationSettings(spend_per_day=1))
    (status,) = (one for one in model_statuses(limited) if one.name == "far")
    assert not status.usable
    assert "no price is known" in status.why
    assert status_of("far", far=far).usable


def test_an_adapter_that_is_gone_is_listed_as_such(tmp_path):
    remember(Registered("terse", "adapter", str(tmp_path / "gone")))
    assert not status_of("terse").usable
    assert resolve_registered("terse") is None
    assert resolve_registered("unknown") is None


def test_an_adapter_that_is_asked_says_where_to_name_it(tmp_path):
    remember(Registered("terse", "adapter", str(tmp_path)))
    with pytest.raises(ConfigError, match=r"'terse' is an adapter: name it as adapter in a table"):
        check_name("terse", Settings())
    remember(Registered("qwen", "hub", "Qwen/Qwen2.5-0.5B-Instruct"))
    with pytest.raises(ConfigError, match=r"there are: extractive, local, qwen\."):
        check_name("qwne", Settings())
