"""LangChain's SummarizationMiddleware on one history. Runs in an environment of its own.

Defaults: the last 20 messages stay; of the others the last 4,000 tokens go to the model. It is told
when to begin (70 % of the window), which has no default. The model is the task's: a perfect one
that keeps every planted fact that it is handed, or one that replies with the first 4,000
characters.
"""

import json
import sys
from pathlib import Path

from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult

work = Path(sys.argv[1])
task = json.loads((work / "task.json").read_text("utf-8"))
handed, sent = [], []


def noted(prompt):
    if task["model"] == "first":
        return prompt[:4_000]
    return "\n".join(fact for fact in task["facts"] if fact in prompt) or "Nothing to note."


class Recorded(BaseChatModel):
    """The task's model; remembers what it was handed."""

    @property
    def _llm_type(self):
        return "perfect"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        prompt = "\n".join(str(message.content) for message in messages)
        handed.append(prompt)
        told = noted(prompt)
        reply = AIMessage(told)
        return ChatResult(generations=[ChatGeneration(message=reply)])


def converted(message):
    text = message["content"] or ""
    if message["role"] == "user":
        return HumanMessage(text)
    if message["role"] == "tool":
        return ToolMessage(text, tool_call_id=message["tool_call_id"])
    calls = [
        {
            "id": call["id"],
            "name": call["function"]["name"],
            "args": json.loads(call["function"]["arguments"]),
        }
        for call in message.get("tool_calls", ())
    ]
    return AIMessage(text, tool_calls=calls)


middleware = SummarizationMiddleware(Recorded(), trigger=("tokens", int(0.7 * task["window"])))


def before_model(chat):
    update = middleware.before_model({"messages": chat}, None)
    chat = update["messages"][1:] if update else chat
    sent.append([shown(message) for message in chat])
    return chat


def shown(message):
    """In the form of OpenAI's API."""
    role = {"human": "user", "ai": "assistant"}.get(message.type, message.type)
    calls = [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
        }
        for call in getattr(message, "tool_calls", ())
    ]
    return {"role": role, "content": str(message.content), "tool_calls": calls}


chat = []
for message in task["messages"]:
    if message["role"] == "system":
        continue  # an agent holds it apart
    if task["grows"] and message["role"] == "assistant":
        chat = before_model(chat)
    chat.append(converted(message))
chat = before_model(chat)
found = {
    "LangChain SummarizationMiddleware": {
        "texts": [str(message.content) for message in chat],
        "handed": handed,
        "stored": [],
        "sent": sent,
    }
}
(work / "compacted.json").write_text(json.dumps(found), "utf-8")
