"""A call of a model on a server: tries until the first token, then deltas until the end."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence

import anyio
import tenacity
from pydantic import JsonValue

from ctxeng.errors import BackendError
from ctxeng.generation.counting import ApproximateCounter
from ctxeng.generation.faults import TryError, one_line
from ctxeng.generation.holding import broken_rule
from ctxeng.generation.http import Client, Incoming, LateError, Server, as_json, server_of
from ctxeng.generation.keys import Secret, read_key
from ctxeng.generation.reading import Reading, parse
from ctxeng.protocols import Delta
from ctxeng.settings import ModelSettings, TimeoutSettings
from ctxeng.trace import stage
from ctxeng.types import Attachment, GenerationOptions, Image, Message, Tool, Usage

TRIES = 5
LONGEST_PAUSE = 20.0
AFTER_THE_END = 5.0
"""Seconds that the counts may take to come after the reason of the end."""
DRAINING = 0.5
"""Seconds for the last bytes of a body, which let the connection serve again."""

Body = dict[str, JsonValue]
Write = Callable[[Server, Sequence[Message], GenerationOptions], Body]
Read = Callable[[Sequence[Tool]], Reading]


class Api:
    """One model on one server.

    The total time spans all tries and the whole reply. A failure before the first delta is tried
    again where it can pass, and at last raised; one after it ends the stream, and what has come
    is marked as interrupted.
    """

    def __init__(
        self, table: ModelSettings, write: Write, read: Read, *, first_pause: float
    ) -> None:
        """``write`` makes the body of a request, ``read`` reads one reply. ``first_pause``: the
        first failure is followed by a random pause of at most so many seconds, each further one
        by one that may be twice as long.
        """
        self.server = server_of(table)
        self.counter = ApproximateCounter()
        self.client = Client()
        self._write = write
        self._read = read
        self._first_pause = first_pause
        self._left_out: set[str] = set()
        """Parameters that the model has refused by name."""

    async def reply(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[Delta]:
        """Raises:
        BackendError: nothing came, or what came to its end is of no use.
        """
        began = time.perf_counter()
        deadline = anyio.current_time() + self.server.timeouts.total
        talk = await self._begin(messages, options, deadline)
        texts: list[str] = []
        called, first = False, 0.0
        try:
            while deltas := await talk.more():
                for delta in deltas:
                    first = first or time.perf_counter() - began
                    texts.append(delta.text)
                    called = called or delta.tool_call is not None
                    yield delta
            text = "".join(texts)
            failed = talk.failed or _unusable(text, called, talk.reading, options)
            if failed is not None and not (failed.verdict or text or called):
                raise self._error(failed, talk.key, text)
            usage = await self._usage(talk.reading.usage, messages, options, text)
            times = {"seconds": time.perf_counter() - began, "first_token_seconds": first}
            usage = usage.model_copy(update=times)
            if failed is not None and failed.verdict:
                raise self._error(failed, talk.key, text, usage)
            if failed is not None:
                if failed.kind in {"unavailable", "bad_reply"}:  # the place was right until then
                    failed.advice = failed.advice or "Ask again."
                error = self._said(failed, talk.key)
                yield Delta(usage=usage, stop="interrupted", error=error)
            else:
                yield Delta(usage=usage, stop=talk.reading.stop)
                await talk.drain()
        finally:
            await talk.close()

    async def _begin(
        self, messages: Sequence[Message], options: GenerationOptions, deadline: float
    ) -> _Talk:
        """A talk whose first deltas have come."""
        tries = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_can_pass),
            wait=self._pause,
            stop=tenacity.stop_after_attempt(TRIES)
            | tenacity.stop_before_delay(self.server.timeouts.total),
            sleep=anyio.sleep,
            reraise=True,
        )
        body = self._write(self.server, messages, options)
        waited, key = 0.0, Secret()
        try:
            async for attempt in tries:
                with attempt:
                    state = attempt.retry_state
                    wait, waited = state.idle_for - waited, state.idle_for
                    with stage("generate.try") as facts:
                        facts["model"], facts["try"] = self.server.name, state.attempt_number
                        facts["wait"] = round(wait, 3)
                        facts["status"], facts["error"] = None, ""
                        try:
                            key = await self._key()
                            body = {k: v for k, v in body.items() if k not in self._left_out}
                            talk = await self._open(body, options, key, deadline)
                        except TryError as error:
                            facts["status"], facts["error"] = error.status, error.kind
                            self._do_without(body, error)
                            raise
                        facts["status"] = 200
                        return talk
        except TryError as error:
            failed = error
            if tries.statistics["attempt_number"] > 1:
                failed.what += f" ({tries.statistics['attempt_number']} tries)"
        raise self._error(failed, key, "")

    async def _key(self) -> Secret:
        """Read anew for each try, so that a key that was changed is taken."""
        return await read_key(self.server.key_env, needed=self.server.needs_key)

    async def _open(
        self, body: Body, options: GenerationOptions, key: Secret, deadline: float
    ) -> _Talk:
        times = self.server.timeouts
        until = min(anyio.current_time() + times.first_token, deadline)
        try:
            response = await self.client.send(self.server, key, as_json(body), until=until)
        except LateError:
            late = _late(times, 0, anyio.current_time() >= deadline)
        else:
            talk = _Talk(Incoming(response, key), self._read(options.tools), times, deadline)
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

    def _said(self, failed: TryError, key: Secret) -> str:
        # The key is hidden before anything is cut to length: half a key would not be found.
        what = one_line(key.hide(failed.what))
        if failed.retry_after:
            what += f"; it asks to wait {failed.retry_after:g} s"
        advice = failed.advice or self.server.advice(failed.kind)
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
        learns = usage.prompt_tokens > 0 and self.counter.wants_report()
        if usage.prompt_tokens and not learns and (usage.completion_tokens or not text):
            return usage
        return await anyio.to_thread.run_sync(self._counted, usage, messages, options, text)

    def _counted(
        self, usage: Usage, messages: Sequence[Message], options: GenerationOptions, text: str
    ) -> Usage:
        prompt = "\n".join([message.text for message in messages])
        if usage.prompt_tokens and all(_is_text(m) for m in messages) and not options.tools:
            self.counter.learn(prompt, usage.prompt_tokens)
        return usage.model_copy(
            update={
                "prompt_tokens": usage.prompt_tokens or self.counter.count(prompt),
                "completion_tokens": usage.completion_tokens or self.counter.count(text),
            }
        )


class _Talk:
    """One response, read into deltas. ``failed``: why no more of them will come."""

    def __init__(
        self, incoming: Incoming, reading: Reading, times: TimeoutSettings, deadline: float
    ) -> None:
        self.incoming = incoming
        self.reading = reading
        self.over = False
        self.failed: TryError | None = None
        self._times = times
        self._deadline = deadline
        self._ready: list[Delta] = []

    @property
    def key(self) -> Secret:
        return self.incoming.key

    async def begin(self, until: float) -> None:
        """Wait for the first deltas.

        Raises:
            TryError: none came.
        """
        self._ready = await self._next(until)
        if self.failed is not None and not self._ready:
            raise self.failed

    async def more(self) -> list[Delta]:
        """The next deltas; none only where the reply is over or has failed."""
        if self._ready:
            ready, self._ready = self._ready, []
            return ready
        return await self._next(None)

    async def drain(self) -> None:
        """Take what stands behind the reply."""
        until = anyio.current_time() + DRAINING
        try:
            while await self.incoming.texts(until) is not None:
                pass  # it says nothing that is needed
        except TryError:
            pass  # the reply is whole; the connection is closed

    async def close(self) -> None:
        await self.incoming.close()

    async def _next(self, until: float | None) -> list[Delta]:
        """``until``: None: as long as a token may take after the one before."""
        deltas: list[Delta] = []
        reading = self.reading
        until = anyio.current_time() + self._times.between_tokens if until is None else until
        while not (deltas or self.over or self.failed):
            seen, stopped = reading.progress, reading.stop
            try:
                self._read(await self.incoming.texts(min(until, self._deadline)), deltas)
            except LateError:
                passed = anyio.current_time() >= self._deadline
                self.failed = _late(self._times, reading.progress, passed)
            except TryError as error:
                self.failed = error
            if reading.stop is not None:
                if self.failed is not None:
                    self.failed, self.over = None, True  # all but the counts has come
                elif stopped is None:
                    until = anyio.current_time() + min(AFTER_THE_END, self._times.between_tokens)
            elif reading.progress > seen and not deltas:
                until = anyio.current_time() + self._times.between_tokens
        return deltas

    def _read(self, texts: list[str] | None, deltas: list[Delta]) -> None:
        reading, incoming = self.reading, self.incoming
        read = reading.whole if incoming.whole else reading.event
        for text in texts or ():
            if reading.done or (incoming.ended and not incoming.whole and not _is_json(text)):
                break  # what stands behind the end; or is cut off in the midst of an event
            read(text, deltas)
        self.over = reading.done or texts is None
        if self.over and reading.stop is None:
            raise (
                TryError("bad_reply", "the reply is empty: it has no choices and no text")
                if reading.done
                else TryError(
                    "unavailable", "the connection ended before the reply did", retryable=True
                )
            )


def _late(times: TimeoutSettings, progress: int, passed: bool) -> TryError:
    """Which of the limits it was. ``passed``: the total one."""
    if passed:
        name, what = "total", f"no whole reply within {times.total:g} s"
    elif not progress:
        name, what = "first_token", f"no token within {times.first_token:g} s"
    else:
        name, what = "between_tokens", f"no further token within {times.between_tokens:g} s"
    advice = f"Is the server overloaded? Or raise timeout.{name} in the model's table."
    return TryError("timeout", what, advice=advice, retryable=True)


def _unusable(
    text: str, called: bool, reading: Reading, options: GenerationOptions
) -> TryError | None:
    """What is wrong with a reply that came to its end."""
    if called:
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
    return isinstance(error, TryError) and error.retryable


def _is_text(message: Message) -> bool:
    """All that it holds is text, so that its text is what a server counts."""
    pictured = not isinstance(message.content, str) and any(
        isinstance(part, Image | Attachment) for part in message.content
    )
    return not (pictured or message.tool_calls)


def _is_json(text: str) -> bool:
    try:
        parse(text)
    except TryError:
        return text.strip() == "[DONE]"
    return True
