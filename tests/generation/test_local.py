"""Language models in this process, by transformers."""

import itertools
import threading
import time

import anyio
import pytest

pytest.importorskip("torch", reason="needs the extra `local`")

import torch

from ctxeng.errors import BackendError
from ctxeng.generation import local
from ctxeng.generation.chat_prompt import ChatPrompt
from ctxeng.generation.loaded import LoadedModel, load_model
from ctxeng.generation.local import TransformersGenerator
from ctxeng.generation.prefix import PrefixStore, common_prefix
from ctxeng.settings import TimeoutSettings
from ctxeng.testing.generators import GENERATOR_LAWS
from ctxeng.testing.token_counters import TOKEN_COUNTER_LAWS, counts_as
from ctxeng.trace import Recorder, recording
from ctxeng.types import DEFAULT_OPTIONS, Attachment, Image, Message
from tests.generation.tiny import ask, make_model, table, text


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def generator(folder):
    return TransformersGenerator(table(folder))


@pytest.fixture(scope="module")
def small_window(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "small", window=160)


@pytest.mark.parametrize("law", GENERATOR_LAWS, ids=lambda law: law.__name__)
def test_laws_hold(law, generator):
    law(generator)


@pytest.mark.parametrize("law", TOKEN_COUNTER_LAWS, ids=lambda law: law.__name__)
def test_the_counter_keeps_the_laws_of_counters(law, generator):
    law(generator.counter)


def test_it_counts_as_its_tokenizer_does(folder, generator):
    tokenizer = load_model(folder).tokenizer
    counts_as(generator.counter, lambda t: tokenizer.encode(t, add_special_tokens=False))
    assert generator.counter.count("\ud800") == generator.counter.count("?")


def test_it_says_what_the_chat_template_adds(generator):
    said = "Who approves expenses?"
    usage = ask(generator, said, max_tokens=1)[-1].usage
    counter = generator.counter
    assert counter.chat_overhead > 0
    assert usage.prompt_tokens == counter.count(said) + counter.chat_overhead


def test_it_says_what_each_further_message_adds_at_most(folder, generator):
    counter = generator.counter
    said = ["Who approves expenses?", "The head of finance.", "And travel?"]
    roles = ("user", "assistant", "user")
    chat = [Message(role=role, content=text) for role, text in zip(roles, said, strict=True)]
    prompt = ChatPrompt("", load_model(folder).tokenizer).ids(chat, DEFAULT_OPTIONS)
    texts = sum(counter.count(text) for text in said)
    assert len(prompt) <= texts + counter.chat_overhead + 2 * counter.message_overhead


def test_greedy_is_what_the_library_generates(folder, generator):
    loaded = load_model(folder)
    prompt = ChatPrompt("", loaded.tokenizer).ids(
        [Message(role="user", content="Who approves expenses?")], DEFAULT_OPTIONS
    )
    made = loaded.model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt)),
        max_new_tokens=40,
        do_sample=False,
        pad_token_id=0,
    )
    expected = loaded.tokenizer.decode(made[0, len(prompt) :], skip_special_tokens=True)
    deltas = ask(generator, max_tokens=40)
    assert text(deltas) == expected
    assert deltas[-1].usage.completion_tokens == len(made[0]) - len(prompt)


def test_nothing_is_loaded_until_it_is_asked_and_then_once(folder, monkeypatch):
    loads = []
    monkeypatch.setattr("ctxeng.generation.loaded._models", {})
    original = LoadedModel.__init__
    monkeypatch.setattr(
        LoadedModel, "__init__", lambda self, *a: (loads.append(1), original(self, *a))[1]
    )
    generators = [TransformersGenerator(table(folder)) for _ in range(3)]
    assert [g.name for g in generators] == [generators[0].name] * 3
    assert loads == []

    async def all_at_once():
        async with anyio.create_task_group() as group:
            for generator in generators:
                group.start_soon(read, generator)

    async def read(generator):
        messages = [Message(role="user", content="Hello")]
        assert [d async for d in generator.stream(messages, options)][-1].stop == "length"

    options = DEFAULT_OPTIONS.model_copy(update={"max_tokens": 3})
    anyio.run(all_at_once)
    assert loads == [1]


def test_a_seed_repeats_a_sample(generator):
    sampled = {"temperature": 1.0, "max_tokens": 15}
    assert text(ask(generator, seed=4, **sampled)) == text(ask(generator, seed=4, **sampled))
    assert text(ask(generator, seed=4, **sampled)) != text(ask(generator, seed=5, **sampled))


