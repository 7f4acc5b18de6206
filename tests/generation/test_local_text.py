"""Tokens become text, and scores become tokens."""

import pytest

pytest.importorskip("torch", reason="needs the extra `local`")

import torch
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.generation.detokenize import StopStrings, TextStream
from ctxeng.generation.sampling import Sampler
from ctxeng.types import GenerationOptions
from tests.generation.tiny import make_tokenizer

SPOKEN = "Größe 日本語のテキスト 🎉👩‍👩‍👧‍👦 naïve, and  two spaces\n\tGET /x?y=1"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def stream_of(tokenizer, stops=()):
    return TextStream(lambda ids: tokenizer.decode(list(ids), skip_special_tokens=True), stops)


def say(stream, ids):
    """The pieces that come out, until it stops."""
    pieces = []
    for token in ids:
        pieces.append(stream.add(token))
        if stream.stopped:
            return pieces
    return [*pieces, stream.end()]


def test_no_piece_holds_half_a_character(tokenizer):
    ids = tokenizer.backend_tokenizer.encode(SPOKEN, add_special_tokens=False).ids
    assert len(ids) > len(SPOKEN.split())
    pieces = say(stream_of(tokenizer), ids)
    assert "".join(pieces) == SPOKEN
    assert not any("\ufffd" in piece for piece in pieces)
    assert "" in pieces  # something was held back


@given(ids=st.lists(st.integers(0, 399), max_size=60))
def test_the_pieces_of_any_tokens_are_the_text_of_all_of_them(tokenizer, ids):
    whole = tokenizer.decode(ids, skip_special_tokens=True)
    assert "".join(say(stream_of(tokenizer), ids)) == whole


@given(
    pieces=st.lists(st.text("ab.\n", max_size=4), max_size=12),
    stops=st.lists(st.text("ab.\n", min_size=1, max_size=4), max_size=3),
)
def test_text_ends_before_the_first_stop_string_wherever_it_is_cut(pieces, stops):
    filter_ = StopStrings(stops)
    said = "".join([*(filter_.add(piece) for piece in pieces), filter_.end()])
    whole = "".join(pieces)
    places = [whole.find(stop) for stop in stops if stop in whole]
    # It stops as soon as one is complete; another that began earlier may end later.
    assert said == whole[: len(said)]
    assert bool(filter_.stopped) == bool(places)
    assert not any(stop in said for stop in stops)
    if places:
        assert whole[len(said) :].startswith(filter_.stopped)
    else:
        assert said == whole


def test_a_stop_string_that_comes_in_pieces_is_never_shown(tokenizer):
    ids = tokenizer.backend_tokenizer.encode("one two STOP three", add_special_tokens=False).ids
    stream = stream_of(tokenizer, ["STOP"])
    assert "".join(say(stream, ids)) == "one two "
    assert stream.stopped == "STOP"


def test_greedy_takes_the_best_and_never_what_is_excluded():
    scores = torch.tensor([0.0, 5.0, 3.0, float("-inf")])
    assert Sampler(GenerationOptions()).choose(scores) == 1
    draws = {Sampler(GenerationOptions(temperature=50.0, seed=s)).choose(scores) for s in range(60)}
    assert draws == {0, 1, 2}


def test_a_seed_makes_the_same_draws_and_others_differ():
    scores = torch.zeros(1_000)

    def draws(seed):
        sampler = Sampler(GenerationOptions(temperature=1.0, seed=seed))
        return [sampler.choose(scores) for _ in range(8)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)
    assert draws(None) != draws(None)


def test_samples_follow_temperature_and_top_p():
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])

    def shares(**options):
        sampler = Sampler(GenerationOptions(seed=1, **options))
        drawn = torch.tensor([sampler.choose(probabilities.log()) for _ in range(4_000)])
        return torch.bincount(drawn, minlength=4) / len(drawn)

    assert torch.allclose(shares(temperature=1.0), probabilities, atol=0.03)
    nucleus = torch.tensor([0.625, 0.375, 0.0, 0.0])  # .5 and .3 are the fewest that reach .7
    assert torch.allclose(shares(temperature=1.0, top_p=0.7), nucleus, atol=0.03)
    assert shares(temperature=0.1)[0] > 0.98
    assert shares(temperature=1.0, top_p=0.01)[0] == 1


def test_no_temperature_is_too_small():
    scores = torch.tensor([1.0, 1.0001])
    assert Sampler(GenerationOptions(temperature=1e-300, seed=1)).choose(scores) == 1
