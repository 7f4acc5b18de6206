import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxeng.embedding import MiniLMEmbedder, StaticEmbedder
from ctxeng.grounding.support import (
    MAX_SENTENCES,
    CombinedSupport,
    CosineSupport,
    SupportVerifier,
    TermSupport,
    rarity,
)
from ctxeng.text.details import figures, lacks_details, names
from ctxeng.text.terms import terms
from ctxeng.types import Segment, Source, Span

RENT = "Rent is due on day 3. Late rent costs 20 euros, says Ada Lovelace. Pets are welcome."
BAND = "The brass band plays on Fridays. Nobody may park in the yard."
IDF = rarity([*RENT.split(". "), *BAND.split(". "), "会议室在三楼。", "食堂在一楼。"])
SCORERS = [
    TermSupport(IDF, details=False),
    TermSupport(IDF),
    CosineSupport(StaticEmbedder()),
    CombinedSupport(IDF, StaticEmbedder()),
    CombinedSupport(IDF, MiniLMEmbedder()),
]
each_scorer = pytest.mark.parametrize("scorer", SCORERS, ids=lambda scorer: scorer.name)
texts = st.lists(
    st.sampled_from([*RENT.split(), *BAND.split(), "1,650", "会议室在三楼。", "\n\n", "?!", "The"]),
    max_size=30,
).map(" ".join)


def one(scorer, sentence, text):
    (score,) = scorer.score([(sentence, text)])
    return score


def segment(text, number=1, *, title="", headings=()):
    source = Source(
        uri=f"{number}.md",
        document_id=str(number),
        span=Span(start=10, end=10 + len(text)),
        line=5,
        title=title,
        heading_path=headings,
    )
    return Segment(text=text, section="sources", role="user", tokens=0, trust="document",
                   reason="", number=number, source=source)  # fmt: skip


def verify(answer, segments, scorer=SCORERS[1]):
    return anyio.run(SupportVerifier(scorer, IDF).verify, answer, segments)


@each_scorer
@settings(deadline=None, max_examples=25)
@given(pairs=st.lists(st.tuples(texts, texts), max_size=4))
def test_each_pair_has_a_score_in_0_to_1_whatever_the_others_are(scorer, pairs):
    scores = scorer.score(pairs)
    assert len(scores) == len(pairs)
    assert all(0 <= score <= 1 for score in scores)
    for pair, score in zip(pairs, scores, strict=True):
        assert one(scorer, *pair) == pytest.approx(score, abs=1e-5)


@each_scorer
@pytest.mark.parametrize("blank", ["", " \n\t"])
def test_what_is_blank_has_no_support_and_gives_none(scorer, blank):
    assert scorer.score([(blank, RENT), ("Rent is due.", blank), (blank, blank)]) == [0, 0, 0]


@each_scorer
def test_a_sentence_that_stands_in_the_text_has_more_support_than_one_that_does_not(scorer):
    inside, outside = scorer.score(
        [(BAND.split(". ", maxsplit=1)[0], BAND), ("Zebras sleep standing.", BAND)]
    )
    assert inside > 0.9
    assert outside < 0.5


@pytest.mark.parametrize("details", [False, True])
@settings(deadline=None, max_examples=100)
@given(sentence=texts, text=texts, more=texts)
def test_more_text_never_takes_terms_away(details, sentence, text, more):
    scorer = TermSupport(IDF, details=details)
    alone = one(scorer, sentence, text)
    assert one(scorer, sentence, f"{text}\n\n{more}") >= alone - 1e-9
    assert one(scorer, sentence, f"{more}\n\n{text}") >= alone - 1e-9


@pytest.mark.parametrize(
    ("right", "wrong", "text"),
    [
        ("会议室在三楼", "会议室在地下", "公司规定：会议室在三楼。食堂在一楼。"),
        ("会議は月曜日です", "会議は休日です", "会議は月曜日です。"),
        ("ประชุมวันจันทร์", "ประชุมวันศุกร์", "เรามีประชุมวันจันทร์ที่ชั้นสาม"),
        ("किराया तीन तारीख को देय है", "किराया माफ़ है", "किराया तीन तारीख को देय है।"),
    ],
)
@pytest.mark.parametrize("scorer", [SCORERS[1], SCORERS[3]], ids=lambda scorer: scorer.name)
def test_other_scripts_are_compared_by_their_terms(scorer, right, wrong, text):
    assert one(scorer, right, text) > 0.9
    assert one(scorer, right, text) > one(scorer, wrong, text)


def test_rare_terms_count_more_than_common_ones():
    idf = rarity(["the shop opens", "the shop closes", "the shop moves", "a zebra sleeps"])
    scorer = TermSupport(idf)
    assert one(scorer, "zebra shop", "zebra") > one(scorer, "zebra shop", "shop")


