"""A call of a model on a server: tries until the first token, then deltas until the end."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence, Set
from dataclasses import dataclass

import anyio
import tenacity
from pydantic import JsonValue

from ctxeng.errors import BackendError
from ctxeng.generation.counting import ApproximateCounter
from ctxeng.generation.faults import TryError, one_line
from ctxeng.generation.holding import broken_rule
from ctxeng.generation.http import Client, Incoming, LateError, Server, as_json, server_of
from ctxeng.generation.keys import Secret, read_key
from ctxeng.generation.pace import NoTurnError, Pace, Place, pace_of
from ctxeng.generation.reading import Reading
from ctxeng.generation.talk import Talk, too_late
from ctxeng.protocols import Delta, Restart, TokenCounter
from ctxeng.settings import ModelSettings
from ctxeng.trace import stage
from ctxeng.types import (
    DEFAULT_OPTIONS,
    Attachment,
    GenerationOptions,
    Image,
    Message,
    Tool,
    Usage,
)

TRIES = 5
LONGEST_PAUSE = 20.0
RETRY_ADVICE = "Ask again; with retry_broken_streams = true in the model's table we do."

Body = dict[str, JsonValue]
Write = Callable[[Server, Sequence[Message], GenerationOptions], Body]
Read = Callable[[Sequence[Tool]], Reading]


class Api:
    """One model on one server.

    The total time spans the wait for a turn, all tries and the whole reply. A failure before the
    first delta is tried again where it can pass, and at last raised. One after it ends the stream,
    and what has come is marked as interrupted; where broken streams are to be retried, the reply
    starts again instead, as one more try, behind a ``Restart``.
    """

    def __init__(
        self,
        table: ModelSettings,
        write: Write,
        read: Read,
        *,
        first_pause: float,
        pace: Pace | None = None,
    ) -> None:
        """``write`` makes the body of a request, ``read`` reads one reply. ``first_pause``: the
        first failure is followed by a random pause of at most so many seconds, each further one
        by one that may be twice as long. ``pace``: None: that of the server and its key.
        """
        self.server = server_of(table)
        self._counter = ApproximateCounter()
        self.client = Client()
        self._table = table
        self._write = write
        self._read = read
        self._first_pause = first_pause
        self._pace = pace or pace_of(self.server.place, self.server.key_env)
        self._left_out: set[str] = set()
        """Parameters that the model has refused by name."""

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def counter(self) -> TokenCounter:
        return self._counter

    async def aclose(self) -> None:
        """Close the idle connections of this event loop."""
        await self.client.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions = DEFAULT_OPTIONS
    ) -> AsyncGenerator[Delta]:
        """Raises:
        BackendError: nothing came, or what came to its end is of no use.
        """
        began = time.perf_counter()
        deadline = anyio.current_time() + self.server.timeouts.total
        call = _Call(self._write(self.server, messages, options), options, deadline)
        talk, took = None, Usage()
        try:
            talk = await self._begin(call)
            while True:
                heard: list[Delta] = []
                first = 0.0
                while deltas := await talk.more():
                    first = first or time.perf_counter() - began
                    heard += deltas
                    for delta in deltas:
                        yield delta
                text = "".join([delta.text for delta in heard])
                failed = talk.failed or _unusable(text, heard, talk.reading, options)
                if failed is not None and not (failed.verdict or heard):
                    raise self._error(failed, talk.key, text)
                usage = await self._usage(talk.reading.usage, messages, options, text)
                times = {"seconds": time.perf_counter() - began, "first_token_seconds": first}
                took = (took + usage).model_copy(update=times)
                if failed is None or not self._starts_again(call, failed):
                    break
                await talk.close()
                broke = self._said(failed, talk.key, advises=False)
                with stage("generate.restart") as facts:
                    facts["model"], facts["why"] = self.server.name, broke
                yield Restart(error=broke, took=took)
                try:
                    talk = await self._begin(call, failed)
                except BackendError as error:
                    in_vain = f"{broke} It could not start again: {error}"
                    heard.append(Delta(usage=took, stop="interrupted", error=in_vain))
                    for delta in heard:
                        yield delta
                    return
            yield self._end(call, talk, failed, text, took)
            if failed is None:
                await talk.drain()
        finally:
            try:
                if talk is not None:
                    await talk.close()
            finally:
                if call.place is not None:
                    self._pace.leave(call.place)

    def _end(
        self, call: _Call, talk: Talk, failed: TryError | None, text: str, took: Usage
    ) -> Delta:
        """The last delta.

        Raises:
            BackendError: what came cannot be used.
        """
        if failed is None:
            return Delta(usage=took, stop=talk.reading.stop)
        if failed.verdict:
            raise self._error(failed, talk.key, text, took)
        if failed.kind in {"unavailable", "bad_reply"}:  # the place was right until then
            could = _can_pass(failed) and not self._retries(call)
            failed.advice = failed.advice or (RETRY_ADVICE if could else "Ask again.")
        return Delta(usage=took, stop="interrupted", error=self._said(failed, talk.key))

    async def _begin(self, call: _Call, broken: TryError | None = None) -> Talk:
        """A talk whose first deltas have come.

        Args:
            broken: why the one before it ended, where it had begun.
        """
        tries = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_can_pass),
            wait=self._pause,
            stop=call.is_over,
            sleep=anyio.sleep,
            reraise=True,
        )
        paused, key = 0.0, Secret()
        try:
            async for attempt in tries:
                with attempt:
                    if broken is not None:
                        before, broken = broken, None
                        raise before
                    state = attempt.retry_state
                    pause, paused = state.idle_for - paused, state.idle_for
                    with stage("generate.try") as facts:
                        facts["model"], facts["try"] = self.server.name, call.tries + 1
                        facts["wait"] = round(pause, 3)
                        facts["status"], facts["error"] = None, ""
                        try:
                            facts["wait"] = round(pause + await self._turn(call), 3)
                            call.tries += 1
                            key = await self._key()
                            call.leave_out(self._left_out)
                            talk = await self._open(call, key)
                        except TryError as error:
                            facts["status"], facts["error"] = error.status, error.kind
                            self._do_without(call.body, error)
                            raise
                        facts["status"] = 200
                        return talk
        except TryError as error:
            failed = error
            if call.tries > 1:
                failed.what += f" ({call.tries} tries)"
        raise self._error(failed, key, "")

    async def _turn(self, call: _Call) -> float:
        """Wait for the call's place, and for its next request's turn; returns the seconds."""
        began = anyio.current_time()
        if call.place is None:
            call.place = await self._pace.enter(self._table.max_concurrent, call.deadline)
        await self._pace.wait(self._table.requests_per_minute, call.deadline)
        return anyio.current_time() - began

    def _starts_again(self, call: _Call, failed: TryError) -> bool:
        """Whether a reply that has begun, and failed, is tried again."""
        if not (self._retries(call) and _can_pass(failed)):
            return False
        return not call.is_over_after(failed.retry_after or 0.0)

    def _retries(self, call: _Call) -> bool:
        asked = call.options.retry_broken_streams
        return self._table.retry_broken_streams if asked is None else asked

    async def _key(self) -> Secret:
        """Read anew for each try, so that a key that was changed is taken."""
        return await read_key(self.server.key_env, needed=self.server.needs_key)

    async def _open(self, call: _Call, key: Secret) -> Talk:
        times = self.server.timeouts
        until = min(anyio.current_time() + times.first_token, call.deadline)
        try:
            response = await self.client.send(self.server, key, as_json(call.body), until=until)
        except LateError:
            late = too_late(times, 0, anyio.current_time() >= call.deadline)
        else:
            reading = self._read(call.options.tools)
            talk = Talk(Incoming(response, key), reading, times, call.deadline)
            try:
                await talk.incoming.check(until)
                await talk.begin(until)
            except BaseException:
                await talk.close()
                raise
            return talk
        raise late

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """What the server asks for and a little, so that not all come back at once; else growing
        and random.
        """
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TryError) and error.retry_after is not None:
            little = tenacity.wait_random(0, min(1.0, error.retry_after / 10))
            return error.retry_after + float(little(state))
        growing = tenacity.wait_random_exponential(self._first_pause, LONGEST_PAUSE)
        return float(growing(state))

    def _do_without(self, body: Body, error: TryError) -> None:
        """A parameter that is refused by name, and can be missed, is left out from now on."""
        if error.kind == "bad_request":
            names = {n for n in self.server.profile.optional if n in body and n in error.what}
            self._left_out |= names
            if names:
                error.retryable, error.retry_after = True, 0.0

    def _error(
        self, failed: TryError, key: Secret, text: str, usage: Usage | None = None
    ) -> BackendError:
        return BackendError(
            self._said(failed, key),
            retryable=failed.retryable,
            kind=failed.kind,
            retry_after=failed.retry_after,
            text=key.hide(text + failed.text if failed.verdict else text),
            why=one_line(key.hide(failed.what)) if failed.verdict else "",
            usage=usage,
        )

    def _said(self, failed: TryError, key: Secret, *, advises: bool = True) -> str:
        # The key is hidden before anything is cut to length: half a key would not be found.
        what = one_line(key.hide(failed.what)).rstrip(" .")
        if failed.retry_after:
            what += f"; it asks to wait {_seconds(failed.retry_after)}"
        advice = (failed.advice or self.server.advice(failed.kind)) if advises else ""
        return f"{self.server.name}: {what}. {advice}".rstrip()

    async def _usage(
        self,
        reported: Usage | None,
        messages: Sequence[Message],
        options: GenerationOptions,
        text: str,
    ) -> Usage:
        """As the server reports it; what it does not report is counted approximately."""
        usage = reported or Usage()
        learns = usage.prompt_tokens > 0 and self._counter.wants_report()
        if usage.prompt_tokens and not learns and (usage.completion_tokens or not text):
            return usage
        return await anyio.to_thread.run_sync(self._counted, usage, messages, options, text)

    def _counted(
        self, usage: Usage, messages: Sequence[Message], options: GenerationOptions, text: str
    ) -> Usage:
        prompt = "\n".join([message.text for message in messages])
        if usage.prompt_tokens and all(_is_text(m) for m in messages) and not options.tools:
            self._counter.learn(prompt, usage.prompt_tokens)
        return usage.model_copy(
            update={
                "prompt_tokens": usage.prompt_tokens or self._counter.count(prompt),
                "completion_tokens": usage.completion_tokens or self._counter.count(text),
            }
        )


@dataclass(slots=True)
class _Call:
    """One call, with all its tries."""

    body: Body
    options: GenerationOptions
    deadline: float
    """In the loop's time."""
    tries: int = 0
    """Requests until now."""
    place: Place | None = None

    def leave_out(self, names: Set[str]) -> None:
        """Ask without these parameters."""
        self.body = {name: value for name, value in self.body.items() if name not in names}

    def is_over(self, state: tenacity.RetryCallState) -> bool:
        """No more tries, or no time for the pause before the next one."""
        return self.is_over_after(state.upcoming_sleep)

    def is_over_after(self, seconds: float) -> bool:
        return self.tries >= TRIES or anyio.current_time() + seconds >= self.deadline


