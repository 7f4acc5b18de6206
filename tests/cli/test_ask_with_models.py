"""``ctxeng ask`` with models of a server: what is marked, what it cost, whose settings are used."""

import io
import sys

import pytest

from ctxeng.cli.ask import print_text
from ctxeng.protocols import Delta, Restart
from ctxeng.settings import load_settings
from ctxeng.types import Answer, Context
from tests.engine.speaking import Speaking
from tests.generation.server import CLOSE, chat, delta, status, stream

QUESTION = "How long is parental leave?"
CONTEXT = Context(query=QUESTION, segments=(), tokens=0, budget=1, tokenizer="none")
ANSWER = Answer(text="20 weeks.", found=True, context=CONTEXT)
SETTINGS = """
[embedding]
model = "static"

[generation]
model = "far"

[models.far]
backend = "openai"
model = "some-model"
base_url = "{url}"
timeout = 5
prices = {{prompt = 2000, completion = 10000}}

[models.small]
backend = "openai"
model = "small"
base_url = "{url}"
timeout = 5
"""


@pytest.fixture
def speaking(loopback, indexed):
    (indexed / "ctxeng.toml").write_text(SETTINGS.format(url=loopback.url))
    return Speaking(loopback)


def test_unsupported_sentences_are_marked_and_tokens_and_cost_are_told(ctxeng, speaking):
    ran = ctxeng("ask", QUESTION)
    assert ran.code == 0
    assert ran.out.startswith(speaking.said["answer"])
    notes = ran.err.splitlines()
    assert "No support found: Martians invented it in Nebraska [1]." in notes
    assert not any("20 weeks" in note for note in notes)
    assert any(note.startswith("11 + 7 tokens, ") for note in notes)
    assert any(note.endswith("cost 0.0920") for note in notes)


def test_an_answer_that_rests_on_nothing_is_marked_too(ctxeng, speaking):
    speaking.said["answer"] = "The recipe needs three eggs."
    ran = ctxeng("ask", QUESTION)
    assert "No support found: The recipe needs three eggs." in ran.err
    assert not ctxeng("ask", QUESTION, "--json").value["found"]


def test_json_has_the_support_of_each_sentence_and_what_it_took(ctxeng, speaking):
    value = ctxeng("ask", QUESTION, "--json").value
    told, invented = value["claims"]
    assert told["support"] > 0.48 > invented["support"]
    assert value["usage"]["cost"] == pytest.approx(0.092)
    assert value["usage"]["completion_tokens"] == 7
    assert (value["repaired"], value["notes"]) == (False, [])


def test_a_repair_is_told_and_only_the_kept_version_is_shown(ctxeng, speaking, monkeypatch):
    monkeypatch.setenv("CTXENG_GENERATION__REPAIR", "true")
    ran = ctxeng("ask", QUESTION)
    assert ran.out.startswith(speaking.said["repair"] + "\n")
    assert "Martians" not in ran.out + ran.err
    assert "The second version" in ran.err
    assert "22 + 14 tokens" in ran.err


def test_settings_are_found_upwards_or_named(ctxeng, speaking, indexed, monkeypatch):
    deep = indexed / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    workspace = ("--workspace", "../../.ctxeng")
    assert ctxeng("ask", QUESTION, *workspace).out.startswith(speaking.said["answer"])
    other = indexed / "other.toml"
    other.write_text('[embedding]\nmodel = "static"\n')
    ran = ctxeng("ask", QUESTION, *workspace, "--config", other)
    assert ran.out.startswith("Every parent may take 20 weeks")
    assert "tokens" not in ran.err
    assert speaking.steps == ["answer"]


def test_a_judge_that_fails_is_told(ctxeng, speaking, indexed):
    speaking.said["judge"] = 401
    with (indexed / "ctxeng.toml").open("a") as settings:
        settings.write('[generation.steps]\njudge = "small"\n')
    ran = ctxeng("ask", QUESTION)
    assert ran.code == 0
    assert "The judge failed, and support is told by words" in ran.err


def test_who_situates_chunks_is_told_when_it_fails_and_what_it_took_when_not(
    ctxeng, speaking, indexed
):
    long = " ".join(f"Rule {n}: form {n} is due at noon." for n in range(60))
    (indexed / "handbook" / "rules.md").write_text(f"# Rules\n\n{long}\n")
    with (indexed / "ctxeng.toml").open("a") as settings:
        settings.write('[generation.steps]\ncontextualise = "small"\n')
    assert ctxeng("index", "handbook").code == 2  # it was made without
    speaking.said["situate"] = 401
    ran = ctxeng("reindex")
    assert ran.code == 1
    assert "indexed without what a model says of them" in ran.out
    del speaking.said["situate"]
    speaking.said["situate"] = "Of the zweihornig chapter."
    ran = ctxeng("index", "handbook")
    assert ran.code == 0
    assert " tokens, " in ran.err
    assert "rules.md" in ctxeng("search", "zweihornig").out