def test_what_stands_together_counts_more_than_what_stands_apart():
    near = "Ines Roth signs. The lamp is green. One. Two. Three. Four. Five."
    far = "Ines Roth signs. One. Two. Three. Four. Five. The lamp is green."
    scorer = TermSupport(IDF)
    assert one(scorer, "ines roth lamp green", near) > one(scorer, "ines roth lamp green", far)


@pytest.mark.parametrize(
    ("same", "other"),
    [
        ("Late rent costs 20 euros.", "Late rent costs 30 euros."),
        ("Late rent costs twenty euros.", "Late rent costs twelve euros."),
        ("So says Ada Lovelace of late rent.", "So says Ada Byron of late rent."),
    ],
)
def test_a_figure_or_name_that_the_text_lacks_halves_the_score(same, other):
    with_details, without = TermSupport(IDF), TermSupport(IDF, details=False)
    assert one(with_details, same, RENT) == one(without, same, RENT)
    assert one(with_details, other, RENT) == pytest.approx(one(without, other, RENT) / 2)


def test_figures_have_one_form():
    assert (
        figures("1,650.0") == figures("1650") == figures("１６５０") == figures("١٦٥٠") == {"1650"}
    )
    assert figures("twenty-one of 21") == {"21"}
    assert figures("0.50 and ,5 and 007") == {"0.5", "5", "7"}
    assert figures("1.2.30") == {"1.2.30"}
    assert figures("100") != figures("1")
    assert figures("none, someone, often") == frozenset()


def test_names_are_capitals_that_start_no_sentence():
    assert names("Yesterday Ada Lovelace met Bob. Then they left.") == set(
        terms("Ada Lovelace Bob")
    )
    assert names("all in lower case") == names("会议室") == names("") == frozenset()
    assert not lacks_details("Then he met Bob.", "bob", {"bob"})


def test_it_is_blind_to_contradictions_as_it_says():
    """The same words, the opposite meaning: no scorer here may be sold as a check of truth."""
    said, opposite = "Pets are welcome.", "Pets are not welcome."
    assert one(TermSupport(IDF), opposite, RENT) == one(TermSupport(IDF), said, RENT) > 0.9


@pytest.mark.parametrize("scorer", SCORERS[2:4], ids=lambda scorer: scorer.name)
def test_of_a_long_text_the_sentences_with_the_same_terms_are_embedded(scorer):
    filler = " ".join(f"Item {n} of the list." for n in range(3 * MAX_SENTENCES))
    sentence = "The brass band plays on Fridays."
    assert one(CosineSupport(StaticEmbedder()), sentence, f"{filler} {BAND}") > 0.99
    assert 0 <= one(scorer, sentence, filler) < 0.9


def test_a_cited_sentence_is_checked_against_what_it_cites_and_nothing_else():
    sources = [segment(RENT, 1), segment(BAND, 2)]
    right, wrong, both = verify(
        "Pets are welcome [1]. Pets are welcome [2]. Pets may not park in the yard [1][2].", sources
    )
    assert right.support > 0.9
    assert wrong.support == 0
    assert (right.numbers, wrong.numbers, both.numbers) == ((1,), (2,), (1, 2))
    assert [source.document_id for source in both.sources] == ["1", "2"]
    assert both.support > 0


def test_a_sentence_without_a_marker_is_checked_against_the_segment_with_most_of_its_terms():
    (claim,) = verify("The brass band plays.", [segment(RENT, 1), segment(BAND, 2)])
    (source,) = claim.sources
    assert claim.numbers == ()
    assert source.document_id == "2"
    assert (source.span.start, source.line) == (10, 5)
    assert BAND[source.span.start - 10 : source.span.end - 10] == "The brass band plays on Fridays."
    assert claim.support > 0.9


@pytest.mark.parametrize("answer", ["Pets are welcome [7].", "Zebras sleep standing."])
def test_what_no_segment_holds_names_none_and_has_no_support(answer):
    (claim,) = verify(answer, [segment(RENT)])
    assert claim.sources == ()
    assert claim.support == 0


def test_a_marker_is_no_figure_of_the_sentence():
    (claim,) = verify("Pets are welcome [4].", [segment(RENT, 4)])
    assert claim.support > 0.9


def test_titles_and_headings_belong_to_what_a_segment_says():
    held = segment("It is 20 weeks.", title="Parental leave", headings=("Parental leave",))
    bare = segment("It is 20 weeks.")
    sentence = "Parental leave is 20 weeks [1]."
    assert verify(sentence, [held])[0].support > verify(sentence, [bare])[0].support
    (claim,) = verify("Parental leave exists.", [held])
    assert claim.sources == (held.source,)


def test_an_answer_without_sentences_has_no_claims():
    assert verify("", [segment(RENT)]) == []
    assert verify("Pets are welcome.", [])[0].support == 0
