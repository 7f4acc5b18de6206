"""The laws of ``LexicalIndex``, one function each. Each takes a function that makes an empty one.

What is found is compared exactly. Scores are compared with some room, and where nothing was
deleted: until it tidies up, an engine may still count rows that are gone, and rows of its own,
when it weighs how rare a term is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import pairwise
from typing import TYPE_CHECKING

from ctxeng.protocols import Change, LexicalIndex, Match
from ctxeng.types import Query, Scope

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_EIGHT = ("amber", "birch", "cedar", "daisy", "elder", "fern", "ginger", "holly")
MakeLexicalIndex = Callable[[], LexicalIndex]

HERE, THERE = Scope(), Scope(tenant="acme")
ALL = 1_000
HARD_QUERIES: Sequence[str] = (
    "",
    " \n",
    'AND ( ^ ~ " OR NOT * : [ ] { } \\ /',
    "body:x id:* +a -b",
    "the of and",
    "\ud800",
    "\x00",
    "x" * 100_000,
    "pump " * 20_000,
    " ".join(f"w{number}" for number in range(5_000)),
)


def change(
    number: int,
    text: str | None,
    *,
    chunk_id: str = "",
    scope: Scope = HERE,
    document_id: str = "d",
    defines: Sequence[str] = (),
    **attributes: str,
) -> Change:
    """The state of the chunk of that number."""
    return Change(
        number=number,
        kind="chunk",
        id=chunk_id or f"c{number}",
        scope=scope.key,
        document_id=document_id,
        text=text,
        defines=defines,
        attributes={key: (value,) for key, value in attributes.items()},
    )


def ask(index: LexicalIndex, text: str, limit: int = ALL, scope: Scope = HERE) -> list[Match]:
    return index.search(Query(text=text, scope=scope), limit)


def found(index: LexicalIndex, text: str, scope: Scope = HERE) -> list[str]:
    return sorted(match.chunk_id for match in ask(index, text, scope=scope))


def what_shares_a_term_is_found_best_first(make: MakeLexicalIndex) -> None:
    with closing(make()) as index:
        texts = ["the pump seal", "a pump", "pump pump pump", "valve", "another valve"]
        index.apply([change(n, text) for n, text in enumerate(texts)], upto=5)
        matches = ask(index, "pump seal")
        assert matches[0].chunk_id == "c0"
        assert {match.chunk_id for match in matches} == {"c0", "c1", "c2"}
        scores = [match.score for match in matches]
        assert scores == sorted(scores, reverse=True)
        assert min(scores) > 0
        for match in matches:
            assert abs(sum(match.stages.values()) - match.score) < 1e-6


def it_knows_how_far_it_is(make: MakeLexicalIndex) -> None:
    with closing(make()) as index:
        assert index.applied == 0
        index.apply([change(7, "pump")], upto=9)
        assert index.applied == 9
        index.apply([], upto=12)
        assert index.applied == 12
        assert found(index, "pump") == ["c7"]


def applying_twice_is_applying_once(make: MakeLexicalIndex) -> None:
    from hypothesis import given, settings

    @settings(deadline=None, max_examples=6)
    @given(changes=_histories())
    def law(changes: list[Change]) -> None:
        with closing(make()) as once, closing(make()) as twice:
            present = _present(changes)
            once.apply(present, upto=99)
            twice.apply(present, upto=99)
            twice.apply(present, upto=99)
            _assert_finds(once, changes)
            _assert_finds(twice, changes)

    law()


def any_split_of_the_changes_gives_the_same_index(make: MakeLexicalIndex) -> None:
    """Also one in which later states come with earlier windows, as catching up hands them over."""
    from hypothesis import given, settings
    from hypothesis import strategies as st

    @settings(deadline=None, max_examples=8)
    @given(changes=_histories(), cuts=st.lists(st.integers(0, 30), max_size=3))
    def law(changes: list[Change], cuts: list[int]) -> None:
        borders = sorted({0, *(min(cut, len(changes)) for cut in cuts), len(changes)})
        with closing(make()) as index:
            for start, end in pairwise(borders):
                index.apply(_present(changes[start:end]), upto=end)
            _assert_finds(index, changes)

    law()


def a_split_hardly_changes_a_score(make: MakeLexicalIndex) -> None:
    """Of 200 rows in up to four windows, for terms of every eighth row: by 3 % at most."""
    from hypothesis import given, settings
    from hypothesis import strategies as st

    rows = st.lists(_texts(), min_size=8, max_size=8).map(lambda texts: texts * 25)

    @settings(deadline=None, max_examples=6)
    @given(texts=rows, cuts=st.lists(st.integers(0, 200), max_size=3))
    def law(texts: list[str], cuts: list[int]) -> None:
        changes = [change(n, f"{text} {_EIGHT[n % 8]}") for n, text in enumerate(texts)]
        with closing(make()) as whole, closing(make()) as split:
            whole.apply(changes, upto=999)
            for start, end in pairwise(sorted({0, *cuts, len(changes)})):
                split.apply(changes[start:end], upto=end)
            for word in _EIGHT:
                expected = {match.chunk_id: match.score for match in ask(whole, word)}
                scores = {match.chunk_id: match.score for match in ask(split, word)}
                assert scores.keys() == expected.keys()
                for chunk_id, score in scores.items():
                    assert abs(score - expected[chunk_id]) <= 0.03 * expected[chunk_id]

    law()


def what_it_has_not_taken_in_scores_as_it_would(make: MakeLexicalIndex) -> None:
    """Among 200 rows, within 5 %. What shares no term, or is of another scope, does not score."""
    rows = [change(n, f"pump {_EIGHT[n % 8]} of the seal") for n in range(200)]
    new = change(999, "the amber rotor of a pump", chunk_id="new", team="red")
    others = [
        change(999, "valve", chunk_id="other", team="red"),
        change(999, "amber pump", chunk_id="there", scope=THERE, team="red"),
    ]
    asked = Query(text="amber pump", filter={"team": ("red",)})
    with closing(make()) as index:
        index.apply(rows, upto=1)
        assert index.score(asked, []) == []
        (expected,) = index.score(asked, [new, *others])
        assert expected.chunk_id == "new"
        assert index.score(asked.model_copy(update={"filter": {"team": ("blue",)}}), [new]) == []
        assert index.applied == 1
        index.apply([new, *others], upto=2)
        (found,) = index.search(asked, ALL)
        assert found.chunk_id == "new"
        assert abs(found.score - expected.score) <= 0.05 * found.score


def what_is_deleted_is_never_returned(make: MakeLexicalIndex) -> None:
    with closing(make()) as index:
        index.apply([change(n, "pump seal", team="a") for n in range(5)], upto=5)
        index.apply([change(n, None) for n in range(4)], upto=9)
        assert found(index, "pump") == ["c4"]
        assert [match.chunk_id for match in ask(index, "pump", limit=1)] == ["c4"]
        index.apply([change(0, "pump once more"), change(9, None)], upto=10)
        assert found(index, "pump") == ["c0", "c4"]
        assert found(index, "seal") == ["c4"]


def what_is_replaced_is_found_by_its_new_text_only(make: MakeLexicalIndex) -> None:
    with closing(make()) as index:
        index.apply([change(1, "pump")], upto=1)
        index.apply([change(1, "valve")], upto=2)
        assert found(index, "pump") == []
        assert found(index, "valve") == ["c1"]


def no_search_crosses_its_scope(make: MakeLexicalIndex) -> None:
    """Scopes come before the limit, and each has rows of its own, also under one id."""
    with closing(make()) as index:
        index.apply(
            [change(n, "pump pump pump", scope=THERE) for n in range(20)]
            + [change(1, "pump and a lot of other words"), change(30, "valve")],
            upto=30,
        )
        assert found(index, "pump") == ["c1"]
        assert [match.chunk_id for match in ask(index, "pump", limit=1)] == ["c1"]
        assert len(found(index, "pump", THERE)) == 20
        assert found(index, "valve", THERE) == []
        assert found(index, "pump", Scope(tenant="nobody")) == []
        index.apply([change(1, None)], upto=31)
        assert found(index, "pump") == []
        assert len(found(index, "pump", THERE)) == 20
        index.apply([change(1, "valve", scope=THERE)], upto=32)
        assert len(found(index, "pump", THERE)) == 19


def filters_come_before_the_limit(make: MakeLexicalIndex) -> None:
    """Every key must match, by one of its values."""
    with closing(make()) as index:
        index.apply(
            [change(n, "pump pump", team="a", lang="en") for n in range(20)]
            + [change(20, "pump and more words", team="b", lang="en")]
            + [change(21, "pump and more words", team="b", lang="fr")],
            upto=30,
        )

        def filtered(limit: int, **where: tuple[str, ...]) -> list[str]:
            matches = index.search(Query(text="pump", filter=dict(where)), limit)
            return sorted(match.chunk_id for match in matches)

        assert filtered(1, team=("b",), lang=("fr",)) == ["c21"]
        assert filtered(ALL, team=("b",)) == ["c20", "c21"]
        assert filtered(ALL, team=("b", "a"), lang=("en",)) == sorted(f"c{n}" for n in range(21))
        assert filtered(ALL, team=("c",)) == []
        assert filtered(ALL, team=()) == []
        assert filtered(ALL, unknown=("a",)) == []
        assert filtered(ALL, team=("a\x00b", "A")) == []


def ties_come_in_fixed_order(make: MakeLexicalIndex) -> None:
    with closing(make()) as forwards, closing(make()) as backwards:
        changes = [change(n, "pump") for n in range(9)]
        forwards.apply(changes, upto=9)
        for one in reversed(changes):
            backwards.apply([one], upto=9)
        order = [match.chunk_id for match in ask(forwards, "pump")]
        assert order == [match.chunk_id for match in ask(backwards, "pump")]
        assert order == [match.chunk_id for match in ask(forwards, "pump")]


def at_most_the_limit_comes_back(make: MakeLexicalIndex) -> None:
    with closing(make()) as index:
        index.apply([change(n, "pump seal " * (n + 1)) for n in range(9)], upto=9)
        for limit in (-1, 0, 1, 5, 9, 100):
            assert len(ask(index, "pump", limit)) == min(max(limit, 0), 9)


def any_query_is_answered(make: MakeLexicalIndex) -> None:
    with closing(make()) as index:
        assert ask(index, "pump") == []  # also by an empty index
        index.apply([change(1, "pump of w7"), change(2, "valve")], upto=2)
        for query in HARD_QUERIES:
            for match in ask(index, query):
                assert match.chunk_id in {"c1", "c2"}
        assert found(index, " ".join(f"w{number}" for number in range(5_000))) == ["c1"]


def any_text_can_be_indexed(make: MakeLexicalIndex) -> None:
    from hypothesis import given, settings

    from ctxeng.testing.strategies import any_text

    @settings(deadline=None, max_examples=15)
    @given(text=any_text.map(lambda text: text.encode("utf-8", "replace").decode()))
    def law(text: str) -> None:
        with closing(make()) as index:
            index.apply([change(1, f"{text} needle")], upto=1)
            assert found(index, "needle") == ["c1"]

    law()


def _texts() -> SearchStrategy[str]:
    from hypothesis import strategies as st

    words = st.sampled_from(["pump", "seal", "valve", "the", "rotor"])
    return st.lists(words, min_size=1, max_size=8).map(" ".join)


def _histories() -> SearchStrategy[list[Change]]:
    """Changes of a few chunks, one after the other."""
    from hypothesis import strategies as st

    steps = st.tuples(st.integers(0, 5), st.one_of(st.none(), _texts(), _texts()))
    return st.lists(steps, min_size=1, max_size=12).map(
        lambda drawn: [
            change(number, text, chunk_id=f"c{chunk}")
            for number, (chunk, text) in enumerate(drawn, start=1)
        ]
    )


def _present(changes: Sequence[Change]) -> list[Change]:
    """Each chunk once, as it is after the last of them."""
    return list({change.id: change for change in changes}.values())


def _assert_finds(index: LexicalIndex, changes: Sequence[Change]) -> None:
    live = {one.id: one.text.split() for one in _present(changes) if one.text is not None}
    for word in ("pump", "seal", "valve", "rotor"):
        assert found(index, word) == sorted(key for key, text in live.items() if word in text)


LEXICAL_INDEX_LAWS: Sequence[Callable[[MakeLexicalIndex], None]] = (
    what_shares_a_term_is_found_best_first,
    it_knows_how_far_it_is,
    applying_twice_is_applying_once,
    any_split_of_the_changes_gives_the_same_index,
    a_split_hardly_changes_a_score,
    what_it_has_not_taken_in_scores_as_it_would,
    what_is_deleted_is_never_returned,
    what_is_replaced_is_found_by_its_new_text_only,
    no_search_crosses_its_scope,
    filters_come_before_the_limit,
    ties_come_in_fixed_order,
    at_most_the_limit_comes_back,
    any_query_is_answered,
    any_text_can_be_indexed,
)
