"""Starting is cheap: nothing heavy is imported before it is used."""

import os
import subprocess
import sys

import pytest

HEAVY = {
    "anyio", "chromadb", "httpx", "mcp", "numpy", "onnx", "onnxruntime", "pydantic", "pypdf",
    "rich", "safetensors", "sentence_transformers", "snowballstemmer", "sqlite3", "tantivy",
    "tenacity", "tokenizers", "torch", "transformers", "tree_sitter", "typer", "watchfiles",
    "wordllama",
}  # fmt: skip
VALUES_NEED = {"pydantic"}
HELP_NEEDS = {"pydantic", "rich", "typer"}


def modules_after(code):
    shown = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules, file=sys.stderr)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(shown.stderr.split())


def cpu_seconds(*command):
    """User and system time of a child, the least of four runs."""
    times = []
    for _ in range(4):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        times.append(usage.ru_utime + usage.ru_stime)
    return min(times)


def test_import_ctxeng_brings_in_nothing_heavy():
    assert not HEAVY & modules_after("import ctxeng")


def test_values_need_pydantic_only():
    assert not (HEAVY - VALUES_NEED) & modules_after("from ctxeng import Document, load_settings")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["index", "--help"]])
def test_help_needs_no_engine(arguments):
    code = f"from ctxeng.cli.app import run\nassert run({arguments}) == 0"
    assert not (HEAVY - HELP_NEEDS) & modules_after(code)


def test_an_engine_that_was_only_imported_has_loaded_no_model_library():
    models = {"chromadb", "onnxruntime", "torch", "transformers", "sentence_transformers", "mcp"}
    assert not models & modules_after("from ctxeng import Engine")


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs the CPU time of a child")
def test_start_is_quick():
    bare = cpu_seconds(sys.executable, "-c", "pass")
    assert cpu_seconds(sys.executable, "-c", "import ctxeng") - bare < 0.3
    assert cpu_seconds(sys.executable, "-m", "ctxeng", "--help") < 0.7
