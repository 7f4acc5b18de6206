"""``chat``: questions that belong together, answered one after the other."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from ctxeng.cli import output
from ctxeng.cli.ask import print_doubts, print_sources, print_text
from ctxeng.cli.options import (
    DEFAULT_WORKSPACE,
    AsJson,
    Config,
    Filters,
    ModelName,
    Workspace,
    note_what_is_missing,
    open_engine,
    parse_filters,
)
from ctxeng.errors import BackendError, BudgetError, ConfigError, CtxengError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from ctxeng.engine.chat import Conversation
    from ctxeng.settings import Settings
    from ctxeng.types import Answer, Context

PROMPT = "> "
COMMAND = re.compile(r"/([a-z]+)(?:\s+(.*))?$", re.DOTALL)
"""A path such as ``/etc/hosts`` is none."""
HELP = """\
/pin TEXT   keep a note in every prompt        /pins      the notes and their numbers
/unpin N    take a note out                    /sources   what the answers so far rest on
/history    what the model sees of earlier turns, with notes on those that were compacted
/fetch ID   the full text under an id in these notes
/clear      forget the turns, for good         /sessions  all conversations here
/quit       end (so does Ctrl-D)               /help      this
Ctrl-C stops an answer. Everything else is a question."""
SHOWN_NAMES = {"instructions": "system"}
"""Of sections, in the bar of tokens."""


def chat(
    *,
    model: ModelName = None,
    session: Annotated[
        str, typer.Option(metavar="NAME", help="Which conversation to go on with, or to begin.")
    ] = "default",
    window: Annotated[
        int | None,
        typer.Option(
            metavar="TOKENS",
            min=1,
            help="Tokens that a prompt and its reply may take together; by default the setting "
            "context.window.",
            show_default=False,
        ),
    ] = None,
    filter: Filters = None,
    workspace: Workspace = DEFAULT_WORKSPACE,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Ask one question after the other; each may lean on those before it.

    The conversation is kept in the workspace: the next `ctxeng chat` goes on with it. Where
    standard input is no terminal, each of its lines is a question.

    For example:

      ctxeng chat

      ctxeng chat --model local --session travel

      ctxeng chat --json < questions.txt
    """
    wanted = parse_filters(filter)
    with open_engine(workspace, config) as engine:
        conversation = engine.chat(session, model=model, window=window)
        note_what_is_missing(engine)
        loop = _Loop(
            conversation, wanted, engine.sessions, settings=engine.settings, as_json=as_json
        )
        typed = not as_json and sys.stdin is not None and sys.stdin.isatty()
        return loop.type() if typed else loop.read()


