"""Messages → the text that a local model reads, by its own chat template."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ctxeng.errors import BackendError
from ctxeng.generation.loaded import encode
from ctxeng.generation.messages import with_schema
from ctxeng.generation.tool_text import TOOL_CALL, told_in_text
from ctxeng.types import Attachment, GenerationOptions, Image, Message, Tool

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Version 1. For models without a template, which are mostly not trained for chats.
FALLBACK_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'system' %}{{ message.content }}\n\n"
    "{% elif message.role == 'assistant' %}Assistant: {{ message.content }}\n"
    "{% else %}User: {{ message.content }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
FALLBACK_STOPS = ("\nUser:",)
INVISIBLE = "\u200b"

Turn = dict[str, Any]


class ChatPrompt:
    """Writes prompts for one tokenizer.

    Control tokens that stand in the texts of messages are broken up by an invisible character:
    no text can end its own message or begin another.
    """

    def __init__(self, name: str, tokenizer: PreTrainedTokenizerBase) -> None:
        self._name = name
        self._tokenizer = tokenizer
        template = tokenizer.chat_template
        if isinstance(template, dict):
            template = template.get("default")
        self._template = template or FALLBACK_TEMPLATE
        self.stops = () if template else FALLBACK_STOPS
        self._takes_tools = TOOL_CALL in self._template and "tools" in self._template
        self._control = sorted(
            {str(t) for t in tokenizer.added_tokens_decoder.values() if t.special}, key=len
        )[::-1]

    def ids(self, messages: Sequence[Message], options: GenerationOptions) -> list[int]:
        """The tokens of the prompt.

        Raises:
            BackendError: a message holds an image or a file, or the template takes no such chat.
        """
        return encode(self._tokenizer, self.text(messages, options))

    def text(self, messages: Sequence[Message], options: GenerationOptions) -> str:
        """The prompt. Raises as ``ids``."""
        if options.json_schema is not None:
            messages = with_schema(messages, options.json_schema)
        tools = options.tools if options.tool_choice != "none" else ()
        if not self._takes_tools:
            messages = told_in_text(messages, tools)
        declared = [_declared(tool) for tool in tools] if tools and self._takes_tools else None
        turns = _neighbours_joined(self._turn(message) for message in messages)
        from jinja2.exceptions import TemplateError

        try:
            return self._rendered(turns, declared)
        except TemplateError as error:
            if turns[0]["role"] != "system":
                raise self._refused(error) from error
        try:  # some templates take no system message
            return self._rendered(_system_in_first(turns), declared)
        except TemplateError as error:
            raise self._refused(error) from error

    def _rendered(self, turns: Sequence[Turn], tools: list[Any] | None) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                list(turns),
                tools=tools,
                chat_template=self._template,
                add_generation_prompt=True,
                tokenize=False,
            )
        )

    def _turn(self, message: Message) -> Turn:
        held = [p for p in message.content if isinstance(p, Image | Attachment)]
        if held:
            what = held[0].name if isinstance(held[0], Attachment) else "an image"
            raise BackendError(
                f"{self._name}: {what} ({held[0].media_type}): a local model reads text only. "
                "Leave it out, or hand in its text.",
                kind="bad_request",
            )
        turn: Turn = {"role": message.role, "content": self._plain(message.text)}
        if message.tool_calls:
            turn["tool_calls"] = [
                {"type": "function", "function": {"name": c.name, "arguments": c.arguments}}
                for c in message.tool_calls
            ]
        return turn

    def _plain(self, text: str) -> str:
        text = text.encode("utf-8", "replace").decode("utf-8")
        for token in self._control:
            if len(token) > 1 and token in text:
                text = text.replace(token, token[0] + INVISIBLE + token[1:])
        return text

    def _refused(self, error: Exception) -> BackendError:
        return BackendError(
            f"{self._name}: its chat template does not take these messages: {error}. Do user and "
            "assistant take turns, beginning with the user?",
            kind="bad_request",
        )


def _neighbours_joined(turns: Iterable[Turn]) -> list[Turn]:
    """Most templates want the roles to alternate."""
    made: list[Turn] = []
    for turn in turns:
        last = made[-1] if made else {}
        plain = "tool_calls" not in turn and "tool_calls" not in last
        if plain and last.get("role") == turn["role"] != "tool":
            last["content"] = f"{last['content']}\n\n{turn['content']}"
        else:
            made.append(turn)
    return made


def _system_in_first(turns: Sequence[Turn]) -> list[Turn]:
    system, *rest = turns
    if not rest or rest[0]["role"] != "user":
        return [{**system, "role": "user"}, *rest]
    return [{**rest[0], "content": f"{system['content']}\n\n{rest[0]['content']}"}, *rest[1:]]


def _declared(tool: Tool) -> Turn:
    told = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": told}
