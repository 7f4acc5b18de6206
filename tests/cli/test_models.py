"""``ctxeng models``, ``ctxeng models add`` and ``ctxeng models remove``."""

import json

import pytest

pytest.importorskip("torch", reason="needs the extra `local`")

from ctxeng.generation.packaged import SMOLLM2, models_cache
from tests.generation.packaged_model import fetched
from tests.generation.tiny import make_model


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_models_says_what_is_usable_and_what_to_do(ctxeng, place):
    ran = ctxeng("models")
    assert ran.code == 0
    rows = {line.split()[1]: line for line in ran.out.splitlines() if line[:2].strip()}
    assert rows["extractive"].startswith("ok")
    assert rows["smollm2"].startswith("–")
    assert "not fetched yet" in rows["smollm2"]
    assert "Run `ctxeng models add smollm2`." in rows["smollm2"]
    assert "uses extractive" in ran.err


def test_models_json_is_one_value_with_every_model(ctxeng, place):
    (place / "ctxeng.toml").write_text(
        '[generation]\nmodel = "gpt"\n[models.gpt]\nbackend = "openai"\nmodel = "m"\n'
        'base_url = "http://127.0.0.1:9/v1"\n'
    )
    value = ctxeng("models", "--json").value
    assert value["default"] == "gpt"
    names = [one["name"] for one in value["models"]]
    assert names == ["extractive", "local", "smollm2", "gpt"]
    assert all({"usable", "why", "advice", "backend"} <= set(one) for one in value["models"])


@pytest.mark.parametrize(
    ("default", "told"),
    [("nobody", "is none of these"), ("local", "uses local, which cannot be used now")],
)
def test_a_default_that_cannot_answer_is_told(ctxeng, place, default, told):
    (place / "ctxeng.toml").write_text(f'[generation]\nmodel = "{default}"\n')
    ran = ctxeng("models")
    assert ran.code == 0
    assert told in ran.err


def test_a_folder_is_added_and_then_listed(ctxeng, place):
    make_model(place / "ours")
    assert ctxeng("models", "add", "tuned", "ours").code == 0
    listed = {one["name"]: one for one in ctxeng("models", "--json").value["models"]}
    assert listed["tuned"]["usable"]
    assert listed["tuned"]["model"] == str(place / "ours")
    assert ctxeng("models", "add", "again", "ours", "--json").value["name"] == "again"


def test_what_cannot_be_added_is_one_line_and_exit_code_2(ctxeng, place):
    ran = ctxeng("models", "add", "tuned", "handbook")
    assert (ran.code, ran.out) == (2, "")
    assert "config.json is missing" in ran.err
    as_json = ctxeng("models", "add", "tuned", "nowhere/at/all", "--json")
    assert as_json.code == 2
    assert "no such folder" in json.loads(as_json.out)["error"]


def test_the_packaged_model_is_added_from_its_file_without_a_network(ctxeng, place, monkeypatch):
    source = fetched()
    monkeypatch.setattr("ctxeng.generation.models.missing", lambda packages: [])
    ran = ctxeng("models", "add", "smollm2", source)
    assert ran.code == 0
    assert ran.out.startswith("smollm2: SmolLM2-135M-Instruct")
    assert "checking smollm2" in ran.err
    assert "ok  smollm2" in ctxeng("models").out


def test_what_was_added_loses_its_name_and_nothing_else(ctxeng, place):
    folder = make_model(place / "ours")
    held = {file.name: file.read_bytes() for file in folder.iterdir()}
    ctxeng("models", "add", "tuned", "ours")
    ctxeng("models", "add", "qwen", "Qwen/Qwen2.5-0.5B-Instruct")
    ran = ctxeng("models", "remove", "tuned")
    assert (ran.code, ran.out) == (0, "tuned: the name is gone. ours stays as it is.\n")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == held
    value = ctxeng("models", "remove", "qwen", "--json").value
    assert value == {
        "name": "qwen", "kind": "hub", "deleted": [], "bytes": 0,
        "left": "Qwen/Qwen2.5-0.5B-Instruct",
    }  # fmt: skip
    names = [one["name"] for one in ctxeng("models", "--json").value["models"]]
    assert names == ["extractive", "local", "smollm2"]


def test_the_packaged_model_is_deleted_with_all_that_was_made_of_it(ctxeng, place):
    cache = models_cache()
    cache.mkdir(parents=True)
    SMOLLM2.gguf.write_bytes(bytes(3_000_000))
    SMOLLM2.folder.mkdir()
    (SMOLLM2.folder / "model.safetensors").write_bytes(bytes(2_000_000))
    older = cache / "smollm2-0123abcd.gguf"
    broken_off = cache / f"smollm2-0123abcd.gguf.{'a' * 32}.part"
    others = [cache / "smollm2-mine.gguf", cache / "minilm-0123abcd.onnx"]
    for file in (older, broken_off, *others):
        file.write_bytes(b"x")
    ran = ctxeng("models", "remove", "smollm2")
    assert ran.code == 0
    assert "smollm2: 5 MB are free again." in ran.out
    assert all(f"/{path.name}\n" in ran.out for path in (SMOLLM2.gguf, SMOLLM2.folder, older))
    assert sorted(cache.iterdir()) == sorted(others)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("smollm2", "smollm2: is not here; to remove there is: tuned."),
        ("local", "another name of smollm2"),
        ("gpt", "delete its table [models.gpt]"),
        ("extractive", "no model is called 'extractive'; to remove there is: tuned."),
        ("../../handbook", "no model is called"),
    ],
)
def test_what_cannot_be_removed_is_one_line_with_what_can(ctxeng, place, name, told):
    (place / "ctxeng.toml").write_text('[models.gpt]\nbackend = "openai"\nmodel = "m"\n')
    make_model(place / "ours")
    ctxeng("models", "add", "tuned", "ours")
    ran = ctxeng("models", "remove", name)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert told in json.loads(ctxeng("models", "remove", name, "--json").out)["error"]
    assert (place / "handbook").is_dir()


@pytest.mark.parametrize("command", [("models",), ("models", "add"), ("models", "remove")])
def test_help_shows_examples(ctxeng, command):
    ran = ctxeng(*command, "--help")
    assert ran.code == 0
    assert f"ctxeng {' '.join(command)}" in ran.out