class _Loop:
    """Takes lines, each a question or a command, until there are no more."""

    def __init__(
        self,
        conversation: Conversation,
        filter: dict[str, list[str]],
        sessions: Callable[[], list[str]],
        *,
        settings: Settings,
        as_json: bool,
    ) -> None:
        self._conversation = conversation
        self._filter = filter
        self._sessions = sessions
        self._settings = settings
        self._as_json = as_json
        self._say = output.note if as_json else output.say
        self._ended = False
        self._before: Context | None = None
        """The last prompt of this run."""
        self._commands: Mapping[str, Callable[[str], None]] = {
            "pin": self._pin,
            "unpin": self._unpin,
            "pins": self._pins,
            "sources": self._sources,
            "history": self._history,
            "fetch": self._fetch,
            "clear": self._clear,
            "sessions": self._all,
            "help": self._help,
            "quit": self._quit,
        }

    def type(self) -> int:
        """Somebody types."""
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - gives input() editing and a history
        turns = len(self._conversation.turns)
        so_far = f"{turns} {'turn' if turns == 1 else 'turns'} so far" if turns else "new"
        output.note(
            f"Conversation {self._conversation.id!r}, {so_far}. /help shows the commands, Ctrl-D "
            "ends."
        )
        while not self._ended:
            try:
                line = _typed().strip()
            except EOFError:
                output.note("")
                break
            except KeyboardInterrupt:
                output.note("\nCtrl-D or /quit ends.")
                continue
            try:
                if line and not self._command(line):
                    self._answer(line)
            except KeyboardInterrupt:
                output.note("\nStopped. This turn is not kept.")
            except CtxengError as error:
                output.complain(str(error), as_json=False)
        return output.OK

    def read(self) -> int:
        """Standard input holds all lines."""
        told: list[JsonValue] = []
        code = output.OK
        try:
            for line in _piped():
                try:
                    if not self._command(line):
                        answer = self._answer(line)
                        told.append(self._value(line, answer))
                        code = output.SOME_FAILED if answer.error else code
                except (BackendError, BudgetError, ConfigError) as error:
                    output.complain(str(error), as_json=False)
                    told.append({"question": line, "error": str(error)})
                    code = output.SOME_FAILED
                if self._ended:
                    break
        except KeyboardInterrupt:
            code = output.INTERRUPTED
        if self._as_json:
            output.emit(told)
        return code

    def _command(self, line: str) -> bool:
        """Whether the line was a command; it has been carried out then.

        Raises:
            CtxengError: there is no such command, or it cannot be carried out.
        """
        found = COMMAND.match(line)
        if found is None:
            return False
        name, argument = found[1], (found[2] or "").strip()
        if name not in self._commands:
            raise ConfigError(f"/{name}: there is no such command; /help shows all.")
        self._commands[name](argument)
        return True

    def _answer(self, question: str) -> Answer:
        """Ask, and show the answer while it is written.

        Raises:
            CtxengError: there is no answer.
        """
        if self._as_json:
            return self._conversation.say(question, filter=self._filter)
        events = self._conversation.stream(question, filter=self._filter)
        answer = print_text(events, self._settings)
        print_sources(answer)
        print_doubts(answer)
        self._note_tokens(answer.context)
        output.say()
        return answer

    def _value(self, question: str, answer: Answer) -> JsonValue:
        report = self._conversation.compaction
        compaction = None if report is None else report.model_dump(mode="json")
        return {"question": question, **answer.model_dump(mode="json"), "compaction": compaction}

    def _note_tokens(self, context: Context) -> None:
        """What was compacted for a turn, and how its window is used."""
        if self._conversation.compaction is not None:
            output.note(f"Compacted what was said before: {self._conversation.compaction.line}.")
            output.note("/history shows the notes in its place, /fetch ID a full text.")
        same = context.unchanged_tokens(self._before) if self._before else 0
        remark = f"; {same:,} as in the last prompt" if same else ""
        self._before = context
        output.note_bar(shares(context), context.budget, remark)

    def _pin(self, text: str) -> None:
        self._say(f"Pinned as {self._conversation.pin(text).number}.")

    def _unpin(self, number: str) -> None:
        if not number.isdecimal():
            raise ConfigError("/unpin N: the number of a note is wanted; /pins shows them.")
        self._conversation.unpin(int(number))
        self._say("Unpinned.")

    def _pins(self, _: str) -> None:
        for pin in self._conversation.pins:
            self._say(f"{pin.number}  {output.one_line(pin.text, output.WIDE)}")
        if not self._conversation.pins:
            self._say("Nothing is pinned.")

    def _sources(self, _: str) -> None:
        found = self._conversation.sources
        for place in dict.fromkeys(output.place(source.location) for source in found):
            self._say(place)
        if not found:
            self._say("No answer rests on anything yet.")

    def _history(self, _: str) -> None:
        said = self._conversation.history
        for message in said:
            before = PROMPT if message.role == "user" else ""
            self._say(f"{before}{message.text}\n")
        if not said:
            self._say("Nothing was said yet.")

    def _fetch(self, text_id: str) -> None:
        self._say(self._conversation.fetch(text_id))

    def _clear(self, _: str) -> None:
        self._conversation.clear()
        self._say("Forgotten. Pinned notes stay.")

    def _all(self, _: str) -> None:
        self._say("\n".join(self._sessions()) or "None yet.")

    def _help(self, _: str) -> None:
        self._say(HELP)

    def _quit(self, _: str) -> None:
        self._ended = True


def shares(context: Context) -> list[tuple[str, int]]:
    """What each part of a prompt takes of its window, in tokens."""
    used = [(SHOWN_NAMES.get(use.name, use.name), use.used) for use in context.sections]
    return used + [(name, size) for name, size in context.reserved.items() if size]


def _typed() -> str:
    """A line from the terminal; the prompt never gets into a redirected result."""
    if sys.stdout.isatty():
        return input(PROMPT)
    sys.stderr.write(PROMPT)
    sys.stderr.flush()
    return input()


def _piped() -> Iterator[str]:
    """The lines of standard input; none where it is closed."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    for line in sys.stdin or ():
        if line.strip():
            yield line.strip()
