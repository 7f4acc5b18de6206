"""A router decides where an answer is looked for; what it does not choose is not searched."""

import pytest

from ctxeng import BackendError, ConfigError, Document, Engine, Settings
from ctxeng.engine.route import DOCUMENTS
from ctxeng.generation import ExtractiveGenerator
from ctxeng.settings import EmbeddingSettings
from ctxeng.types import Route

FAST = Settings(embedding=EmbeddingSettings(model="static"))
QUESTION = "How long is parental leave?"
NOTES = [Document(id=f"n{n}", text=f"Parental leave of kind {n} is {n} weeks.") for n in range(20)]


class Fixed:
    """Chooses what it was made with, and remembers what it was asked."""

    name = "fixed"
    sources = (DOCUMENTS, "tables")

    def __init__(self, *routes):
        self.routes = routes
        self.asked = []

    async def route(self, query):
        self.asked.append(query)
        route = self.routes[min(len(self.asked), len(self.routes)) - 1]
        if isinstance(route, Exception):
            raise route
        return route


ALL, FEW, NONE = (
    Route(sources=(DOCUMENTS,), scores={DOCUMENTS: 0.9}),
    Route(sources=(DOCUMENTS,), depth=3),
    Route(),
)


@pytest.fixture
def opened(tmp_path):
    engines = []

    def opened(router, **arguments):
        engines.append(Engine.open(":memory:", settings=FAST, router=router, **arguments))
        engines[-1].index(NOTES, wait=True)
        return engines[-1]

    yield opened
    for engine in engines:
        engine.close()


def stages(trace):
    return [facts["stage"] for facts in trace.stages]


def test_every_source_is_as_no_router(opened):
    routed, plain = (opened(router).ask(QUESTION) for router in (Fixed(ALL), None))
    assert routed.context == plain.context
    assert (routed.text, routed.notes) == (plain.text, plain.notes)


def test_the_choice_is_recorded(opened):
    router = Fixed(ALL)
    engine = opened(router)
    engine.ask(QUESTION, filter={"title": ""})
    (facts,) = [one for one in engine.trace("last").stages if one["stage"] == "route"]
    assert facts["router"] == "fixed"
    assert facts["sources"] == [DOCUMENTS]
    assert facts["scores"] == {DOCUMENTS: 0.9}
    (query,) = router.asked
    assert (query.text, query.filter) == (QUESTION, {"title": ("",)})


def test_depth_is_the_number_of_candidates(opened):
    engine = opened(Fixed(FEW, ALL))
    few, all_ = engine.ask(QUESTION), engine.ask(QUESTION)
    assert [len(engine.trace(a.trace_id).candidates) for a in (few, all_)] == [3, 20]
    assert few.found


def test_where_none_is_chosen_nothing_is_searched_and_no_model_is_asked(opened):
    class Silent(ExtractiveGenerator):
        name = "silent"

        async def stream(self, messages, options):
            raise AssertionError("it was asked")
            yield

    engine = opened(Fixed(NONE), generator=Silent(lambda _: 1.0))
    answers = [engine.ask(f"{QUESTION} Quetzalcoatl?"), engine.chat("a").say(QUESTION)]
    for answer in answers:
        assert (answer.found, answer.context.sources) == (False, ())
        assert "Quetzalcoatl" not in answer.text  # nobody looked whether a source has the word
        assert answer.notes == ("No source was asked: router 'fixed' chose none.",)
        trace = engine.trace(answer.trace_id)
        assert not {"retrieve", "generate"} & {*stages(trace)}
        assert (trace.candidates, trace.error) == ((), "")
    assert engine.context(QUESTION).sources == ()


def test_searching_is_not_routed(opened):
    router = Fixed(NONE)
    assert len(opened(router).search(QUESTION, limit=5)) == 5
    assert router.asked == []


def test_where_the_router_fails_every_source_is_asked(opened):
    answer = opened(Fixed(BackendError("gone", kind="unavailable"))).ask(QUESTION)
    assert answer.found
    assert answer.notes == ("The router failed, and every source was asked: gone",)


def test_a_source_that_there_is_not_is_an_error_that_names_those_there_are(opened):
    engine = opened(Fixed(Route(sources=("tables",))))
    with pytest.raises(ConfigError, match="'fixed' chose tables; the sources here are documents"):
        engine.ask(QUESTION)
    assert "chose tables" in engine.trace("last").error


def test_another_route_is_a_cause_of_another_prompt(opened):
    engine = opened(Fixed(ALL, FEW, NONE))
    for _ in range(3):
        engine.context(QUESTION)
    few = engine.diff("last-2", "last-1")
    assert (few[0].cause, few[0].text) == ("router", "route: documents → documents, 3 candidates")
    assert {one.cause for one in few} == {"router"}
    none = engine.diff("last-1", "last")
    assert none[0].text == "route: documents, 3 candidates → no source"
    assert {(one.cause, one.after is None) for one in none[1:]} == {("router", True)}
    assert engine.diff("last", "last") == []
