"""Each cause is brought about in a real workspace, and named."""

import pytest

from ctxeng import BackendError, Document, Engine, Settings, WorkspaceError
from ctxeng.generation import ExtractiveGenerator
from ctxeng.replay import diff
from ctxeng.settings import ContextSettings, EmbeddingSettings, RetrievalSettings
from ctxeng.text.tokens import PackagedTokenCounter

QUESTION = "How long is parental leave?"


def opened(folder=":memory:", **rooms):
    return Engine.open(
        folder, settings=Settings(**{"embedding": EmbeddingSettings(model="static"), **rooms})
    )


def document(name, text):
    return Document(id=name, text=text, title=name)


LEAVE = document("leave", "Parental leave is 20 weeks, fully paid. It begins on any day.")
MORE = document("more", "Parental leave may be split. Ask the office for the form of leave.")
DESKS = document("desks", "Desks are shared in Berlin. A desk is booked a week before.")
KINDS = [f"Leave of kind {n} is {n} weeks long for every parent in city {n}." for n in range(40)]
LONG = document("long", "\n\n".join(KINDS))


def causes(found):
    return {(one.cause, one.what) for one in found}


def runs(engine, *, before, after):
    """What two calls differ in, with what changes between them."""
    first = before(engine)
    second = after(engine)
    del first, second
    new, old = engine.traces(limit=2)
    return engine.diff(old.id, new.id)


def context(**arguments):
    return lambda engine: engine.context(arguments.pop("query", QUESTION), **arguments)


def after_that(change, **arguments):
    def run(engine):
        change(engine)
        return engine.context(QUESTION, **arguments)

    return run


def test_nothing_differs_between_a_run_and_its_twin():
    with opened() as engine:
        engine.index([LEAVE, DESKS])
        engine.context(QUESTION)
        engine.ask(QUESTION)
        ask, made = engine.traces()
        assert engine.diff(made.id, made.id) == engine.diff(made.id, ask.id) == []


def test_another_question():
    with opened() as engine:
        engine.index([LEAVE, DESKS])
        found = runs(
            engine, before=context(), after=lambda one: one.context("Where are desks shared?")
        )
    (first, *rest) = found
    assert (first.cause, first.before, first.after) == (
        "query",
        QUESTION,
        "Where are desks shared?",
    )
    assert causes(rest) == {("ranking", "leave"), ("ranking", "desks")}


def test_an_argument():
    with opened() as engine:
        engine.index([LEAVE, DESKS])
        found = runs(
            engine, before=context(), after=context(filter={"title": "leave"}, mode="lexical")
        )
    assert {("setting", "filter"), ("setting", "mode")} <= causes(found)
    assert ("query", "query") not in causes(found)


def test_a_setting(tmp_path):
    with opened(tmp_path) as engine:
        engine.index([LEAVE, MORE, DESKS], wait=True)
        engine.context(QUESTION)
    with opened(tmp_path, retrieval=RetrievalSettings(dense_weight=0.9)) as engine:
        engine.context(QUESTION)
        new, old = engine.traces()
        found = engine.diff(old.id, new.id)
    named = {one.what: one for one in found if one.cause == "setting"}
    assert named.keys() == {"retrieval.dense_weight"}
    assert (named["retrieval.dense_weight"].before, named["retrieval.dense_weight"].after) == (
        None,
        0.9,
    )


def test_another_model():
    class Other(ExtractiveGenerator):
        name = "other"

    with opened() as engine:
        engine.index([LEAVE, DESKS])
        engine.ask(QUESTION)
        counter = PackagedTokenCounter()
        engine._parts.generators["other"] = Other(lambda _: 1.0)
        engine._parts.generators["other"].counter = _Twice(counter)
        engine.ask(QUESTION, model="other")
        new, old = engine.traces()
        found = engine.diff(old.id, new.id)
    assert ("version", "tokenizer") in causes(found)
    (model,) = [one for one in found if one.cause == "model"]
    assert (model.before, model.after) == ("extractive", "other")


class _Twice:
    """Another tokenizer: of a question that fits the budget as before, another count."""

    name = "twice"

    def __init__(self, inner):
        self._inner = inner

    def count(self, text):
        return 2 * self._inner.count(text)


def test_a_document_that_was_changed():
    changed = document("leave", "Parental leave is 30 weeks, fully paid. It begins on any day.")
    with opened() as engine:
        engine.index([LEAVE, DESKS])
        found = runs(
            engine, before=context(), after=after_that(lambda one: one.index([changed], wait=True))
        )
    (one,) = [one for one in found if one.what == "leave"]
    assert one.cause == "document"
    assert one.why.startswith("it was changed from '20' to '30'; rank 1")


def test_a_document_that_was_removed():
    with opened() as engine:
        engine.index([LEAVE, MORE, DESKS])
        found = runs(engine, before=context(), after=after_that(lambda one: one.remove("leave")))
    (one,) = [one for one in found if one.what == "leave"]
    assert one.cause == "document"
    assert one.why.startswith("it was removed; rank ")
    assert one.after is None


