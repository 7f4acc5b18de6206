"""Language models in this process, by llama.cpp."""

import gc
import json
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest

pytest.importorskip("xllamacpp", reason="needs the extra `llama`")
pytest.importorskip("torch", reason="the tiny model is made with the extra `local`")

import torch

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.chat_prompt import ChatPrompt
from ctxeng.generation.holding import why_not
from ctxeng.generation.llama import LlamaGenerator
from ctxeng.generation.llama_server import LlamaServer, llama_server
from ctxeng.generation.loaded import load_model
from ctxeng.generation.local import TransformersGenerator
from ctxeng.generation.openai import OpenAIGenerator
from ctxeng.settings import ModelSettings, TimeoutSettings
from ctxeng.testing.generators import GENERATOR_LAWS
from ctxeng.testing.token_counters import TOKEN_COUNTER_LAWS
from ctxeng.types import DEFAULT_OPTIONS, Image, Message, Tool
from tests.generation.tiny import SPECIAL, ask, make_model, table, text
from tests.generation.tiny_gguf import as_gguf

WITH_TOOLS = (
    "{% if tools %}<|turn|>system\n# Tools\n<tools>{% for tool in tools %}\n{{ tool | tojson }}"
    '{% endfor %}\n</tools>\nUse <tool_call>\n{"name": <name>, "arguments": <arguments>}\n'
    "</tool_call><|done|>\n{% endif %}{% for m in messages %}<|turn|>{{ m.role }}\n"
    "{% if m.content %}{{ m.content }}{% endif %}{% if m.tool_calls %}{% for c in m.tool_calls %}\n"
    '<tool_call>\n{"name": "{{ c.function.name }}", "arguments": '
    "{{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}{% endif %}<|done|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
WEATHER = Tool(
    name="weather",
    description="Weather to come.",
    parameters={
        "type": "object",
        "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["days"],
        "additionalProperties": False,
    },
)


def llama(file, **more):
    return LlamaGenerator(ModelSettings(backend="llama", model=str(file), **more))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    folder = make_model(place / "tiny", window=1_024)
    as_gguf(folder, place / "tiny.gguf")
    as_gguf(folder, place / "tools.gguf", template=WITH_TOOLS)
    return place


@pytest.fixture(scope="module")
def generator(place):
    return llama(place / "tiny.gguf")


@pytest.mark.parametrize("law", GENERATOR_LAWS, ids=lambda law: law.__name__)
def test_laws_hold(law, generator):
    law(generator)


@pytest.mark.parametrize("law", TOKEN_COUNTER_LAWS, ids=lambda law: law.__name__)
def test_the_counter_keeps_the_laws_of_counters(law, generator):
    law(generator.counter)


QUESTIONS = ("Who approves expenses?", "Größe 日本 🎉", "def get(self): return 1")
SURE = 0.1
"""Between two log-probabilities. llama.cpp's attention is of half precision: on these models, whose
random weights are large, its figures are up to 0.04 from transformers'.
"""


def test_it_reads_and_counts_what_transformers_does(place, generator):
    other = TransformersGenerator(table(place / "tiny"))
    for question in QUESTIONS:
        ours, theirs = ask(generator, question, max_tokens=1), ask(other, question, max_tokens=1)
        assert ours[-1].usage.prompt_tokens == theirs[-1].usage.prompt_tokens
        assert generator.counter.count(question) == other.counter.count(question)
        prompt = generator.counter.chat_overhead + generator.counter.count(question)
        assert ours[-1].usage.prompt_tokens == prompt
    assert generator.counter.chat_overhead == other.counter.chat_overhead
    assert generator.counter.message_overhead == other.counter.message_overhead


@pytest.mark.parametrize("question", QUESTIONS)
def test_it_says_what_transformers_does_as_long_as_one_token_is_the_likeliest(
    place, generator, question
):
    loaded = load_model(place / "tiny")
    ids = ChatPrompt("tiny", loaded.tokenizer).ids(asked(question), DEFAULT_OPTIONS)
    certain, compared = [], 0
    for _ in range(24):
        with torch.no_grad():
            scores = loaded.model(torch.tensor([[*ids, *certain]])).logits[0, -1]
        theirs = torch.log_softmax(scores, -1)
        for token, ours in likeliest(generator.server.library, [*ids, *certain]).items():
            assert abs(ours - float(theirs[token])) < SURE
            compared += 1
        first, second = theirs.topk(2).values.tolist()
        if first - second < SURE or int(theirs.argmax()) in loaded.ends:
            break
        certain.append(int(theirs.argmax()))
    assert compared >= 20
    expected = loaded.decode(certain, special=False).rstrip("\ufffd")  # of half a character
    assert text(ask(generator, question, max_tokens=24)).startswith(expected)


def test_with_exact_attention_every_figure_is_that_of_transformers(place):
    """So that what differs otherwise is precision, and neither weights nor prompts."""
    import xllamacpp

    exact = xllamacpp.CommonParams()
    exact.model.path, exact.n_ctx, exact.verbosity = str(place / "tiny.gguf"), 1_024, 0
    exact.hostnames = [str(place / "exact.sock")]
    exact.cache_type_k = exact.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    exact.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(exact)
    loaded = load_model(place / "tiny")
    compared = 0
    for question in QUESTIONS:
        ids = ChatPrompt("tiny", loaded.tokenizer).ids(asked(question), DEFAULT_OPTIONS)
        for _ in range(24):
            with torch.no_grad():
                theirs = torch.log_softmax(loaded.model(torch.tensor([ids])).logits[0, -1], -1)
            for token, ours in likeliest(server, ids).items():
                assert ours == pytest.approx(float(theirs[token]), abs=1e-3)
                compared += 1
            ids.append(int(theirs.argmax()))
    assert compared > 400


def asked(question):
    return [Message(role="user", content=question)]


def likeliest(server, ids):
    """Log-probabilities of what may come next, ten of them; none where it is the end."""
    body = {"prompt": ids, "n_predict": 1, "logprobs": 10, "temperature": 0}
    (choice,) = server.handle_completions(body)["choices"]
    found = (choice.get("logprobs") or {"content": []})["content"]
    return {one["id"]: one["logprob"] for one in (found[0]["top_logprobs"] if found else [])}


def test_a_chat_reads_only_what_is_new(generator):
    chat = [Message(role="user", content="Who approves expenses above 500 euros?")]
    first = ask(generator, chat, max_tokens=5)
    chat += [
        Message(role="assistant", content=text(first)),
        Message(role="user", content="And more?"),
    ]
    usage = ask(generator, chat, max_tokens=5)[-1].usage
    assert usage.cached_tokens >= first[-1].usage.prompt_tokens - 1
    assert usage.cached_tokens < usage.prompt_tokens


def test_closing_the_stream_ends_the_work(generator):
    async def leave():
        stream = generator.stream(LONG)
        for _ in range(3):
            await anext(stream)
        await stream.aclose()

    anyio.run(leave)
    assert nothing_works_on()


def test_a_stream_that_is_only_left_ends_too_even_with_its_event_loop(generator):
    async def leave():
        async for _ in generator.stream(LONG):
            return

    anyio.run(leave)
    assert nothing_works_on()


def test_cancelling_while_the_prompt_is_read_ends_the_work(place):
    generator = llama(place / "tiny.gguf", context_window=1_000)
    assert generator.server

    async def cancelled():
        with anyio.move_on_after(0.01):
            async for _ in generator.stream([Message(role="user", content="word " * 400)]):
                pass

    anyio.run(cancelled)
    assert nothing_works_on()


LONG = [Message(role="user", content="Go on and on.")]


def nothing_works_on():
    time.sleep(0.1)  # the server sees the closed connection at its next token
    busy = time.process_time()
    time.sleep(0.3)  # would be hundreds of tokens of this model
    return time.process_time() - busy < 0.1


@pytest.mark.parametrize("piece", SPECIAL[:2])
def test_no_text_can_end_its_message(generator, piece):
    """The control token becomes text: it takes as many tokens as its letters do."""
    plain = ask(generator, "a  b", max_tokens=20)[-1].usage.prompt_tokens
    broken = ask(generator, f"a {piece} b", max_tokens=20)[-1].usage.prompt_tokens
    assert broken - plain >= 3
    assert generator.server.is_control(piece)
    assert not generator.server.is_control("<div>")


def test_a_prompt_beyond_the_window_is_an_error(generator, place):
    with pytest.raises(BackendError) as failed:
        ask(generator, "word " * 2_000)
    assert failed.value.kind == "context_length"
    with pytest.raises(BackendError) as failed:
        ask(llama(place / "tiny.gguf", context_window=256), "word " * 400)
    assert failed.value.kind == "context_length"


@pytest.mark.parametrize("model", ["tiny.gguf", "tools.gguf"])
def test_a_required_call_is_of_a_tool_with_fitting_arguments(place, model):
    """Whether or not the model's template knows of tools."""
    generator = llama(place / model)
    assert generator.server.takes_tools == (model == "tools.gguf")
    deltas = ask(generator, tools=(WEATHER,), tool_choice="required", max_tokens=120)
    (call,) = [delta.tool_call for delta in deltas if delta.tool_call]
    assert call.name == "weather"
    assert why_not(call.arguments, WEATHER.parameters) == ""
    assert text(deltas) == ""
    assert deltas[-1].stop == "tool_calls"


def test_a_model_that_may_call_tools_may_also_just_write(generator):
    deltas = ask(generator, tools=(WEATHER,), max_tokens=12)
    assert text(deltas)
    assert deltas[-1].stop == "length"


def test_images_are_refused(generator):
    image = Image(media_type="image/png", data="iVBORw0KGgo=")
    with pytest.raises(BackendError):
        ask(generator, [Message(role="user", content=("What is it?", image))])


def test_a_time_limit_holds(place):
    generator = llama(place / "tiny.gguf", timeout=TimeoutSettings(first_token=1e-3))
    assert generator.server
    with pytest.raises(BackendError) as failed:
        ask(generator, "word " * 400)
    assert failed.value.kind == "timeout"


@pytest.mark.parametrize("cut", [100, 5_000, -1_000])
def test_a_damaged_file_is_an_error_and_no_crash(place, tmp_path, cut):
    file = tmp_path / "cut.gguf"
    file.write_bytes((place / "tiny.gguf").read_bytes()[:cut])
    with pytest.raises(BackendError, match="cannot be loaded"):
        ask(llama(file))


def test_an_adapter_is_refused(place):
    with pytest.raises(ConfigError, match="Merge it"):
        llama(place / "tiny.gguf", adapter="terse")


def test_a_system_without_its_libraries_says_so(place, monkeypatch, tmp_path):
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('libgomp.so.1: no such file')")
    monkeypatch.delitem(sys.modules, "xllamacpp", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot be imported: libgomp\.so\.1"):
        LlamaServer(place / "tiny.gguf", None)


def test_one_server_serves_all_and_goes_with_its_last_user(place):
    first, second = llama(place / "tiny.gguf"), llama(place / "tiny.gguf")
    assert first.server is second.server is llama_server(place / "tiny.gguf", None)
    other = llama(place / "tiny.gguf", context_window=300)
    socket = Path(other.server.socket)
    assert other.server is not first.server
    assert socket.exists()
    assert socket.parent.stat().st_mode & 0o077 == 0  # nobody else can enter
    del other
    gc.collect()
    assert not socket.parent.exists()


def test_no_port_is_opened(place):
    """Whatever listens in this process listens on a private socket."""
    assert llama(place / "tiny.gguf").server
    own = {
        str(f.readlink()) for f in Path("/proc/self/fd").iterdir() if f.is_symlink() and f.exists()
    }
    listening = [
        line.split()
        for table_ in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table_}").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    assert not any(f"socket:[{row[9]}]" in own for row in listening)


END = """
import asyncio, os, signal, sys, threading
from ctxeng import open_model
from ctxeng.generation.llama import LlamaGenerator
from ctxeng.settings import ModelSettings
from ctxeng.types import GenerationOptions, Message

file, how = sys.argv[1:]
if how.startswith("loop"):
    generator = LlamaGenerator(ModelSettings(backend="llama", model=file))
    asked = [Message(role="user", content="Go on and on.")]
    stream = generator.stream(asked, GenerationOptions(max_tokens=900))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(anext(stream))
    if how == "loop closed":
        loop.close()
    print("begun", flush=True)
    sys.exit()
model = open_model({"backend": "llama", "model": file})
streams = [model.stream("Go on and on.", max_tokens=900) for _ in range(3 if how == "three" else 1)]
for stream in streams:
    next(stream)
print("begun", flush=True)
if how == "thread":
    threading.Thread(target=lambda: list(stream), daemon=True).start()
elif how == "error":
    raise RuntimeError("as planned")
elif how == "exit":
    sys.exit(7)
elif how == "interrupt":
    os.kill(os.getpid(), signal.SIGINT)
    list(stream)
"""
ENDS = {
    "plain": 0,
    "three": 0,  # two of them wait for their turn, and nobody reads the first
    "thread": 0,
    "error": 1,
    "exit": 7,
    "interrupt": None,  # 1, or the signal's
    "loop closed": 0,
    "loop left": 0,
}
ENDS_WITHIN = 10.0
"""Seconds: it takes 0.2, and 4 where other processes want the same cores."""


@pytest.mark.parametrize("how", ENDS)
def test_a_process_can_end_in_the_midst_of_a_reply(place, how):
    with begun(place, how) as process:
        end(process, how)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["three", "thread", "interrupt"])
def test_it_ends_every_time(place, how):
    with ExitStack() as stack:
        for process in [stack.enter_context(begun(place, how)) for _ in range(4)]:
            end(process, how)


@contextmanager
def begun(place, how):
    """A process that is in the midst of its reply. Killed in the end, if it is still there."""
    command = [sys.executable, "-c", END, str(place / "tiny.gguf"), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def end(process, how):
    assert process.stdout.readline() == b"begun\n", process.stderr.read()
    process.communicate(timeout=ENDS_WITHIN)
    if how == "interrupt":
        assert process.returncode in {1, -signal.SIGINT}
    else:
        assert process.returncode == ENDS[how]


SERVE = """
import sys, xllamacpp

wanted = xllamacpp.CommonParams()
wanted.model.path, wanted.n_ctx, wanted.verbosity = sys.argv[1], 1_024, 0
wanted.hostnames, wanted.port = ["127.0.0.1"], 0
server = xllamacpp.Server(wanted)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def served(place):
    """The address of llama.cpp's server in a process of its own."""
    command = [sys.executable, "-c", SERVE, str(place / "tools.gguf")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.kill()


@pytest.mark.parametrize("law", GENERATOR_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("profile", ["", "llama.cpp"])
def test_its_server_is_an_openai_compatible_one(law, served, profile):
    law(OpenAIGenerator(at(served, profile)))


def test_its_server_says_what_it_does_in_this_process(place, served, generator):
    over_http = OpenAIGenerator(at(served))
    same = llama(place / "tools.gguf")
    theirs, ours = ask(over_http, max_tokens=24), ask(same, max_tokens=24)
    assert text(ours) == text(theirs) != ""
    assert ours[-1].usage.prompt_tokens == theirs[-1].usage.prompt_tokens
    assert ours[-1].usage.completion_tokens == theirs[-1].usage.completion_tokens


def test_its_server_holds_a_reply_to_its_schema(served):
    schema = WEATHER.parameters
    deltas = ask(OpenAIGenerator(at(served, "llama.cpp")), json_schema=schema, max_tokens=60)
    assert why_not(json.loads(text(deltas)), schema) == ""


def at(address, profile=""):
    return ModelSettings(backend="openai", model="tiny", base_url=f"{address}/v1", profile=profile)
