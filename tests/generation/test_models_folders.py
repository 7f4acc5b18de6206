"""What a model's folder must hold, read without loading it."""

import json
import shutil

import pytest

pytest.importorskip("torch", reason="needs the extra `local`")

from safetensors.numpy import load_file, save_file

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.folders import check_model_folder, fingerprint
from ctxeng.generation.local import TransformersGenerator
from tests.generation.tiny import ask, make_model, make_tokenizer, table


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / "model")


def refused(folder, words):
    with pytest.raises(ConfigError, match=words) as failed:
        TransformersGenerator(table(folder))
    assert str(folder) in str(failed.value)


def edit(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_good_folder_passes(folder):
    check_model_folder(folder)


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    refused(folder, "has no weights")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth", "x.ckpt"])
def test_only_pickled_weights_are_refused_and_never_opened(folder, name):
    (folder / "model.safetensors").rename(folder / name)
    refused(folder, f"only pickled weights .{name}.*can run code")


def test_pickled_weights_beside_safe_ones_do_no_harm(folder):
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    assert ask(TransformersGenerator(table(folder)), max_tokens=2)[-1].stop == "length"


def test_a_part_of_the_weights_is_missing(folder):
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    refused(folder, "model-2.safetensors is missing")


def test_an_index_cannot_point_outside_the_folder(folder):
    index = {"weight_map": {"a": "../../elsewhere.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, "elsewhere.safetensors is missing")


@pytest.mark.parametrize("keep", [0, 3, 8, 200, -1])
def test_weights_that_are_cut_off(folder, keep):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    refused(folder, "is no safetensors file|is damaged")


def test_a_header_that_claims_to_be_huge_is_not_read(folder):
    (folder / "model.safetensors").write_bytes(b"\xff" * 8 + b"{}")
    refused(folder, "is no safetensors file")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_settings_or_tokenizer_are_missing_or_broken(folder, name):
    whole = (folder / name).read_text()
    (folder / name).write_text(whole[: len(whole) // 2])
    refused(folder, name)
    (folder / name).unlink()
    refused(folder, "config.json is missing" if name == "config.json" else "has no tokenizer")


def test_a_tokenizer_with_more_tokens_than_the_model_has_embeddings(folder):
    make_tokenizer(folder, size=500)
    refused(folder, "a wrong tokenizer: it has .* tokens and the model embeds 400")


def test_it_is_also_found_where_the_settings_lie(folder):
    make_tokenizer(folder, size=500)
    edit(folder / "config.json", vocab_size=500)
    with pytest.raises((ConfigError, BackendError), match=r"400|wrong tokenizer|size|shape"):
        ask(TransformersGenerator(table(folder)))


def test_code_of_the_author_is_not_run(folder):
    edit(folder / "config.json", auto_map={"AutoModelForCausalLM": "modeling.Evil"})
    (folder / "modeling.py").write_text("raise SystemExit('was run')")
    refused(folder, "needs code of its author")


def test_an_unknown_architecture(folder):
    edit(folder / "config.json", model_type="never_heard_of", architectures=["NeverHeardOf"])
    with pytest.raises(BackendError, match="cannot be loaded"):
        ask(TransformersGenerator(table(folder)))


def test_weights_that_lack_a_tensor_are_an_error_and_not_random(folder):
    file = folder / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(BackendError, match=r"lack 1 tensors .model\.layers\.1\.mlp"):
        ask(TransformersGenerator(table(folder)))


def test_a_fingerprint_names_the_content(folder, good, tmp_path):
    first = fingerprint(good)
    assert fingerprint(folder) == first
    other = make_model(tmp_path / "other", seed=1)
    assert fingerprint(other) != first
    edit(folder / "tokenizer_config.json", extra=1)
    assert fingerprint(folder) != first


def test_a_fingerprint_does_not_read_large_weights_whole(tmp_path, folder, monkeypatch):
    """But any training changes all of them."""
    monkeypatch.setattr("ctxeng.generation.folders.SAMPLE", 64)
    first = fingerprint(folder)
    file = folder / "model.safetensors"
    weights = {name: value * 1.001 for name, value in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})
    assert fingerprint(folder) != first
