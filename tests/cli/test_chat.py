"""``ctxeng chat``: piped and typed, its commands, its exit codes, Ctrl-C and Ctrl-D."""

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from tests.generation.server import STALL, chat, delta, status, stream

QUESTION = "How long is parental leave?"
SECONDS = 60
"""The longest that anything here is waited for."""
SETTINGS = """
[embedding]
model = "static"

[models.far]
backend = "openai"
model = "some-model"
base_url = "{url}"
timeout = 30
"""


@pytest.fixture
def server(loopback, indexed):
    (indexed / "ctxeng.toml").write_text(SETTINGS.format(url=loopback.url))
    loopback.reset()
    return loopback


@pytest.fixture
def says(ctxeng, monkeypatch):
    """Runs ``ctxeng chat`` with these lines on standard input."""

    def call(*lines, options=()):
        text = "\n".join(lines).encode("utf-8", "surrogateescape")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text), "utf-8"))
        return ctxeng("chat", *options)

    return call


def test_each_line_is_a_question_and_each_answer_has_its_sources_and_tokens(says, indexed):
    ran = says(QUESTION, "", "When is a sabbatical possible?")
    assert ran.code == 0
    first, second = ran.out.split("\n\n[1] handbook/leave.md:5\n")[0], ran.out
    assert first.startswith("Every parent may take 20 weeks of parental leave [1].")
    assert "After five years a sabbatical of three months is possible [1]." in second
    bar = r"^system (\d+) · (?:history (\d+) · )?sources .* of 4,096 tokens(.*)$"
    (system, none, _), (_, some, same) = re.findall(bar, ran.err, re.M)
    assert not none
    assert int(some) > 0
    assert same == f"; {system} as in the last prompt"


def test_json_is_one_list_of_answers(says, indexed):
    ran = says(QUESTION, "/pin I work in Porto.", "Who approves it?", options=["--json"])
    assert ran.code == 0
    first, second = ran.value
    assert (first["question"], second["question"]) == (QUESTION, "Who approves it?")
    assert first["found"]
    assert first["citations"][0]["source"]["line"] == 5
    assert "I work in Porto." in str(second["context"])
    assert says(options=["--json"]).value == []


def test_the_next_run_goes_on_with_the_session(says, indexed):
    says(QUESTION, "/pin I work in Porto.")
    ran = says("/sources", "/pins", "/sessions")
    assert ran.out.splitlines() == ["handbook/leave.md:5", "1  I work in Porto.", "default"]
    other = says("/sources", "/pins", "/sessions", options=["--session", "other"])
    assert other.out.splitlines() == [
        "No answer rests on anything yet.", "Nothing is pinned.", "default",
    ]  # fmt: skip
    assert says("/unpin 1", "/clear", "/sources", "/pins").out.splitlines() == [
        "Unpinned.",
        "Forgotten. Pinned notes stay.",
        "No answer rests on anything yet.",
        "Nothing is pinned.",
    ]


def test_what_was_compacted_is_told_shown_and_fetched(says, indexed):
    asked = [f"{QUESTION} Case {n} of the year {1_900 + n}." for n in range(12)]
    ran = says(*asked, options=["--window", "900"])
    assert ran.code == 0
    assert re.search(
        r"^Compacted what was said before: .* \d+ retrievable, 0 lost\.$", ran.err, re.M
    )
    assert "/history shows the notes" in ran.err
    shown = says("/history").out
    index = re.search(r"#([a-z]+) lists all", shown)[1]
    listed = says(f"/fetch #{index}").out
    first = re.search(r"#([a-z]+) user", listed)[1]
    assert says(f"/fetch {first}").out.strip() in asked
    ran = says(*asked, options=["--window", "900", "--json", "--session", "other"])
    reports = [answer["compaction"] for answer in ran.value]
    assert reports[0] is None
    assert any(report and report["lost"] == 0 for report in reports)


def test_quit_ends_it_and_help_names_every_command(says, indexed):
    ran = says("/help", "/quit", QUESTION)
    assert "20 weeks" not in ran.out
    for name in (
        "pin",
        "unpin",
        "pins",
        "sources",
        "history",
        "fetch",
        "clear",
        "sessions",
        "quit",
        "help",
    ):
        assert f"/{name} " in ran.out


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/nope", "/help shows all"),
        ("/pin", "empty"),
        ("/unpin", "/pins shows them"),
        ("/unpin 7", "no note has the number 7"),
        ("/fetch nothing", "nothing"),
    ],
)
def test_a_mistake_is_one_line_and_the_next_question_is_answered(says, indexed, line, told):
    ran = says(line, QUESTION)
    assert ran.code == 1
    assert told in ran.err
    assert "20 weeks" in ran.out


def test_a_question_may_begin_with_a_path(says, indexed):
    ran = says("/etc/hosts is where?", options=["--json"])
    assert [answer["question"] for answer in ran.value] == ["/etc/hosts is where?"]