def test_a_document_that_was_added():
    with opened() as engine:
        engine.index([LEAVE, DESKS])
        found = runs(
            engine, before=context(), after=after_that(lambda one: one.index([MORE], wait=True))
        )
    (one,) = [one for one in found if one.what == "more"]
    assert (one.cause, one.before) == ("document", None)
    assert one.why.startswith("it was added or changed; no candidate → rank ")


def test_without_the_log_of_changes_what_came_has_a_rank_now():
    """Two traces alone: a record knows the candidates of its own run."""
    with opened() as engine:
        engine.index([LEAVE, DESKS])
        engine.context(QUESTION)
        engine.index([MORE], wait=True)
        engine.context(QUESTION)
        new, old = (engine.trace(run.id) for run in engine.traces())
    (one,) = [one for one in diff(old, new) if one.what == "more"]
    assert (one.cause, one.before) == ("ranking", None)
    assert one.after["rank"] == 1 or one.after["rank"] == 2


def test_a_rank_that_moved():
    """Better documents come in: what stood first is now dropped, or keeps less."""
    better = [
        document(f"better{n}", f"How long is parental leave? Parental leave is {n} weeks long.")
        for n in range(20)
    ]
    with opened() as engine:
        engine.index([LEAVE, DESKS])
        found = runs(
            engine,
            before=context(budget=200),
            after=after_that(lambda one: one.index(better, wait=True), budget=200),
        )
    (one,) = [one for one in found if one.what == "leave"]
    assert one.cause == "ranking"
    assert one.before["rank"] == 1
    assert one.after["rank"] > 10
    assert one.before["score"] != one.after["score"]
    assert "20 other documents passed it" in one.why


def test_where_only_others_went_nothing_moved():
    """What a removed document leaves is room: the ranks of the rest are as they were."""
    others = [document(f"other{n}", "\n\n".join(KINDS[4 * n : 4 * n + 4])) for n in range(9)]
    with opened() as engine:
        engine.index([document("first", f"{QUESTION} {MORE.text}"), *others])
        found = runs(
            engine,
            before=context(budget=300),
            after=after_that(lambda one: one.remove("first"), budget=300),
        )
    rest = [one for one in found if one.what != "first"]
    assert {one.cause for one in rest} == {"budget"}
    assert all(one.before["rank"] > one.after["rank"] for one in rest)
    assert any("others leave it more room" in one.why for one in rest)


def test_a_smaller_budget():
    with opened() as engine:
        engine.index([LEAVE, LONG, MORE])
        found = runs(engine, before=context(budget=2_000), after=context(budget=120))
    assert ("setting", "budget") in causes(found)
    pressed = [one for one in found if one.cause == "budget"]
    assert {one.what for one in pressed} >= {"long"}
    (long,) = [one for one in pressed if one.what == "long"]
    assert long.why.startswith("the budget is smaller; rank 1")
    assert long.after["tokens"] < long.before["tokens"]
    assert {one.cause for one in found} == {"setting", "budget"}


def test_the_setting_of_the_budget(tmp_path):
    with opened(tmp_path) as engine:
        engine.index([LEAVE, LONG], wait=True)
        engine.context(QUESTION)
    with opened(tmp_path, context=ContextSettings(budget=150)) as engine:
        engine.context(QUESTION)
        found = engine.diff(engine.traces()[1].id, "last")
    assert causes(found) >= {
        ("setting", "budget"),
        ("setting", "context.budget"),
        ("budget", "long"),
    }


def test_what_was_set_otherwise_and_changed_nothing_is_told_all_the_same():
    with opened() as engine:
        engine.index([LEAVE, DESKS])
        found = runs(
            engine,
            before=context(filter={"title": ["leave"]}),
            after=context(filter={"title": ["leave", "unknown"]}),
        )
        new, old = (engine.trace(run.id) for run in engine.traces())
    assert causes(found) == {("setting", "filter")}
    assert new.prompt == old.prompt


def test_a_run_without_a_prompt_cannot_be_compared():
    with opened() as engine:
        engine.index([LEAVE])
        engine.context(QUESTION)
        with pytest.raises(Exception, match="budget"):
            engine.context(QUESTION, budget=2)
        with pytest.raises(WorkspaceError, match="built no prompt"):
            engine.diff(engine.traces()[1].id, "last")


def test_errors_of_models_do_not_hide_the_prompt():
    class Broken(ExtractiveGenerator):
        async def stream(self, messages, options):
            raise BackendError("gone", kind="unavailable")
            yield

    with opened() as engine:
        engine.index([LEAVE])
        engine.context(QUESTION)
        engine._parts.generators["broken"] = Broken(lambda _: 1.0)
        with pytest.raises(BackendError):
            engine.ask(QUESTION, model="broken")
        assert engine.diff(engine.traces()[1].id, "last") == []