def test_a_key_that_a_server_sends_back_is_in_no_output_trace_or_file(
    ctxeng, loopback, indexed, monkeypatch
):
    key = "own-4711-abcdefghij-0123456789"  # of no form that is known
    monkeypatch.setenv("OUR_ACCESS", key)
    text = SETTINGS.format(url=loopback.url)
    text = text.replace('model = "some-model"', 'model = "some-model"\nkey_env = "OUR_ACCESS"')
    (indexed / "ctxeng.toml").write_text(text)
    loopback.reset(
        status(401, {"error": {"message": f"{key} is wrong"}}),
        status(302, Location=f"http://127.0.0.1:9/?key={key}"),
        chat(f"Your key is {key}. Parental leave is 20 weeks [1]."),
    )
    for code in (1, 1, 0):
        asked = ctxeng("ask", QUESTION)
        shown = ctxeng("trace", "show", "last"), ctxeng("trace", "show", "last", "--json")
        assert (asked.code, *(ran.code for ran in shown)) == (code, 0, 0)
        assert not any(key in ran.out + ran.err for ran in (asked, *shown))
    assert [head["authorization"] for head in loopback.headers] == [f"Bearer {key}"] * 3
    files = [file for file in indexed.rglob("*") if file.is_file()]
    assert files
    assert not any(key.encode() in file.read_bytes() for file in files)


def test_a_day_is_limited_over_restarts(ctxeng, speaking, monkeypatch):
    monkeypatch.setenv("CTXENG_GENERATION__CACHE", "false")
    told = ctxeng("ask", QUESTION, "--json").value["usage"]["cost"]
    monkeypatch.setenv("CTXENG_GENERATION__SPEND_PER_DAY", str(told / 2))
    ran = ctxeng("ask", QUESTION)
    assert (ran.code, ran.out) == (1, "")
    assert f"{told:.4f} is spent" in ran.err
    assert speaking.steps == ["answer"]


BROKEN = [*stream(delta(content="It is 20 we"), end=False), CLOSE]


@pytest.fixture
def retried(loopback, indexed):
    """The settings of a model whose broken streams start again."""
    text = SETTINGS.format(url=loopback.url)
    text = text.replace('model = "some-model"', 'model = "some-model"\nretry_broken_streams = true')
    (indexed / "ctxeng.toml").write_text(text)
    loopback.reset(BROKEN, chat("It is 20 weeks [1]."))
    return load_settings(indexed / "ctxeng.toml")


@pytest.mark.parametrize("command", ["ask", "chat"])
def test_an_answer_that_was_begun_again_is_written_once(ctxeng, retried, monkeypatch, command):
    lines = io.TextIOWrapper(io.BytesIO(QUESTION.encode()), "utf-8")
    monkeypatch.setattr(sys, "stdin", lines)
    ran = ctxeng("ask", QUESTION) if command == "ask" else ctxeng("chat")
    assert ran.code == 0
    assert ran.out.startswith("It is 20 weeks [1].\n")
    assert ran.out.count("It is 20") == 1
    assert "Broken off, and begun again: some-model@" in ran.err


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_the_text_that_is_begun_again_on_a_line_of_its_own(retried, monkeypatch):
    monkeypatch.setattr(sys, "stdout", shown := Terminal())
    monkeypatch.setattr(sys, "stderr", said := io.StringIO())
    events = [Delta("It is 20 we"), Restart(error="it broke"), Delta("20 weeks."), ANSWER]
    assert print_text(events, retried) is ANSWER
    assert shown.getvalue() == "It is 20 we\n20 weeks.\n"
    assert said.getvalue() == "Broken off, and begun again: it broke\n"


def test_an_unknown_name_is_one_line_that_names_the_setting(ctxeng, speaking, indexed):
    toml = indexed / "ctxeng.toml"
    toml.write_text(toml.read_text().replace("[models.small]", '[models.small]\nescalate = "huge"'))
    ran = ctxeng("ask", QUESTION, "--model", "small")
    assert (ran.code, ran.out) == (2, "")
    assert "[models.small] escalate: no model is called 'huge'" in ran.err
