"""LoRA adapters: loaded, switched, merged."""

import json
import shutil

import pytest

pytest.importorskip("torch", reason="needs the extra `local`")
pytest.importorskip("peft", reason="needs the extra `finetune`")

import peft
import torch
from safetensors.torch import load_file, save_file

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.loaded import load_model
from ctxeng.generation.local import TransformersGenerator
from ctxeng.generation.merging import PROBES, TOLERANCE, merge_adapter
from ctxeng.generation.registry import Registered, remember
from tests.generation.tiny import ask, make_adapter, make_model, table, text

IDS = list(range(5, 60))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A base, two adapters for it, and another base with its own."""
    place = tmp_path_factory.mktemp("adapters")
    make_model(place / "base")
    make_adapter(place / "base", place / "one", seed=1)
    make_adapter(place / "base", place / "two", seed=2, target=("q_proj", "down_proj", "lm_head"))
    make_model(place / "wide", hidden=64)
    make_adapter(place / "wide", place / "for_wide")
    return place


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def scores_by_peft(base, adapter):
    """The oracle: the library that made it, on a model of its own."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    with torch.inference_mode():
        return peft.PeftModel.from_pretrained(model, str(adapter))(torch.tensor([IDS])).logits[0]


def test_an_adapter_scores_as_peft_says_and_none_leaves_the_base_as_it_was(place):
    loaded = load_model(place / "base")
    before = loaded.scores(IDS)
    names = {one: loaded.load_adapter(place / one) for one in ("one", "two")}
    for one in ("one", "two", "one"):
        found = loaded.scores(IDS, names[one])
        torch.testing.assert_close(found, scores_by_peft(place / "base", place / one))
        assert not torch.allclose(found, before, atol=1e-2)
        torch.testing.assert_close(loaded.scores(IDS), before)


def test_generators_share_the_base_and_each_says_its_own(place):
    plain = TransformersGenerator(table(place / "base"))
    said = text(ask(plain, max_tokens=20))
    one = TransformersGenerator(table(place / "base", adapter=str(place / "one")))
    two = one.with_adapter(str(place / "two"))
    texts = [text(ask(g, max_tokens=20)) for g in (one, two, plain, one.with_adapter(""), one)]
    assert texts[2] == texts[3] == said
    assert texts[0] == texts[4]
    assert len({said, texts[0], texts[1]}) == 3
    assert len({plain.name, one.name, two.name}) == 3
    assert one._model[0] is plain._model[0] is two._model[0]


def test_what_one_adapter_read_is_not_handed_to_another(place):
    one = TransformersGenerator(table(place / "base", adapter=str(place / "one")))
    question = "How long is parental leave?"
    ask(one, question, max_tokens=3)
    assert ask(one, question, max_tokens=3)[-1].usage.cached_tokens > 0
    other = one.with_adapter(str(place / "two"))
    assert ask(other, question, max_tokens=3)[-1].usage.cached_tokens == 0


def test_an_adapter_has_a_name_once_it_is_added(place):
    remember(Registered("terse", "adapter", str(place / "one")))
    generator = TransformersGenerator(table(place / "base", adapter="terse"))
    assert "one@" in generator.name


@pytest.mark.parametrize(
    ("adapter", "words"),
    [("for_wide", "made for another model .*wide"), ("base", "neither the folder"), ("x/y", "x/y")],
)
def test_what_is_no_adapter_of_this_model_is_refused(place, adapter, words):
    with pytest.raises(ConfigError, match=words):
        ask(TransformersGenerator(table(place / "base", adapter=str(place / adapter))))
    # and the base still works
    assert ask(TransformersGenerator(table(place / "base")), max_tokens=2)[-1].stop == "length"


def test_an_adapter_of_another_depth_is_refused(place, tmp_path):
    shutil.copytree(place / "one", tmp_path / "deep")
    file = tmp_path / "deep" / "adapter_model.safetensors"
    save_file({k.replace("layers.1", "layers.9"): v for k, v in load_file(file).items()}, file)
    with pytest.raises(ConfigError, match=r"layers\.9\..*has no such layer"):
        ask(TransformersGenerator(table(place / "base", adapter=str(tmp_path / "deep"))))


@pytest.mark.parametrize("weights", ["adapter_model.bin", ""])
def test_pickled_or_missing_weights_are_refused(place, tmp_path, weights):
    shutil.copytree(place / "one", tmp_path / "bad")
    file = tmp_path / "bad" / "adapter_model.safetensors"
    file.rename(file.with_name(weights)) if weights else file.unlink()
    with pytest.raises(ConfigError, match="pickled" if weights else "no weights"):
        ask(TransformersGenerator(table(place / "base", adapter=str(tmp_path / "bad"))))


def test_another_kind_of_adapter_is_refused(place, tmp_path):
    shutil.copytree(place / "one", tmp_path / "bad")
    file = tmp_path / "bad" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "peft_type": "PREFIX_TUNING"}))
    with pytest.raises(ConfigError, match="PREFIX_TUNING"):
        ask(TransformersGenerator(table(place / "base", adapter=str(tmp_path / "bad"))))


@pytest.mark.parametrize("adapter", ["one", "two"])
def test_a_merged_model_replies_as_base_and_adapter_do(place, tmp_path, adapter):
    difference = merge_adapter(str(place / "base"), str(place / adapter), into=tmp_path / "merged")
    assert difference <= TOLERANCE
    merged, base = load_model(tmp_path / "merged"), load_model(place / "base")
    name = base.load_adapter(place / adapter)
    torch.testing.assert_close(merged.scores(IDS), base.scores(IDS, name), atol=1e-3, rtol=1e-3)
    with_adapter = TransformersGenerator(table(place / "base", adapter=str(place / adapter)))
    alone = TransformersGenerator(table(tmp_path / "merged"))
    assert text(ask(alone, max_tokens=20)) == text(ask(with_adapter, max_tokens=20))


def test_a_merge_that_scores_otherwise_is_not_kept(place, tmp_path, monkeypatch):
    # as if it had done its work
    monkeypatch.setattr(peft.tuners.lora.Linear, "merge", lambda self, **_: None)
    with pytest.raises(BackendError, match="scores otherwise"):
        merge_adapter(str(place / "base"), str(place / "one"), into=tmp_path / "merged")
    assert list(tmp_path.glob("merged*")) == []


def test_nothing_is_overwritten_by_a_merge(place, tmp_path):
    with pytest.raises(ConfigError, match="exists"):
        merge_adapter(str(place / "base"), str(place / "one"), into=tmp_path)
    assert all(PROBES)