def test_a_model_that_fails_is_told_and_the_next_question_is_asked(says, server):
    server.reset(status(401), chat("20 weeks [1]."))
    ran = says(QUESTION, f"{QUESTION} Really?", options=["--model", "far", "--json"])
    assert ran.code == 1
    failed, answered = ran.value
    assert failed["question"] == QUESTION
    assert "401" in failed["error"]
    assert failed["error"] in ran.err
    assert answered["text"] == "20 weeks [1]."


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model", "near"], "no model is called 'near'"),
        (["--session", " "], "printable"),
        (["--workspace", "elsewhere"], "no workspace at elsewhere"),
        (["--filter", "nonsense"], "KEY=VALUE"),
    ],
)
def test_wrong_options_end_it_before_anything_is_asked(says, indexed, options, told):
    ran = says(QUESTION, options=[*options, "--json"])
    assert ran.code == 2
    assert told in ran.value["error"]


def test_a_window_too_small_is_told(says, indexed):
    ran = says(QUESTION, options=["--window", "600"])
    assert ran.code == 1
    assert "600 tokens is too small" in ran.err


def test_bytes_that_are_no_text_are_asked_all_the_same(says, indexed):
    assert says(f"{QUESTION} \udcff\x1b[31m", options=["--json"]).value[0]["found"]


# -- on a terminal


class Typing:
    """``ctxeng chat`` on a pseudo terminal."""

    def __init__(self, folder, *options):
        self._main, side = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
        self.child = subprocess.Popen(
            [sys.executable, "-m", "ctxeng", "chat", *options],
            cwd=folder,
            stdin=side,
            stdout=side,
            stderr=side,
            env=environment,
            start_new_session=True,
        )
        os.close(side)
        self.seen = ""

    def type(self, text):
        os.write(self._main, text.encode())

    def until(self, wanted, *, interrupting=False):
        """Read on until this is seen; what was seen before is forgotten.

        ``interrupting``: press Ctrl-C each second until then. One that comes just when readline
        begins to wait is told with the next key only.
        """
        end = time.monotonic() + SECONDS
        while wanted not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"waited in vain for {wanted!r}: {self.seen!r}"
            if interrupting:
                self.child.send_signal(signal.SIGINT)
                left = min(left, 1.0)
            if not select.select([self._main], [], [], left)[0]:
                continue
            try:
                piece = os.read(self._main, 65_536)
            except OSError:  # Linux's way to say that the other side is closed
                piece = b""
            assert piece, f"it ended before {wanted!r}: {self.seen!r}"
            self.seen += piece.decode("utf-8", "replace")
        before, _, self.seen = self.seen.partition(wanted)
        assert "Traceback" not in before
        return before

    def close(self):
        self.child.kill()
        self.child.wait(SECONDS)
        os.close(self._main)


@pytest.fixture
def typing(server, indexed):
    opened = []

    def start(*options):
        opened.append(Typing(indexed, *options))
        opened[-1].until("> ")
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_somebody_types_sees_the_answer_the_sources_and_the_bar_and_ctrl_d_ends_it(typing):
    typed = typing()
    typed.type(f"{QUESTION}\n")
    typed.until("Every parent may take 20 weeks of parental leave [1].")
    typed.until("handbook/leave.md:5")
    typed.until("██")
    typed.until("of 4,096 tokens")
    typed.until("> ")
    typed.type("/nope\n")
    typed.until("/help shows all.")
    typed.until("> ")
    typed.type("\x04")
    assert typed.child.wait(SECONDS) == 0


def test_ctrl_c_stops_one_answer_only_and_the_model_is_told(typing, server):
    server.reset(stream(delta(content="It is twe"), STALL, end=False), chat("20 weeks [1]."))
    typed = typing("--model", "far")
    typed.type(f"{QUESTION}\n")
    typed.until("It is twe")
    typed.child.send_signal(signal.SIGINT)
    typed.until("Stopped. This turn is not kept.")
    assert server.gone.wait(SECONDS)
    typed.until("> ")
    typed.until("Ctrl-D or /quit ends.", interrupting=True)
    typed.type(f"{QUESTION}\n")
    typed.until("20 weeks [1].")
    typed.until("of 4,096 tokens")
    typed.until("> ")
    typed.type("/quit\n")
    assert typed.child.wait(SECONDS) == 0
    assert [message["role"] for message in server.bodies[1]["messages"]] == ["system", "user"]


def test_that_a_model_could_not_say_what_to_search_for_is_told(says, server, indexed):
    with (indexed / "ctxeng.toml").open("a") as file:
        file.write('[generation.steps]\nrewrite = "far"\n')
    server.reset(status(401))
    ran = says(QUESTION, "Who approves it?")
    assert ran.code == 0
    assert "What was searched for is told by rules: some-model@" in ran.err
    assert ran.err.count("What was searched for") == 1
