"""Keys: where they come from, and that they show themselves nowhere."""

import copy
import pickle
import traceback

import anyio
import pytest
from server import chat

from ctxeng import Document, Engine, Settings
from ctxeng.generation.faults import TryError
from ctxeng.generation.keys import Secret, has_key, read_key
from ctxeng.settings import EmbeddingSettings
from ctxeng.text.secrets import remembered_keys

NAME = "CTXENG_TEST_KEY"
KEY = "sk-very-secret-0123456789abcdef"


def read(name=NAME, needed=True):
    async def ask():
        return await read_key(name, needed=needed)

    return anyio.run(ask)


@pytest.fixture
def entries(monkeypatch):
    """A keyring that is kept in memory; the package is the real one."""
    keyring = pytest.importorskip("keyring", reason="the extra keyring is not installed")
    from keyring.backend import KeyringBackend

    before = keyring.get_keyring()  # now: later it would find the class below
    kept = {}

    class Memory(KeyringBackend):
        priority = 1

        def get_password(self, service, username):
            return kept.get((service, username))

        def set_password(self, service, username, password):
            kept[service, username] = password

    monkeypatch.delenv(NAME, raising=False)
    keyring.set_keyring(Memory())
    yield kept
    keyring.set_keyring(before)


def test_the_environment_is_read_each_time(monkeypatch):
    monkeypatch.setenv(NAME, f" {KEY}\n")
    assert read().reveal() == KEY
    monkeypatch.setenv(NAME, "another")
    assert read().reveal() == "another"


def test_the_keyring_is_asked_where_the_environment_has_none(entries, monkeypatch):
    entries["ctxeng", NAME] = KEY
    assert read().reveal() == KEY
    monkeypatch.setenv(NAME, "of the environment")
    with pytest.raises(TryError) as raised:
        read()
    assert "characters that no key has" in raised.value.what  # spaces
    monkeypatch.setenv(NAME, "of-the-environment")
    assert read().reveal() == "of-the-environment"


def test_a_missing_key_is_an_error_that_says_where_to_put_it(entries):
    with pytest.raises(TryError) as raised:
        read()
    assert "there is no key" in raised.value.what
    assert raised.value.kind == "auth"
    assert NAME in raised.value.advice
    assert f"keyring set ctxeng {NAME}" in raised.value.advice
    assert not read(needed=False)
    assert not has_key(NAME)
    entries["ctxeng", NAME] = KEY
    assert has_key(NAME)


def test_a_keyring_that_fails_is_no_key_and_the_error_says_so(entries, monkeypatch):
    import keyring
    from keyring.errors import KeyringLocked

    def locked(*_):
        raise KeyringLocked

    monkeypatch.setattr(type(keyring.get_keyring()), "get_password", locked)
    with pytest.raises(TryError) as raised:
        read()
    assert "keyring could not be read: KeyringLocked" in raised.value.what
    assert not read(needed=False)


def test_a_system_without_a_keyring_just_has_no_key_there(entries):
    import keyring
    from keyring.backends import fail

    keyring.set_keyring(fail.Keyring())
    with pytest.raises(TryError) as raised:
        read()
    assert raised.value.what == "there is no key"


def test_without_a_name_there_is_no_key():
    assert not read("", needed=False)


@pytest.mark.parametrize("value", [KEY + "\x07", "schlüssel-" + KEY, KEY + "\nX-Header: 1"])
def test_what_can_be_no_key_is_not_sent_and_not_shown(monkeypatch, value):
    monkeypatch.setenv(NAME, value)
    with pytest.raises(TryError) as raised:
        read()
    assert f"the key in {NAME}" in raised.value.what
    shown = "".join(traceback.TracebackException.from_exception(raised.value).format())
    assert KEY not in shown + repr(raised.value) + raised.value.advice


def test_a_secret_shows_itself_in_nothing():
    secret = Secret(KEY)
    for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}", f"{secret!r:>40}"):
        assert KEY not in shown
    for copier in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copier(secret)


def test_it_hides_itself_however_it_is_written():
    secret = Secret('sk/"slash+plus=0123456789')
    plain, quoted = 'sk/"slash+plus=0123456789', r"sk/\"slash+plus=0123456789"
    escaped = "sk%2F%22slash%2Bplus%3D0123456789"
    assert secret.hide(f"a {plain} b {quoted} c {escaped}") == "a … b … c …"


@pytest.mark.parametrize("word", ["", "x", "key"])
def test_what_is_too_short_for_a_key_is_left_in_texts(word):
    assert Secret(word).hide("a box of keys") == "a box of keys"


@pytest.mark.parametrize("word", ["ollama", "EMPTY", "lm-studio", "sk-no-key-required", "1234"])
def test_the_words_that_local_servers_take_for_a_key_may_stand_in_replies(word):
    assert not Secret(word).unmistakable
    assert Secret(KEY).unmistakable


def test_a_key_of_the_keyring_is_in_no_record_of_a_run(entries, server, tmp_path, monkeypatch):
    """The environment does not hold it, and it looks like no key."""
    monkeypatch.delenv(NAME)
    key = entries["ctxeng", NAME] = "correct-horse-battery"
    table = {"backend": "openai", "model": "m", "base_url": server.url, "key_env": NAME}
    settings = Settings(embedding=EmbeddingSettings(model="none"))
    server.reset(chat(f"Parental leave is 20 weeks [1]. It is called {key}."))
    with Engine.open(tmp_path, settings=settings) as engine:
        engine.index([Document(id="leave", text="Parental leave is 20 weeks, fully paid.")])
        answer = engine.ask("How long is parental leave?", model=table)
        trace = engine.trace("last")
    assert key in answer.text  # what a model says is its own, as long as it may be a word
    assert trace.redacted
    assert key not in trace.model_dump_json()
    assert server.headers[0]["authorization"] == f"Bearer {key}"


def test_a_key_that_was_read_is_remembered_and_a_word_is_not(monkeypatch):
    monkeypatch.setenv(NAME, KEY)
    read()
    monkeypatch.setenv(NAME, "ollama")
    read()
    assert KEY in remembered_keys()
    assert "ollama" not in remembered_keys()
