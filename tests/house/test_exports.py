"""Public names are there, are documented, and the reference says what the code says."""

import importlib.util
import re
from pathlib import Path

import pytest
import typer

import ctxeng
from ctxeng import errors
from ctxeng.cli.app import app
from ctxeng.settings import ModelSettings, Settings

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference.md"


@pytest.mark.parametrize("name", ctxeng.__all__)
def test_every_public_name_resolves(name):
    value = getattr(ctxeng, name)
    assert value.__name__ == name
    assert value.__doc__
    assert name in dir(ctxeng)


def test_lazy_names_and_all_agree():
    assert sorted(ctxeng._HOMES) == sorted(ctxeng.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        ctxeng.nonsense  # noqa: B018


def test_every_error_is_public():
    tree = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.CtxengError)
    }
    assert tree <= set(ctxeng.__all__)
    assert all(name in errors.__doc__ for name in tree)


def test_the_reference_says_what_the_code_says():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate_reference.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert REFERENCE.read_text("utf-8") == generate.generate(), "run `make docs`"


def test_names_commands_options_settings_and_errors_are_documented():
    text = REFERENCE.read_text("utf-8")
    for name in ctxeng.__all__:
        assert f"### {name}\n" in text
    for name, command in typer.main.get_command(app).commands.items():
        section = re.search(rf"### ctxeng {name}\n.*?(?=\n### |\n## )", text, re.S).group()
        for option in command.params:
            assert option.help, f"ctxeng {name}: {option.name} has no help"
            assert all(o in section for o in option.opts if o.startswith("-"))
    for room, field in Settings.model_fields.items():
        model = ModelSettings if room == "models" else field.annotation
        for name in model.model_fields:
            assert f"`{room}{'.NAME' if room == 'models' else ''}.{name}`" in text
