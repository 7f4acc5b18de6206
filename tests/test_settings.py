"""Settings come from a file, then the environment; what is wrong is named."""

import traceback

import pytest

from ctxeng import ConfigError, Settings
from ctxeng.settings import ChunkingSettings, ModelSettings, load_settings


def written(folder, text):
    file = folder / "ctxeng.toml"
    file.write_text(text, "utf-8")
    return file


def test_without_a_file_or_variables_all_are_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_settings(environment={}) == Settings()


def test_the_file_is_found_upwards_and_the_nearest_wins(tmp_path, monkeypatch):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    written(tmp_path, "[context]\nbudget = 11\n")
    monkeypatch.chdir(inner)
    assert load_settings(environment={}).context.budget == 11
    written(tmp_path / "a", "[context]\nbudget = 12\n")
    assert load_settings(environment={}).context.budget == 12


def test_a_folder_of_that_name_is_no_file(tmp_path, monkeypatch):
    (tmp_path / "ctxeng.toml").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_settings(environment={}) == Settings()


def test_the_environment_wins_over_the_file_setting_by_setting(tmp_path):
    file = written(tmp_path, "[chunking]\nmin_words = 20\nmax_words = 30\n")
    found = load_settings(file, environment={"CTXENG_CHUNKING__MAX_WORDS": "40"})
    assert found.chunking == ChunkingSettings(min_words=20, max_words=40)


def test_text_of_the_environment_becomes_numbers_and_flags(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = load_settings(
        environment={
            "CTXENG_LOADING__ARCHIVES": "true",
            "CTXENG_RETRIEVAL__DENSE_WEIGHT": "0.25",
            "CTXENG_EMBEDDING__MODEL": "static",
            "CTXENG_WORKSPACE": "has no room and is not a setting",
            "OTHER__NAME": "not ours",
        }
    )
    assert found.loading.archives is True
    assert found.retrieval.dense_weight == 0.25
    assert found.embedding.model == "static"


def test_variables_reach_tables_in_tables(tmp_path):
    text = "[generation.steps]\njudge = 'a'\ndistil = 'c'\n[models.a]\nbackend = 'openai'\n"
    found = load_settings(
        written(tmp_path, text),
        environment={
            "CTXENG_GENERATION__STEPS__JUDGE": "b",
            "CTXENG_MODELS__A__TIMEOUT__TOTAL": "9",
            "CTXENG_GENERATION__": "names nothing",
        },
    )
    assert (found.generation.steps.judge, found.generation.steps.distil) == ("b", "c")
    assert found.models["a"].timeouts.total == 9
    with pytest.raises(ConfigError, match=r"CTXENG_GENERATION__STEPS__JUGDE: setting generation\."):
        load_settings(written(tmp_path, text), environment={"CTXENG_GENERATION__STEPS__JUGDE": "b"})


def test_variables_are_read_from_the_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CTXENG_CONTEXT__BUDGET", "77")
    assert load_settings().context.budget == 77


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[loding]\nhidden = true\n", "loding"),
        ("[loading]\nhiden = true\n", "loading.hiden"),
        ("[loading]\nmax_depth = 0\n", "loading.max_depth"),
        ("[loading]\nmax_depth = 'deep'\n", "loading.max_depth"),
        ("[retrieval]\ndense_weight = 1.5\n", "retrieval.dense_weight"),
        ("[indexing]\ndense = 'faiss'\n", "indexing.dense"),
        ("[chunking]\nmin_words = 200\n", "chunking"),
        ("loading = 5\n", "loading"),
    ],
)
def test_a_wrong_name_or_value_is_named_with_its_file(tmp_path, text, named):
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load_settings(file, environment={"CTXENG_LOADING__ARCHIVES": "true"})
    assert f"{file}: setting {named}: " in str(refused.value)
    assert "docs/reference.md" in str(refused.value)


