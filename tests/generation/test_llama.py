"""Language models in this process, by llama.cpp."""

import gc
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import anyio
import pytest

pytest.importorskip("xllamacpp", reason="needs the extra `llama`")
pytest.importorskip("torch", reason="the tiny model is made with the extra `local`")

from ctxeng.errors import BackendError, ConfigError
from ctxeng.generation.holding import why_not
from ctxeng.generation.llama import LlamaGenerator
from ctxeng.generation.llama_server import LlamaServer, llama_server
from ctxeng.generation.local import TransformersGenerator
from ctxeng.settings import ModelSettings, TimeoutSettings
from ctxeng.testing.generators import GENERATOR_LAWS
from ctxeng.testing.token_counters import TOKEN_COUNTER_LAWS
from ctxeng.types import Image, Message, Tool
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


def test_it_says_and_counts_what_transformers_does_with_the_same_weights(place, generator):
    other = TransformersGenerator(table(place / "tiny"))
    for question in ("Who approves expenses?", "Größe 日本 🎉", "def get(self): return 1"):
        ours, theirs = ask(generator, question, max_tokens=24), ask(other, question, max_tokens=24)
        # llama.cpp leaves out the bytes of a character that did not end
        assert text(theirs).startswith(text(ours))
        assert len(text(ours)) > 20
        assert ours[-1].usage.completion_tokens == theirs[-1].usage.completion_tokens
        assert ours[-1].usage.prompt_tokens == theirs[-1].usage.prompt_tokens
        assert generator.counter.count(question) == other.counter.count(question)


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
import sys, threading
from ctxeng import open_model

model = open_model({"backend": "llama", "model": sys.argv[1]})
stream = model.stream("Go on and on.", max_tokens=900)
next(stream)
print("begun", flush=True)
if sys.argv[2] == "thread":
    threading.Thread(target=lambda: list(stream), daemon=True).start()
elif sys.argv[2] == "error":
    raise SystemExit(7)
elif sys.argv[2] == "interrupt":
    import os, signal
    os.kill(os.getpid(), signal.SIGINT)
    list(stream)
"""


@pytest.mark.parametrize(("how", "code"), [("plain", 0), ("thread", 0), ("error", 7)])
def test_a_process_can_end_in_the_midst_of_a_reply(place, how, code):
    assert ended(place, how) == code


def test_ctrl_c_still_stops_the_process(place):
    assert ended(place, "interrupt") not in {0, -11, -6}


def ended(place, how):
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(END), str(place / "tiny.gguf"), how],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout.startswith("begun"), ran.stderr
    return ran.returncode
