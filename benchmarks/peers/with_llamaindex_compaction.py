"""LlamaIndex's memories on one history. Runs in an environment of its own.

``Memory`` has no memory blocks by default; what leaves its queue stays in its SQL store.
``ChatSummaryMemoryBuffer`` gets the task's model: a perfect one that keeps every planted fact that
it is handed, or one that replies with the first 4,000 characters. Their one limit is what the
others compact down to (at once), or what they begin at (as the history grows).
"""

import json
import sys
from pathlib import Path

from llama_index.core.llms import ChatMessage, CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.memory import ChatMemoryBuffer, ChatSummaryMemoryBuffer, Memory

work = Path(sys.argv[1])
task = json.loads((work / "task.json").read_text("utf-8"))
limit = int((0.7 if task["grows"] else 0.4) * task["window"])
handed = []


def noted(prompt):
    if task["model"] == "first":
        return prompt[:4_000]
    return "\n".join(fact for fact in task["facts"] if fact in prompt) or "Nothing to note."


class Recorded(CustomLLM):
    """The task's model; remembers what it was handed."""

    @property
    def metadata(self):
        return LLMMetadata(context_window=task["window"])

    def complete(self, prompt, formatted=False, **kwargs):
        handed.append(prompt)
        told = noted(prompt)
        return CompletionResponse(text=told)

    def stream_complete(self, prompt, formatted=False, **kwargs):
        yield self.complete(prompt)


def converted(message):
    more = {k: message[k] for k in ("tool_calls", "tool_call_id") if k in message}
    return ChatMessage(
        role=message["role"], content=message["content"] or "", additional_kwargs=more
    )


def shown(message):
    """In the form of OpenAI's API."""
    calls = message.additional_kwargs.get("tool_calls", [])
    return {"role": message.role.value, "content": message.content or "", "tool_calls": calls}


def run(memory):
    sent = []
    for message in task["messages"]:
        if message["role"] == "system":
            continue  # an agent holds it apart
        if task["grows"] and message["role"] == "assistant":
            sent.append([shown(message) for message in memory.get()])
        memory.put(converted(message))
    sent.append([shown(message) for message in memory.get()])
    return {"texts": [message["content"] for message in sent[-1]], "sent": sent}


memory = Memory.from_defaults(token_limit=limit)
buffer = ChatMemoryBuffer.from_defaults(token_limit=limit)
summary = ChatSummaryMemoryBuffer.from_defaults(token_limit=limit, llm=Recorded())
found = {
    "LlamaIndex Memory": {**run(memory), "handed": []},
    "LlamaIndex ChatMemoryBuffer": {**run(buffer), "handed": []},
    "LlamaIndex ChatSummaryMemoryBuffer": {**run(summary), "handed": handed},
}
stored = [message.content or "" for message in memory.get_all()]
found["LlamaIndex Memory"]["stored"] = stored
found["LlamaIndex ChatMemoryBuffer"]["stored"] = [m.content or "" for m in buffer.get_all()]
found["LlamaIndex ChatSummaryMemoryBuffer"]["stored"] = []
(work / "compacted.json").write_text(json.dumps(found), "utf-8")
