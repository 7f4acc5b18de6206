"""The next model on failure, the larger one in doubt."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.errors import BackendError
from ctxeng.generation.choice import Cascade, Fallback, agreement, calibrate, cascaded
from ctxeng.generation.decoding import last_number
from ctxeng.generation.reply import collect
from ctxeng.protocols import Delta
from ctxeng.types import DEFAULT_OPTIONS, GenerationOptions, Message, Usage
from tests.generation.scripted import Scripted

ASKED = [Message(role="user", content="?")]
DOWN = BackendError("down", kind="unavailable", retryable=True)


def reply(generator, options=DEFAULT_OPTIONS):
    async def call():
        stream = generator.stream(ASKED, options)
        return await collect(stream, options, model=generator.name)

    return anyio.run(call)


def test_the_next_one_is_asked_where_one_fails_before_it_has_said_anything():
    first, second, third = Scripted(DOWN), Scripted(["two"]), Scripted(["three"])
    assert reply(Fallback([first, second, third])).text == "two"
    assert not third.calls


def test_the_last_failure_is_the_callers():
    with pytest.raises(BackendError, match="down"):
        reply(Fallback([Scripted(DOWN), Scripted(DOWN)]))
    with pytest.raises(ValueError, match="at least one"):
        Fallback([])


def test_a_reply_that_has_begun_is_never_begun_again():
    class Breaks(Scripted):
        async def stream(self, messages, options=DEFAULT_OPTIONS):
            yield Delta(text="half")
            yield Delta(usage=Usage(), stop="interrupted", error="reset")

    second = Scripted(["two"])
    assert reply(Fallback([Breaks(), second])).text == "half"
    assert not second.calls


def test_a_spend_limit_holds_for_all():
    second = Scripted(["two"])
    with pytest.raises(BackendError, match="too dear"):
        reply(Fallback([Scripted(BackendError("too dear", kind="budget")), second]))
    assert not second.calls


@pytest.mark.parametrize(("sure", "text"), [(0.9, "small"), (0.5, "small"), (0.4, "large")])
def test_the_large_one_replies_where_the_small_one_is_not_sure_enough(sure, text):
    async def confidence(*_):
        return sure

    small, large = Scripted(["small"]), Scripted(["large"])
    cascade = Cascade(small, large, confidence=confidence, threshold=0.5)
    assert reply(cascade).text == text
    assert len(large.calls) == (text == "large")


def test_agreement_is_the_share_of_samples_that_say_the_same():
    small = Scripted(["42"], ["The 42."], ["41"], ["42"], ["40"])
    cascade = Cascade(small, Scripted(["large"]), confidence=agreement(4), threshold=0.5)
    assert reply(cascade).text == "42"
    doubtful = Scripted(["42"], ["41"], ["40"], ["39"], ["38"])
    cascade = Cascade(doubtful, Scripted(["large"]), confidence=agreement(4), threshold=0.5)
    assert reply(cascade).text == "large"


def test_agreement_compares_what_the_replies_answer():
    small = Scripted(["6 × 7 is 42"], ["7 + 7 + … = 42"])
    sure = agreement(1, normalise=last_number)
    cascade = Cascade(small, Scripted(["large"]), confidence=sure, threshold=1)
    assert reply(cascade).text == "6 × 7 is 42"
    small = Scripted(["6 × 7 is 42"], ["7 + 7 + … = 42"])
    cascade = Cascade(small, Scripted(["large"]), confidence=agreement(1), threshold=1)
    assert reply(cascade).text == "large"


def test_a_reply_that_was_sampled_is_not_asked_whether_it_agrees_with_itself():
    small = Scripted(["42"])
    cascade = Cascade(small, Scripted(["large"]), confidence=agreement(3), threshold=0.5)
    reply(cascade, GenerationOptions(seed=7, temperature=0.5))
    assert [options.seed for _, options in small.calls] == [7, 8, 9, 10]


labelled = st.lists(
    st.tuples(st.sampled_from([0.1, 0.4, 0.6, 0.9]), st.booleans(), st.booleans()),
    min_size=1,
    max_size=30,
)


@given(labelled, st.sampled_from([0.0, 0.1, 0.5]))
def test_the_threshold_saves_most_among_those_that_lose_no_more_than_allowed(rows, max_loss):
    sure, small, large = zip(*rows, strict=True)
    found = calibrate(sure, small, large, max_loss=max_loss)
    assert found.loss <= max_loss + 1e-9
    for threshold in (0.1, 0.4, 0.6, 0.9):
        right = [s if c >= threshold else b for c, s, b in rows]
        loss = (sum(large) - sum(right)) / len(rows)
        if loss <= max_loss:
            share = sum(c >= threshold for c in sure) / len(rows)
            assert share <= found.share_small + 1e-9


@given(labelled, labelled)
def test_what_a_threshold_does_elsewhere_is_measured_as_where_it_was_chosen(rows, others):
    found = calibrate(*zip(*rows, strict=True))
    assert cascaded(found.threshold, *zip(*rows, strict=True)) == found
    sure, small, large = zip(*others, strict=True)
    there = cascaded(found.threshold, sure, small, large)
    assert there.accuracy_large == sum(large) / len(large)
    assert there.share_small == sum(c >= found.threshold for c in sure) / len(sure)


def test_calibration_needs_labels():
    with pytest.raises(ValueError, match="each question"):
        calibrate([], [], [])
    with pytest.raises(ValueError, match="each question"):
        calibrate([0.1], [True], [])
