"""Has the loopback server reply by what it is asked: one model for every step."""

import json

from tests.generation.server import chat, status


class Speaking:
    """Takes the place of ``Server.replies``."""

    def __init__(self, server, **said):
        self.said = {
            "situate": "It belongs to the handbook of Example Ltd, chapter zweihornig.",
            "judge": json.dumps({"supported": True, "confidence": 1}),
            "repair": "Parental leave is 20 weeks [1].",
            "rewrite": "Who approves parental leave?",
            "answer": "Parental leave is 20 weeks [1]. Martians invented it in Nebraska [1].",
            **said,
        }
        """By step: a text, a status, or a function of the request's body that gives one."""
        self._server = server
        server.reset()
        server.replies = self

    def pop(self, _):
        body = self._server.bodies[-1]
        said = self.said[step(body)]
        said = said(body) if callable(said) else said
        return status(said) if isinstance(said, int) else chat(said)

    @property
    def steps(self):
        """What was asked for, in order."""
        return [step(body) for body in self._server.bodies]


def step(body):
    first, last = (body["messages"][at]["content"] for at in (0, -1))
    if "situate the piece" in first:
        return "situate"
    if "Does the source support" in first:
        return "judge"
    if "without the conversation" in first:
        return "rewrite"
    return "repair" if "Write the whole answer again" in last else "answer"