def _seconds(seconds: float) -> str:
    return f"{math.ceil(seconds)} s" if seconds > 1 else f"{seconds:.2g} s"


def _unusable(
    text: str, heard: Sequence[Delta], reading: Reading, options: GenerationOptions
) -> TryError | None:
    """What is wrong with a reply that came to its end."""
    if any(delta.tool_call is not None for delta in heard):
        return None
    if reading.stop == "length" and not text:
        return TryError(
            "bad_reply",
            f"all {options.max_tokens} tokens that the reply may have went into thoughts",
            advice="Raise max_tokens, or take a model that thinks less.",
            verdict=True,
        )
    why = "" if options.json_schema is None else broken_rule(text, options.json_schema)
    if why and reading.stop == "length":
        why = f"it was cut off at max_tokens = {options.max_tokens}"
    if why:
        return TryError(
            "bad_reply",
            f"the reply does not hold to the schema: {why}",
            advice="Ask again, or say in the prompt what is wanted.",
            verdict=True,
        )
    return None


def _can_pass(error: BaseException) -> bool:
    """A turn that does not come in time does not come sooner when it is waited for again."""
    return isinstance(error, TryError) and error.retryable and not isinstance(error, NoTurnError)


def _is_text(message: Message) -> bool:
    """All that it holds is text, so that its text is what a server counts."""
    pictured = not isinstance(message.content, str) and any(
        isinstance(part, Image | Attachment) for part in message.content
    )
    return not (pictured or message.tool_calls)
