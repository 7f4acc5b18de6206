"""Replies as values."""

import json
from typing import Annotated, Literal

import anyio
import pytest
from pydantic import BaseModel, Field, field_validator
from scripted import Scripted

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.structured import as_model, schema_of, structured
from ctxeng.trace import Recorder, recording
from ctxeng.types import DEFAULT_OPTIONS, Message, Usage

ASKED = [Message(role="user", content="Who is it?")]


class Person(BaseModel):
    name: str
    age: Annotated[int, Field(ge=0)]
    mood: Literal["good", "bad"] = "good"

    @field_validator("name")
    @classmethod
    def _capital(cls, name):
        if name != name.title():
            raise ValueError("write names with a capital")
        return name


ADA = '{"name": "Ada", "age": 36}'
SMALL = '{"name": "ada", "age": 36}'


def run(generator, schema=Person, **options):
    async def ask():
        with anyio.fail_after(10):
            return await structured(generator, ASKED, DEFAULT_OPTIONS, schema, **options)

    return anyio.run(ask)


def test_a_pydantic_model_goes_in_and_a_value_of_it_comes_out():
    generator = Scripted([ADA[:10], ADA[10:]])
    reply = run(generator)
    assert reply.value == {"name": "Ada", "age": 36}
    assert as_model(reply, Person) == Person(name="Ada", age=36)
    ((messages, options),) = generator.calls
    assert options.json_schema == Person.model_json_schema()
    assert list(messages) == ASKED


def test_a_json_schema_will_do_as_well():
    assert run(Scripted(["[1, 2]"]), {"type": "array"}).value == [1, 2]


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ("no json", "no JSON"),
        ('{"name": "Ada"}', "'age' is a required property"),
        ('{"name": "Ada", "age": -1}', "minimum of 0"),
        (SMALL, "write names with a capital"),
    ],
)
def test_what_is_wrong_is_told_to_the_model_which_tries_again(broken, named):
    generator = Scripted([broken], [ADA])
    assert run(generator).value["name"] == "Ada"
    first, second = (messages for messages, _ in generator.calls)
    assert list(second[: len(first)]) == list(first)
    said, told = second[len(first) :]
    assert (said.role, said.content) == ("assistant", broken)
    assert told.role == "user"
    assert named in told.content


def test_each_repair_starts_from_the_question_and_not_from_all_that_failed():
    generator = Scripted(["one"], ["two"], [ADA])
    run(generator)
    assert [len(messages) for messages, _ in generator.calls] == [1, 3, 3]


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_after_so_many_tries_it_is_an_error_with_the_last_text(tries):
    generator = Scripted(*[[f"{{number {n}"] for n in range(9)])
    said = rf"none of {tries} replies .*: it is no JSON: [^.]*\. Ask for less"
    with pytest.raises(BackendError, match=said) as failed:
        run(generator, tries=tries)
    assert len(generator.calls) == tries
    assert failed.value.kind == "bad_reply"
    assert failed.value.text == f"{{number {tries - 1}"


def test_a_backend_that_refuses_its_own_reply_is_asked_again():
    refused = BackendError("does not hold to the schema: too short", kind="bad_reply", text="{}")
    generator = Scripted(refused, [ADA])
    assert run(generator).value["age"] == 36
    assert generator.calls[1][0][1].content == "{}"
    assert "too short" in generator.calls[1][0][2].content


def test_a_model_is_told_what_is_wrong_and_not_what_its_user_may_do():
    refused = BackendError(
        "m@http://host: it is cut off. Raise max_tokens.",
        kind="bad_reply",
        text="{",
        why="it is cut off",
    )
    generator = Scripted(refused, ["no json"], [ADA])
    run(generator)
    told = [messages[-1].content for messages, _ in generator.calls[1:]]
    assert told[0].startswith("That reply cannot be used: it is cut off\nReply again")
    assert told[1].startswith("That reply cannot be used: it is no JSON: ")


def test_other_failures_are_not_tried_again():
    generator = Scripted(BackendError("no key", kind="auth"))
    with pytest.raises(BackendError, match="no key"):
        run(generator)
    assert len(generator.calls) == 1


def test_usage_is_that_of_all_tries():
    generator = Scripted(
        ['{"name": "Ada"}'], [ADA], usage=Usage(prompt_tokens=5, completion_tokens=7, cost=0.5)
    )
    usage = run(generator).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cost) == (10, 14, 1.0)


def test_the_trace_keeps_every_raw_text_that_could_not_be_used():
    recorder = Recorder("ask", {})

    async def ask():
        with recording(recorder):
            return await structured(
                Scripted(["not this"], [SMALL], [ADA]), ASKED, DEFAULT_OPTIONS, Person
            )

    anyio.run(ask)
    stages = [s for s in recorder.stages if s["stage"] == "generate.structured"]
    assert [(s["try"], s["text"]) for s in stages] == [(1, "not this"), (2, SMALL), (3, "")]
    assert "capital" in stages[1]["why"]


@pytest.mark.parametrize(
    "schema", [{"type": "nonsense"}, {"properties": []}, "text", None, {"type": object()}, int]
)
def test_what_is_no_schema_is_refused_before_anything_is_asked(schema):
    generator = Scripted([ADA])
    with pytest.raises(ConfigError, match="schema"):
        run(generator, schema)
    assert generator.calls == []


def test_a_model_without_a_json_schema_is_refused_by_name():
    class Odd(BaseModel):
        model_config = {"arbitrary_types_allowed": True}
        thing: Scripted

    with pytest.raises(ConfigError, match="Odd"):
        schema_of(Odd)


def test_a_schema_is_json():
    assert json.loads(json.dumps(schema_of(Person))) == schema_of(Person)
