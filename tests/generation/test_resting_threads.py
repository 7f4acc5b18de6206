"""Threads of OpenMP that sleep while they wait."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="needs the extra `local`")

from tests.generation.tiny import make_model

LOADS = {
    "transformers": """
import sys
from pathlib import Path
from ctxeng.generation.loaded import load_model

print(load_model(Path(sys.argv[1])).window)
""",
    "llama": """
import sys
from pathlib import Path
from ctxeng.generation.llama_server import llama_server

print(llama_server(Path(sys.argv[1]), None).count("one"))
""",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    return {"transformers": make_model(place / "tiny"), "llama": place / "tiny.gguf"}


@pytest.mark.skipif(sys.platform != "linux", reason="asks GNU's OpenMP")
@pytest.mark.parametrize(
    ("backend", "user"), [("transformers", None), ("llama", None), ("llama", "ACTIVE")]
)
def test_openmp_is_told_before_it_is_loaded_unless_the_user_has(models, backend, user):
    """It reads the policy once, whichever import brings it in."""
    if backend == "llama":
        pytest.importorskip("xllamacpp", reason="needs the extra `llama`")
        from tests.generation.tiny_gguf import as_gguf

        as_gguf(models["transformers"], models["llama"])
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "verbose"} | ({"OMP_WAIT_POLICY": user} if user else {})
    ran = subprocess.run(
        [sys.executable, "-c", LOADS[backend], str(models[backend])],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert int(ran.stdout) > 0
    assert ("GOMP_SPINCOUNT = '0'" in ran.stderr) == (user is None)
    assert ran.stderr.count("GOMP_SPINCOUNT") == 1