def test_a_wrong_variable_is_named(tmp_path):
    file = written(tmp_path, "[context]\nbudget = 11\n")
    with pytest.raises(ConfigError, match=r"CTXENG_CONTEXT__BUDGET: setting context\.budget: "):
        load_settings(file, environment={"CTXENG_CONTEXT__BUDGET": "much"})
    with pytest.raises(ConfigError, match=r"CTXENG_CONTEXT__BUDGT: setting context\.budgt: "):
        load_settings(file, environment={"CTXENG_CONTEXT__BUDGT": "11"})


@pytest.mark.parametrize("data", [b"[loading", b"\xff\xfe", b"a = 1\na = 2"])
def test_what_is_no_toml_is_refused_with_its_name(tmp_path, data):
    file = tmp_path / "ctxeng.toml"
    file.write_bytes(data)
    with pytest.raises(ConfigError, match="cannot be read as settings") as refused:
        load_settings(file, environment={})
    assert str(file) in str(refused.value)
    assert refused.value.__cause__ is not None


def test_a_file_that_was_named_must_be_there(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read"):
        load_settings(tmp_path / "gone.toml", environment={})


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Settings().context.budget = 5


def test_a_models_folder_is_looked_for_beside_the_file_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "deeper").mkdir()
    (tmp_path / "ctxeng.toml").write_text(
        '[models.ours]\nbackend = "transformers"\nmodel = "./weights"\nadapter = "../lora"\n'
        '[models.hub]\nbackend = "transformers"\nmodel = "owner/name"\n'
    )
    monkeypatch.chdir(tmp_path / "deeper")
    models = load_settings(environment={}).models
    assert models["ours"].model == str(tmp_path / "weights")
    assert models["ours"].adapter == str(tmp_path.parent / "lora")
    assert models["hub"].model == "owner/name"


@pytest.mark.parametrize(
    "line",
    [
        'key = "{key}"',
        'api_key = "{key}"',
        'token = "{key}"',
        'key_env = "{key}"',
        'key_env = "ab12{key}"',
        'key_env = "two words {key}"',
    ],
)
@pytest.mark.parametrize("table", ["models.far", "embedding"])
def test_a_key_in_a_file_is_refused_with_the_setting_that_names_it_and_not_shown(
    tmp_path, line, table
):
    key = "sk-very-secret-0123456789abcdef"
    file = tmp_path / "ctxeng.toml"
    backend = 'backend = "openai"\n' if table == "models.far" else ""
    file.write_text(f"[{table}]\n{backend}{line.format(key=key)}\n")
    with pytest.raises(ConfigError, match=rf"setting {table}: .*key_env") as caught:
        load_settings(file, environment={})
    shown = "".join(traceback.format_exception(caught.value))
    assert key not in shown


def test_no_error_shows_what_stands_in_the_place_of_a_wrong_value(tmp_path):
    file = tmp_path / "ctxeng.toml"
    file.write_text('[models.far]\nbackend = "openai"\nsecret_kee = "sk-very-secret-0123456789"\n')
    with pytest.raises(ConfigError, match=r"setting models\.far\.secret_kee") as caught:
        load_settings(file, environment={})
    assert "very-secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "my-team.openai", "KEY2"])
def test_names_of_variables_and_entries_are_no_keys(name):
    assert ModelSettings(backend="openai", key_env=name).key_env == name


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("timeout = -1", "setting models.far.timeout: Input should be greater than 0"),
        ("timeout = {totl = 1}", r"models.far.timeout.totl: there is no such setting \(total, per"),
        ('base_ulr = ""', r"models.far.base_ulr: there is no such setting \(base_url, perhaps\)"),
        ("qqqq = 1", "models.far.qqqq: there is no such setting. "),
    ],
)
def test_a_wrong_setting_of_a_model_is_told_with_what_may_be_meant(tmp_path, line, says):
    file = tmp_path / "ctxeng.toml"
    file.write_text(f'[models.far]\nbackend = "openai"\n{line}\n')
    with pytest.raises(ConfigError, match=says):
        load_settings(file, environment={})
