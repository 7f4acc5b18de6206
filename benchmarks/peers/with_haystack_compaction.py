"""Haystack's CompactionHook with each of its compactors on one history, at their defaults. Runs in
an environment of its own.

It begins at 70 % of the window and goes down to 40 % by default. The model is the task's: a perfect
one that keeps every planted fact that it is handed, or one that replies with the first 4,000
characters.
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path

from haystack.components.agents import State
from haystack.dataclasses import ChatMessage, ToolCall
from haystack.hooks.compaction import (
    CompactionHook,
    SlidingWindowCompactor,
    SummarizationCompactor,
    ToolResultOffloadCompactor,
    ToolResultPruningCompactor,
)
from haystack.hooks.tool_result_offloading import FileSystemToolResultStore

warnings.simplefilter("ignore")
work = Path(sys.argv[1])
task = json.loads((work / "task.json").read_text("utf-8"))


def noted(prompt):
    if task["model"] == "first":
        return prompt[:4_000]
    return "\n".join(fact for fact in task["facts"] if fact in prompt) or "Nothing to note."


class Recorded:
    """The task's model; remembers what it was handed."""

    def __init__(self):
        self.handed = []

    def run(self, messages, **kwargs):
        prompt = "\n".join(whole(message) for message in messages)
        self.handed.append(prompt)
        told = noted(prompt)
        return {"replies": [ChatMessage.from_assistant(told)]}


def whole(message):
    results = [str(result.result) for result in message.tool_call_results]
    return "\n".join([*message.texts, *results])


calls = {}


def converted(message):
    text = message["content"] or ""
    if message["role"] == "user":
        return ChatMessage.from_user(text)
    if message["role"] == "system":
        return ChatMessage.from_system(text)
    if message["role"] == "tool":
        return ChatMessage.from_tool(text, origin=calls[message["tool_call_id"]])
    made = [
        ToolCall(
            id=call["id"],
            tool_name=call["function"]["name"],
            arguments=json.loads(call["function"]["arguments"]),
        )
        for call in message.get("tool_calls", ())
    ]
    calls.update((call.id, call) for call in made)
    return ChatMessage.from_assistant(text, tool_calls=made)


def shown(message):
    """In the form of OpenAI's API."""
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.tool_name, "arguments": json.dumps(call.arguments)},
        }
        for call in message.tool_calls
    ]
    return {"role": message.role.value, "content": whole(message), "tool_calls": calls}


def run(compactor):
    sent = []
    hook = CompactionHook(compactor, context_window=task["window"])
    state = State(schema={"messages": {"type": list[ChatMessage]}}, data={"messages": []})
    for message in task["messages"]:
        if task["grows"] and message["role"] == "assistant":
            hook.run(state)
            sent.append([shown(message) for message in state.data["messages"]])
        state.data["messages"] = [*state.data["messages"], converted(message)]
    hook.run(state)
    sent.append([shown(message) for message in state.data["messages"]])
    return {"texts": [message["content"] for message in sent[-1]], "sent": sent}


model, found = Recorded(), {}
with tempfile.TemporaryDirectory() as folder:
    store = FileSystemToolResultStore(folder)
    for name, compactor in (
        ("SlidingWindowCompactor", SlidingWindowCompactor()),
        ("SummarizationCompactor", SummarizationCompactor(model)),
        ("ToolResultPruningCompactor", ToolResultPruningCompactor()),
        (
            "ToolResultOffloadCompactor",
            ToolResultOffloadCompactor(store),
        ),
    ):
        left = run(compactor)
        handed = model.handed if name == "SummarizationCompactor" else []
        found[f"Haystack {name}"] = {**left, "handed": handed, "stored": []}
    stored = [path.read_text("utf-8") for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    found["Haystack ToolResultOffloadCompactor"]["stored"] = stored
(work / "compacted.json").write_text(json.dumps(found), "utf-8")
