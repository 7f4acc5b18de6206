"""What LangChain's ``trim_messages`` keeps of growing chats. Runs in LangChain's own environment.

In: ``chats.json``, a list of {"messages": [{"role", "content", …}], "tokens": [a count for each],
"limit"}. Out: ``kept.json``, for each the numbers of the messages that are kept.
"""

import json
import sys
from pathlib import Path

from langchain_core.messages import convert_to_messages, trim_messages

work = Path(sys.argv[1])
kept = []
for chat in json.loads((work / "chats.json").read_text("utf-8")):
    counts = dict(enumerate(chat["tokens"]))
    messages = convert_to_messages(chat["messages"])
    for number, message in enumerate(messages):
        message.id = str(number)
    trimmed = trim_messages(
        messages,
        max_tokens=chat["limit"],
        token_counter=lambda some, counts=counts: sum(counts[int(m.id)] for m in some),
        strategy="last",
        start_on="human",
        include_system=True,
    )
    kept.append([int(message.id) for message in trimmed])
(work / "kept.json").write_text(json.dumps(kept), "utf-8")
