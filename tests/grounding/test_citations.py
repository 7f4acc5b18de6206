from hypothesis import given, settings
from hypothesis import strategies as st

from ctxeng.grounding import cite
from ctxeng.types import Segment, Source, Span

TEXT = "Intro line.\nRent is due on day 3. Late rent costs 20 euros.\n\nPets are welcome."


def segment(text=TEXT, number=1, start=100, line=7):
    return Segment(
        text=text,
        section="sources",
        role="user",
        tokens=0,
        trust="document",
        reason="",
        number=number,
        source=Source(
            uri="rent.md",
            document_id="r",
            span=Span(start=start, end=start + len(text)),
            line=line,
        ),
    )


def one(term):
    return 1.0


def test_a_claim_points_at_the_exact_sentence_it_cites():
    claims, citations = cite("Late rent costs 20 euros [1].", [segment()], one)
    (claim,) = claims
    place = claim.sources[0]
    assert TEXT[place.span.start - 100 : place.span.end - 100] == "Late rent costs 20 euros."
    assert place.line == 8
    assert claim.support == 1.0
    assert citations[0].quote == "Late rent costs 20 euros."


def test_a_claim_that_its_source_does_not_hold_has_no_support():
    (claim,), _ = cite("Bicycles are forbidden upstairs [1].", [segment()], one)
    assert claim.support == 0.0


def test_a_marker_without_a_source_is_kept_and_cites_nothing():
    (claim,), citations = cite("Rent is due [9].", [segment()], one)
    assert claim.numbers == (9,)
    assert claim.sources == ()
    assert citations == ()


def test_claims_cover_the_answer_in_order_with_exact_spans():
    text = "Rent is due on day 3 [1]. Pets are welcome [1]."
    claims, _ = cite(text, [segment()], one)
    assert [text[c.span.start : c.span.end] for c in claims] == [c.text for c in claims]
    assert [c.numbers for c in claims] == [(1,), (1,)]


def test_a_fenced_block_is_one_claim_with_its_marker():
    code = "x = 1\ny = 2"
    source = segment(code).source.model_copy(update={"format": "code"})
    (claim,), _ = cite(
        "```\nx = 1\ny = 2\n``` [1]", [segment(code).model_copy(update={"source": source})], one
    )
    assert claim.numbers == (1,)
    assert claim.support == 1.0


def test_of_two_places_that_hold_a_claim_the_one_that_says_least_else_is_cited():
    text = "Pets are welcome at the office on Fridays, in the hall. Pets are welcome."
    (claim,), _ = cite("Pets are welcome [1].", [segment(text)], one)
    place = claim.sources[0]
    assert text[place.span.start - 100 : place.span.end - 100] == "Pets are welcome."


def test_a_row_is_cited_as_it_stands_in_its_table():
    text = "| city | fee |\n|---|---|\n| Porto | 5 EUR |\n| Bonn | 6 EUR |"
    (claim,), (citation,) = cite("city: Bonn | fee: 6 EUR [1]", [segment(text)], one)
    assert claim.support == 1.0
    assert citation.quote == "| Bonn | 6 EUR |"


def test_an_answer_without_markers_or_without_text_cites_nothing():
    assert cite("", [segment()], one) == ((), ())
    (claim,), citations = cite("Rent is due on day 3.", [segment()], one)
    assert citations == ()
    assert claim.support == 0.0


def test_a_context_without_sources_supports_nothing():
    (claim,), citations = cite("Rent is due on day 3 [1].", [], one)
    assert claim.numbers == (1,)
    assert citations == ()


SENTENCES = [
    "Rent is due on day 3.",
    "Late rent costs 20 euros.",
    "范廷颂于1963年被任为主教。",
    "## Pets",
    "- Pets are welcome, e.g. cats.",
    "| city | fee |",
    "|---|---|",
    "| Porto | 5 |",
    "```",
    "x = due(rent)",
    "Is it late?",
    "",
]


@settings(deadline=None, max_examples=150)
@given(
    texts=st.lists(
        st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=9).map("\n".join),
        min_size=1,
        max_size=3,
    ),
    answer=st.lists(
        st.sampled_from([*SENTENCES, "Rent [1].", "Pets [2] [3].", "5 [1]", "x [99].", "[1]"]),
        max_size=6,
    ).map("\n".join),
    text_format=st.sampled_from(["plain", "markdown", "code", "table"]),
)
def test_every_citation_is_the_text_at_its_span(texts, answer, text_format):
    segments, starts, start = [], {}, 0
    for number, text in enumerate(texts, start=1):
        made = segment(text, number=number, start=start, line=1)
        source = made.source.model_copy(update={"format": text_format, "document_id": f"{number}"})
        segments.append(made.model_copy(update={"source": source}))
        starts[number] = start
        start += 1000
    claims, citations = cite(answer, segments, one)
    assert [answer[c.span.start : c.span.end] for c in claims] == [c.text for c in claims]
    for citation in citations:
        text, offset = texts[citation.number - 1], starts[citation.number]
        span = citation.source.span
        assert text[span.start - offset : span.end - offset] == citation.quote
        assert citation.source.line == 1 + text[: span.start - offset].count("\n")
    for claim in claims:
        assert 0 <= claim.support <= 1
        known = [number for number in claim.numbers if number in starts]
        assert [source.document_id for source in claim.sources] == [f"{n}" for n in known]
    assert {c.number for c in citations} == {n for c in claims for n in c.numbers if n in starts}