def test_stop_strings_end_the_reply_and_are_not_in_it(generator):
    whole = text(ask(generator, max_tokens=40))
    stop = whole[10:13]
    deltas = ask(generator, max_tokens=40, stop=(stop,))
    assert text(deltas) == whole[: whole.index(stop)]
    assert deltas[-1].stop == "stop"
    assert deltas[-1].usage.completion_tokens < 40


def test_max_tokens_end_it_and_so_does_the_window(generator, small_window):
    assert ask(generator, max_tokens=7)[-1].usage.completion_tokens == 7
    last = ask(TransformersGenerator(table(small_window)), max_tokens=10_000)[-1]
    assert last.stop in {"length", "stop"}
    assert last.usage.prompt_tokens + last.usage.completion_tokens <= 160


@pytest.mark.parametrize("own", [None, 100])
def test_a_prompt_beyond_the_window_is_an_error_before_anything_is_read(folder, own, monkeypatch):
    monkeypatch.setattr(LoadedModel, "read", None)
    generator = TransformersGenerator(table(folder, context_window=own))
    with pytest.raises(BackendError, match=f"the model reads {own or 512}") as failed:
        ask(generator, "word " * 600)
    assert failed.value.kind == "context_length"


def test_closing_the_stream_ends_the_work_within_a_token(generator, monkeypatch):
    """Also while a prompt is being read; and no thread goes on."""
    steps = []
    read = LoadedModel.read
    monkeypatch.setattr(
        LoadedModel, "read", lambda self, *a: (steps.append(len(a[1])), read(self, *a))[1]
    )

    async def leave():
        stream = generator.stream([Message(role="user", content="Go on and on.")])
        for _ in range(3):
            await anext(stream)
        before = len(steps)
        await stream.aclose()
        return before

    others = threading.enumerate()  # the loop of plain verbs, where a test before has used one
    before = anyio.run(leave)
    assert before >= 3
    busy = time.process_time()
    time.sleep(0.2)  # would be some hundred tokens of this model
    assert time.process_time() - busy < 0.1
    assert len(steps) == before
    assert not [t for t in threading.enumerate() if "ctxeng" in t.name and t not in others]


def test_cancelling_in_the_midst_of_a_step_waits_for_that_step_only(folder, generator, monkeypatch):
    started, go_on, steps = threading.Event(), threading.Event(), []
    read = LoadedModel.read

    def slow(self, *arguments):
        steps.append(len(arguments[1]))
        started.set()
        assert go_on.wait(10)
        return read(self, *arguments)

    monkeypatch.setattr(LoadedModel, "read", slow)
    monkeypatch.setattr(load_model(folder), "chunk", 8)

    async def cancelled():
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(read_all)
                await anyio.to_thread.run_sync(started.wait, 10)
                scope.cancel()
                go_on.set()

    async def read_all():
        async for _ in generator.stream([Message(role="user", content="word " * 90)]):
            pass

    anyio.run(cancelled)
    assert len(steps) == 1


def test_a_prompt_is_read_in_pieces_that_give_the_same_scores(folder):
    loaded = load_model(folder)
    ids = list(range(3, 103))
    whole = loaded.scores(ids)[-1]
    read = PrefixStore(loaded.model.config).take(ids)
    for start in range(0, 100, 7):
        last = loaded.read(read, ids[start : start + 7])
    torch.testing.assert_close(last, whole, atol=1e-4, rtol=1e-4)
    assert read.ids == ids


@pytest.mark.parametrize("same", [1, 30, 59, 60])
def test_scores_are_the_same_with_and_without_what_was_read_before(folder, same):
    loaded = load_model(folder)
    store = PrefixStore(loaded.model.config)
    first = list(range(3, 63))
    read = store.take(first)
    loaded.read(read, first)
    store.give_back(read)
    second = [*first[:same], *range(200, 220)] if same < 60 else first
    again = store.take(second)
    assert len(again.ids) == min(same, len(second) - 1)
    scores = loaded.read(again, second[len(again.ids) :])
    torch.testing.assert_close(scores, loaded.scores(second)[-1], atol=1e-4, rtol=1e-4)
    # the earlier one is still of use to its own chat
    assert common_prefix(store.take([*first, 7]).ids, first) == (60 if same < 30 else 0)


def test_a_chat_reads_only_what_is_new_and_replies_alike(generator, folder, tmp_path):
    chat, fresh = [Message(role="user", content="Who approves expenses?")], []
    for turn in range(3):
        last = ask(generator, chat, max_tokens=12)
        fresh.append(last[-1].usage)
        said = text(last)
        # a copy that has read nothing yet
        other = make_model(tmp_path / f"copy{turn}")
        assert text(ask(TransformersGenerator(table(other)), chat, max_tokens=12)) == said
        chat += [
            Message(role="assistant", content=said),
            Message(role="user", content=f"And number {turn}?"),
        ]
    for before, usage in itertools.pairwise(fresh):
        assert usage.cached_tokens >= before.prompt_tokens - 1


