"""Messages as a local model reads them."""

import pytest

pytest.importorskip("torch", reason="needs the extra `local`")

from hypothesis import given
from hypothesis import strategies as st

from ctxeng.errors import BackendError
from ctxeng.generation.chat_prompt import FALLBACK_STOPS, ChatPrompt
from ctxeng.generation.local import TransformersGenerator
from ctxeng.types import DEFAULT_OPTIONS, GenerationOptions, Message, Tool, ToolCall
from tests.generation.tiny import SPECIAL, TEMPLATE, ask, make_model, make_tokenizer, table, text

ADD = Tool(name="add", description="Adds.", parameters={"type": "object", "properties": {}})
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}[{{ m.role }}]{{ m.content }}"
    "{% endfor %}"
)
WITH_TOOLS = (
    "{% if tools %}<tool_call>{{ tools[0].function.name }}{% endif %}{% for m in messages %}"
    "({{ m.role }}){{ m.content }}{% for c in m.tool_calls or [] %}"
    "calls {{ c.function.name }} {{ c.function.arguments.a }}{% endfor %}{% endfor %}"
)


@pytest.fixture(scope="module")
def prompt_of(tmp_path_factory):
    def make(template):
        folder = tmp_path_factory.mktemp("tokenizer")
        return ChatPrompt("tiny", make_tokenizer(folder, template=template))

    return make


def user(content):
    return Message(role="user", content=content)


def system(content):
    return Message(role="system", content=content)


def test_the_models_own_template_is_used(prompt_of):
    assert (
        prompt_of(TEMPLATE).text([system("Be short."), user("Hi")], DEFAULT_OPTIONS)
        == "<|turn|>system\nBe short.<|done|>\n<|turn|>user\nHi<|done|>\n<|turn|>assistant\n"
    )


def test_without_a_template_turns_are_told_apart_and_the_next_one_ends_the_reply(
    prompt_of, tmp_path
):
    prompt = prompt_of(None)
    chat = [system("Be short."), user("Hi"), Message(role="assistant", content="Yes."), user("Go")]
    assert prompt.text(chat, DEFAULT_OPTIONS) == (
        "Be short.\n\nUser: Hi\nAssistant: Yes.\nUser: Go\nAssistant:"
    )
    assert prompt.stops == FALLBACK_STOPS
    generator = TransformersGenerator(table(make_model(tmp_path / "bare", template=None)))
    assert not any(stop in text(ask(generator, max_tokens=50)) for stop in FALLBACK_STOPS)


def test_neighbours_of_one_role_become_one_turn(prompt_of):
    shown = prompt_of(NO_SYSTEM).text([user("One."), user("Two.")], DEFAULT_OPTIONS)
    assert shown == "[user]One.\n\nTwo."


def test_a_template_without_system_messages_gets_them_with_the_first_question(prompt_of):
    shown = prompt_of(NO_SYSTEM).text([system("Be short."), user("Hi")], DEFAULT_OPTIONS)
    assert shown == "[user]Be short.\n\nHi"
    assert prompt_of(NO_SYSTEM).text([system("Alone.")], DEFAULT_OPTIONS) == "[user]Alone."


def test_what_a_template_refuses_is_an_error_that_says_so(prompt_of):
    with pytest.raises(BackendError, match="roles must alternate") as failed:
        prompt_of(NO_SYSTEM).text([Message(role="assistant", content="First!")], DEFAULT_OPTIONS)
    assert failed.value.kind == "bad_request"


@given(
    pieces=st.lists(st.sampled_from([*SPECIAL, "<|", "done", "|>", "user\n", " hi "]), max_size=6)
)
def test_no_text_can_end_its_message_or_begin_another(prompt_of, pieces):
    """Not even one that is put together of broken pieces."""
    prompt = prompt_of(TEMPLATE)
    empty = prompt.ids([user("")], DEFAULT_OPTIONS)
    control = prompt._tokenizer.all_special_ids
    assert len(control) >= 2
    full = prompt.ids([user("".join(pieces))], DEFAULT_OPTIONS)
    for token in control:
        assert full.count(token) == empty.count(token)


def test_a_schema_is_asked_for_in_words_too(prompt_of):
    options = GenerationOptions(json_schema={"type": "integer"})
    assert '{"type": "integer"}' in prompt_of(TEMPLATE).text([user("How many?")], options)


def test_tools_go_to_a_template_that_knows_them_and_into_words_elsewhere(prompt_of):
    options = GenerationOptions(tools=(ADD,))
    chat = [
        user("Two and two?"),
        Message(role="assistant", tool_calls=(ToolCall(id="1", name="add", arguments={"a": 2}),)),
        Message(role="tool", tool_call_id="1", content="4"),
    ]
    assert prompt_of(WITH_TOOLS).text(chat, options) == (
        "<tool_call>add(user)Two and two?(assistant)calls add 2(tool)4"
    )
    told = prompt_of(TEMPLATE).text(chat, options)
    assert told.startswith("<|turn|>system\nYou may call functions.")
    assert '"name": "add", "description": "Adds."' in told
    assert 'assistant\n<tool_call>{"name": "add", "arguments": {"a": 2}}</tool_call>' in told
    assert "user\n<tool_response>\n4\n</tool_response>" in told
    without = GenerationOptions(tools=(ADD,), tool_choice="none")
    assert "Adds." not in prompt_of(TEMPLATE).text([user("Hi")], without)


def test_lone_surrogates_are_no_text_and_do_not_fail(prompt_of):
    # Values made past the public edge, as the store's are, may hold them.
    message = Message.model_construct(role="user", content="\ud800 x", tool_calls=())
    assert "? x" in prompt_of(TEMPLATE).text([message], DEFAULT_OPTIONS)
