"""Support told by a model over real HTTP: the contract's laws, bounds, and what it takes."""

import json
from functools import partial

import anyio
import pytest

from ctxeng.errors import BackendError
from ctxeng.generation.openai import OpenAIGenerator
from ctxeng.grounding import ModelSupport
from ctxeng.grounding.asked import AT_ONCE
from ctxeng.grounding.support import rarity
from ctxeng.settings import ModelSettings
from ctxeng.testing.verifiers import SEGMENTS, TEXTS, VERIFIER_LAWS
from tests.generation.scripted import Scripted
from tests.generation.server import chat, status

IDF = rarity(TEXTS)
SURE = json.dumps({"supported": True, "confidence": 0.9})
CITED = "The archive is closed on Mondays [2]."


class Always(list):
    """Replies that never end."""

    def pop(self, _):
        return self[0]


@pytest.fixture
def server(loopback):
    loopback.reset()
    loopback.replies = Always([chat(SURE)])
    return loopback


@pytest.fixture
def judge(server):
    table = ModelSettings(backend="openai", model="judge", base_url=server.url, timeout=10)
    return ModelSupport(OpenAIGenerator(table, first_pause=0.01), IDF)


@pytest.mark.parametrize("law", VERIFIER_LAWS, ids=lambda law: law.__name__)
def test_laws_hold_over_http(judge, law):
    law(judge)


def test_a_schema_goes_with_each_question_and_usage_is_the_sum(server, judge):
    claims = anyio.run(judge.verify, f"{CITED} Zebras sleep standing [1].", SEGMENTS)
    assert [claim.support for claim in claims] == [0.95, 0.95]
    assert {body["response_format"]["type"] for body in server.bodies} == {"json_schema"}
    assert judge.usage.prompt_tokens == 2 * 11
    assert judge.usage.completion_tokens == 2 * 7


@pytest.mark.parametrize("said", ["Yes, it is.", '{"supported": "perhaps"}', "[1]", '"', "{}"])
def test_a_reply_that_cannot_be_used_raises_and_is_never_a_score(server, judge, said):
    server.replies = Always([chat(said)])
    with pytest.raises(BackendError) as caught:
        anyio.run(judge.verify, CITED, SEGMENTS)
    assert caught.value.kind == "bad_reply"


def test_a_server_that_refuses_raises_as_it_is(server, judge):
    server.replies = Always([status(401)])
    with pytest.raises(BackendError) as caught:
        anyio.run(judge.verify, CITED, SEGMENTS)
    assert caught.value.kind == "auth"


def test_few_sentences_are_asked_about_at_once_and_stay_in_order():
    verdicts = [[json.dumps({"supported": n % 2 == 0, "confidence": 1})] for n in range(12)]
    generator = Scripted(*verdicts, pause=0.002)
    claims = anyio.run(ModelSupport(generator, IDF).verify, f"{CITED} " * 12, SEGMENTS)
    assert [claim.support for claim in claims] == [1.0, 0.0] * 6
    assert generator.most == AT_ONCE


def test_one_failure_ends_the_others():
    generator = Scripted([SURE], BackendError("down"), [SURE], pause=0.01)
    verify = partial(ModelSupport(generator, IDF).verify, f"{CITED} " * 40, SEGMENTS)
    with pytest.raises(BackendError, match="down"):
        anyio.run(verify)
    assert generator.running == 0
    assert len(generator.calls) <= 2 * AT_ONCE
