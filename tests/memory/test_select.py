"""Which notes are kept when not all can be."""

from hypothesis import given
from hypothesis import strategies as st

from ctxeng.memory import RuleDistiller
from ctxeng.memory.select import Choice, Noted
from ctxeng.text.tokens import PackagedTokenCounter

COUNTER = PackagedTokenCounter()
lines = st.sampled_from(
    [
        "Pump 4 runs at 2,950 rpm.",
        "We decided to use PostgreSQL 16.",
        "The sky is grey.",
        '{"id": 4711, "name": "Ana"}',
        "INC-48211 is open.",
        "Maria Okonkwo must sign it.",
    ]
)


def choose(sources, *, room):
    return Choice(sources, COUNTER).within(room)


def distilled(text):
    return RuleDistiller().distill(text)


def texts(chosen):
    return [one.text for one in chosen]


@given(st.lists(st.lists(lines, max_size=8).map("\n".join), max_size=4), st.integers(0, 150))
def test_the_chosen_fit_are_in_order_and_are_kept_once(given_texts, room):
    sources = [Noted(distilled(text), header=7) for text in given_texts]
    chosen = choose(sources, room=room)
    cost = sum(7 * bool(some) + sum(COUNTER.count(n.text) + 2 for n in some) for some in chosen)
    assert cost <= room
    assert len(chosen) == len(sources)
    for source, some in zip(sources, chosen, strict=True):
        given_texts = texts(source.notes)
        places = [given_texts.index(one.text) for one in some]
        assert places == sorted(places)
    everything = [text for some in chosen for text in texts(some)]
    assert len(everything) == len(set(everything))
    assert choose(sources, room=room) == chosen


def test_what_is_said_once_goes_before_what_hundreds_of_lines_say():
    log = [f"2026-03-14T02:{i % 60:02d}:09Z INFO job {i} took {i * 7 % 900} ms" for i in range(300)]
    log.insert(150, "2026-03-14T02:30:09Z INFO note: the vault is looked after by Ilse Vandermeer")
    (chosen,) = choose([Noted(distilled("\n".join(log)))], room=40)
    assert "INFO note: the vault is looked after by Ilse Vandermeer" in texts(chosen)


def test_a_second_line_that_states_the_same_makes_way_for_another():
    text = "The port is 8443.\nYes, the port is 8443 too.\nThe code is 917."
    (chosen,) = choose([Noted(distilled(text))], room=24)
    assert texts(chosen) == ["The port is 8443.", "The code is 917."]


def test_a_hint_that_most_lines_have_tells_nothing():
    many = "\n".join(f"The {word} always turns." for word in map(chr, range(97, 123))) * 3
    text = f"{many}\nWe decided that the vault stays shut."
    (chosen,) = choose([Noted(distilled(text))], room=12)
    assert texts(chosen) == ["We decided that the vault stays shut."]


def test_thousands_of_notes_fill_the_room():
    text = "\n".join(f"Item {i} has the serial SN-{i * 7919} and costs {i}." for i in range(9_000))
    (chosen,) = choose([Noted(distilled(text))], room=500)
    assert 10 < len(chosen) < 40


def test_a_line_of_hundreds_is_worth_no_more_when_the_others_are_gone():
    log = "\n".join(f"INFO job={i} took={i * 7 % 900}" for i in range(300))
    (few,) = choose([Noted(distilled(log))], room=40)
    assert few
    facts = "\n".join(f"The serial of pump {n} is SN-{n * 7_919}." for n in range(3))
    kept, (*others,) = choose([Noted(few), Noted(distilled(facts))], room=60)
    assert len(others) == 3
    assert len(kept) < len(few)
