from ctxeng.grounding import Answerability, cite
from ctxeng.types import Segment, Source, Span

TEXT = "Intro line.\nRent is due on day 3. Late rent costs 20 euros.\n\nPets are welcome."


def segment(text=TEXT, number=1, start=100, line=7):
    return Segment(
        text=text,
        section="sources",
        role="user",
        tokens=0,
        trust="untrusted",
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


def test_answerability_rises_with_what_the_sources_hold():
    score = Answerability(one).score
    assert score("When is rent due?", []) == 0.0
    held = score("When is rent due?", [segment()])
    assert held > score("When is the concert of the brass band?", [segment()])
    assert 0.0 <= held <= 1.0
