"""Models from a folder. The model of these tests is tiny, random and made here."""

import json

import numpy as np
import pytest

from ctxeng.embedding import TransformersEmbedder
from ctxeng.errors import BackendError, ConfigError
from ctxeng.testing.embedders import EMBEDDER_LAWS

pytest.importorskip("sentence_transformers", reason="needs the extra `local`")


def make_model(folder, *, pooling="mean", prompts=None):
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    pieces += [p + chr(c) for p in ("", "##") for c in range(97, 123)]
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    parts = folder / "parts"
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=64,
    ).save_pretrained(parts)
    BertModel(
        BertConfig(
            vocab_size=len(pieces),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.5,
        )
    ).save_pretrained(parts)
    transformer = Transformer(str(parts), max_seq_length=64)
    model = SentenceTransformer(modules=[transformer, Pooling(32, pooling)], prompts=prompts)
    model.save(str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def embedder(folder):
    return TransformersEmbedder(str(folder), batch_size=4)


@pytest.mark.parametrize("law", EMBEDDER_LAWS, ids=lambda law: law.__name__)
def test_laws_hold(law, embedder):
    law(embedder)


def test_pooling_and_prompts_are_the_models_own(tmp_path, embedder):
    other = TransformersEmbedder(
        str(make_model(tmp_path, pooling="cls", prompts={"query": "find ", "document": ""}))
    )
    as_query, as_document = (other.embed(["abc"], kind)[0] for kind in ("query", "document"))
    assert as_query @ as_document < 0.999
    np.testing.assert_allclose(other.embed(["find abc"], "document")[0], as_query, atol=1e-5)
    assert as_document @ embedder.embed(["abc"], "document")[0] < 0.999


def test_the_name_follows_the_files(tmp_path, folder, embedder):
    import shutil

    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    assert TransformersEmbedder(str(copy)).name == embedder.name
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert TransformersEmbedder(str(copy)).name != embedder.name


def test_weights_in_another_format_are_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ConfigError, match=r"no \.safetensors file"):
        _ = TransformersEmbedder(str(tmp_path)).name


def test_broken_weights_are_an_error_of_ours(tmp_path, folder):
    import shutil

    copy = tmp_path / "broken"
    shutil.copytree(folder, copy)
    (copy / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(BackendError, match="cannot be loaded"):
        TransformersEmbedder(str(copy)).embed(["a"], "query")


def test_a_name_that_is_no_name_says_what_to_set(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match="neither a folder nor a model"):
        _ = TransformersEmbedder("no such/model/at all").name