def test_a_step_beside_a_chat_does_not_push_it_out(generator):
    chat = [Message(role="user", content="word " * 60)]
    read = ask(generator, chat, max_tokens=2)[-1].usage.prompt_tokens
    ask(generator, "Rewrite this: word", max_tokens=2)
    more = [*chat, Message(role="assistant", content="yes"), Message(role="user", content="go")]
    assert ask(generator, more, max_tokens=2)[-1].usage.cached_tokens >= read - 10


def test_what_was_read_is_kept_within_bounds(folder, monkeypatch):
    loaded = load_model(folder)
    monkeypatch.setattr("ctxeng.generation.prefix.KEPT_BYTES", 1)
    store = PrefixStore(loaded.model.config)
    for first in (10, 20, 30):
        read = store.take([first, 1, 2])
        loaded.read(read, [first, 1, 2])
        store.give_back(read)
    assert [one.ids[0] for one in store._kept] == [30]


def test_a_failure_before_the_first_text_is_raised_and_one_after_it_is_marked(
    generator, monkeypatch
):
    read, left = LoadedModel.read, [0]

    def failing(self, *arguments):
        left[0] -= 1
        if left[0] < 0:
            raise BackendError("out of memory")
        return read(self, *arguments)

    monkeypatch.setattr(LoadedModel, "read", failing)
    with pytest.raises(BackendError, match="out of memory"):
        ask(generator, max_tokens=30)
    left[0] = 12
    *said, last = ask(generator, max_tokens=30)
    assert text(said)
    assert (last.stop, last.error) == ("interrupted", "out of memory")
    assert last.usage.completion_tokens == 12


def test_whatever_the_model_raises_is_a_backend_error(folder, generator, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("CUDA out of memory")

    loaded = load_model(folder)
    monkeypatch.setattr(loaded.model, "forward", broken)
    with pytest.raises(BackendError, match="CUDA out of memory"):
        ask(generator)
    monkeypatch.undo()
    assert ask(generator, max_tokens=3)[-1].stop == "length"


@pytest.mark.parametrize(
    ("limit", "words"),
    [("first_token", "no token within"), ("total", "no whole reply within")],
)
def test_time_limits_before_the_first_token(folder, limit, words, monkeypatch):
    monkeypatch.setattr(load_model(folder), "chunk", 8)
    limits = TimeoutSettings(**{limit: 1e-9})
    with pytest.raises(BackendError, match=words) as failed:
        ask(TransformersGenerator(table(folder, timeout=limits)), "word " * 60, max_tokens=300)
    assert failed.value.kind == "timeout"
    assert failed.value.retryable


def test_a_token_that_comes_too_late_marks_the_reply(folder, monkeypatch):
    limits = TimeoutSettings(between_tokens=0.5)
    clock = [0.0]
    monkeypatch.setattr(local.time, "monotonic", lambda: clock[0])
    read = LoadedModel.read

    def aging(self, *arguments):
        clock[0] += 0.6 if len(arguments[0].ids) > 45 else 0.1
        return read(self, *arguments)

    monkeypatch.setattr(LoadedModel, "read", aging)
    *said, last = ask(TransformersGenerator(table(folder, timeout=limits)), max_tokens=200)
    assert text(said)
    assert last.stop == "interrupted"
    assert "no further token within 0.5 s" in last.error


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (Image(media_type="image/png", data=""), "an image"),
        (Attachment(name="a.pdf", media_type="application/pdf", data=""), "a.pdf"),
    ],
)
def test_images_and_files_are_refused_by_name(generator, part, named):
    with pytest.raises(BackendError, match=f"{named} .*reads text only") as failed:
        ask(generator, [Message(role="user", content=("What is this?", part))])
    assert failed.value.kind == "bad_request"


def test_the_trace_says_what_was_read_again_and_what_was_not(generator):
    recorder = Recorder("ask", {})

    async def read():
        with recording(recorder):
            messages = [Message(role="user", content="Hello")]
            assert [d async for d in generator.stream(messages, DEFAULT_OPTIONS)]

    anyio.run(read)
    (stage,) = [s for s in recorder.stages if s["stage"] == "generate.local"]
    assert stage["model"] == generator.name
    assert stage["prompt"] >= stage["read_before"]
