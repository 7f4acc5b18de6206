"""Schemas and tools that a local model cannot break."""

import json

import pytest

pytest.importorskip("torch", reason="needs the extra `local`")
pytest.importorskip("llguidance", reason="needs the extra `local`")

from ctxeng.errors import BackendError
from ctxeng.generation.holding import why_not
from ctxeng.generation.local import TransformersGenerator
from ctxeng.generation.tool_text import TOOL_CALL, calls_in
from ctxeng.types import Tool
from tests.generation.tiny import ask, make_model, table, text

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
        "boss": {"anyOf": [{"$ref": "#/$defs/boss"}, {"type": "null"}]},
    },
    "required": ["name", "age", "tags", "boss"],
    "additionalProperties": False,
    "$defs": {
        "boss": {
            "type": "object",
            "properties": {"id": {"type": "string", "pattern": "^[A-Z]{2}[0-9]$"}},
            "required": ["id"],
            "additionalProperties": False,
        }
    },
}
WEATHER = Tool(
    name="weather",
    parameters={
        "type": "object",
        "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["days"],
        "additionalProperties": False,
    },
)
STOP = Tool(name="stop", parameters={"type": "object", "properties": {}, "required": []})


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    folder = make_model(tmp_path_factory.mktemp("models") / "tiny", window=4_096)
    return TransformersGenerator(table(folder))


@pytest.mark.parametrize("seed", range(8))
def test_random_weights_sampled_hot_still_hold_to_the_schema(generator, seed):
    deltas = ask(generator, json_schema=PERSON, temperature=5.0, seed=seed, max_tokens=400)
    assert why_not(json.loads(text(deltas)), PERSON) == ""
    assert deltas[-1].stop == "stop"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 3, "maximum": 3},
        {"enum": ["yes", "no"]},
        {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2},
        {"const": {"größe": "日本 🎉"}},
    ],
)
def test_any_json_value_can_be_asked_for(generator, schema):
    assert why_not(json.loads(text(ask(generator, json_schema=schema))), schema) == ""


def test_what_the_grammar_cannot_say_is_checked_at_the_end(generator):
    schema = {
        "type": "array",
        "items": {"enum": [1]},
        "minItems": 2,
        "maxItems": 2,
        "uniqueItems": True,
    }
    with pytest.raises(BackendError, match="does not hold to the schema") as failed:
        ask(generator, json_schema=schema)
    assert failed.value.kind == "bad_reply"
    assert json.loads(failed.value.text) == [1, 1]


def test_a_reply_that_is_cut_off_says_so_and_keeps_its_text(generator):
    with pytest.raises(BackendError, match="cut off at 3 tokens") as failed:
        ask(generator, json_schema=PERSON, max_tokens=3)
    assert failed.value.kind == "bad_reply"
    assert failed.value.text.startswith("{")


def test_a_schema_that_is_none_is_a_bad_request(generator):
    with pytest.raises(BackendError, match="schema") as failed:
        ask(generator, json_schema={"type": "nonsense"})
    assert failed.value.kind == "bad_request"


@pytest.mark.parametrize("seed", range(5))
def test_a_required_call_is_one_of_a_tool_with_fitting_arguments(generator, seed):
    deltas = ask(
        generator, tools=(WEATHER, STOP), tool_choice="required", temperature=3.0, seed=seed
    )
    (call,) = [delta.tool_call for delta in deltas if delta.tool_call]
    assert call.name in {"weather", "stop"}
    if call.name == "weather":
        assert why_not(call.arguments, WEATHER.parameters) == ""
    assert text(deltas) == ""
    assert deltas[-1].stop == "tool_calls"


def test_a_model_that_may_call_tools_may_also_just_write(generator):
    deltas = ask(generator, tools=(WEATHER,), max_tokens=20)
    assert text(deltas)
    assert deltas[-1].stop == "length"


def test_text_before_a_call_is_text(generator, monkeypatch):
    """The model is led to write a call: what is tested is how it is read."""
    from ctxeng.generation.constrained import Constraint
    from ctxeng.generation.loaded import encode, load_model

    loaded = load_model(generator._source.path())
    script = 'Let me see. <tool_call>{"name": "weather", "arguments": {"days": 4}}</tool_call>'
    led = iter([*encode(loaded.tokenizer, script), *loaded.ends])
    fitting = Constraint.fitting

    def lead(self, scores):
        scores = fitting(self, scores)
        token = next(led)
        assert scores[token] > float("-inf")  # the grammar allows it
        scores[:] = float("-inf")
        scores[token] = 0
        return scores

    monkeypatch.setattr(Constraint, "fitting", lead)
    deltas = ask(generator, tools=(WEATHER,), max_tokens=200)
    assert text(deltas) == "Let me see. "
    (call,) = [delta.tool_call for delta in deltas if delta.tool_call]
    assert (call.name, call.arguments) == ("weather", {"days": 4})
    assert deltas[-1].stop == "tool_calls"


@pytest.mark.parametrize(
    "call",
    ['{"name": "weather", "argu', "[]", '{"name": "weather", "arguments": {"days": 70}}', "{}"],
)
def test_a_broken_call_is_an_error_with_its_text(call):
    with pytest.raises(BackendError) as failed:
        calls_in("tiny", f"Well. {TOOL_CALL}{call}", (WEATHER,))
    assert failed.value.kind == "bad_reply"
    assert call in failed.value.text or "70" in failed.value.text


def test_without_llguidance_a_schema_says_what_to_install(generator, monkeypatch):
    monkeypatch.setattr("ctxeng.generation.extras.find_spec", lambda name: None)
    from ctxeng.errors import ConfigError

    with pytest.raises(ConfigError, match=r"ctxeng\[local\]"):
        ask(generator, json_schema={"type": "integer"})
