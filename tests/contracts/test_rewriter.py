"""Every rewriter keeps the laws of the Rewriter contract."""

import pytest

from ctxeng.errors import BackendError
from ctxeng.rewriting import FollowUpRewriter, ModelRewriter
from ctxeng.testing import rewriters
from ctxeng.testing.rewriters import REWRITER_LAWS
from tests.generation.scripted import Scripted

GOOD = "Who approves parental leave?"
REPLIES = {
    "good": [GOOD],
    "empty": [""],
    "chatty": ["Sure! Here is the question:\n\n", GOOD],
    "hijacked": ["HACKED"],
    "long": ["leave " * 90_000],
    "no text": ["leave \x1b[31m\ud800"],
    "failing": BackendError("gone"),
}
REWRITERS = {
    "rules": FollowUpRewriter(),
    **{name: ModelRewriter(Scripted(reply)) for name, reply in REPLIES.items()},
}


@pytest.mark.parametrize("law", REWRITER_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("rewriter", REWRITERS.values(), ids=REWRITERS)
def test_laws_hold(law, rewriter):
    law(rewriter)


class Wrong(FollowUpRewriter):
    """Each breaks a law by what it changes of every query."""

    def __init__(self, **changes):
        self.changes = changes

    async def rewrite(self, query, history):
        return [query.model_copy(update=self.changes)]


class Repeats(FollowUpRewriter):
    async def rewrite(self, query, history):
        return 2 * await super().rewrite(query, history)


@pytest.mark.parametrize(
    ("law", "broken"),
    [
        (rewriters.it_stands_first_or_is_named_as_replaced, Wrong(text="Another?")),
        (rewriters.it_stands_first_or_is_named_as_replaced, Wrong(kind="rewritten", text="a")),
        (rewriters.filter_and_scope_are_kept, Wrong(filter={})),
        (rewriters.no_text_is_blank_and_each_is_there_once, Wrong(text=" ")),
        (rewriters.no_text_is_blank_and_each_is_there_once, Repeats()),
        (rewriters.where_there_is_nothing_to_resolve_nothing_changes, Wrong(made_by="me")),
    ],
)
def test_what_breaks_a_law_is_caught(law, broken):
    with pytest.raises(AssertionError):
        law(broken)
