"""What is left out of a prompt, what stays, and what is said about it."""

import ast
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ctxeng
from ctxeng import BudgetError, ConfigError
from ctxeng.context.compress import SentenceCompressor
from ctxeng.embedding import StaticEmbedder
from ctxeng.grounding import cite
from ctxeng.grounding.support import to_check
from ctxeng.testing.compressors import CODE, MARKDOWN, PROSE, SEGMENTS, TABLE
from ctxeng.testing.strategies import any_text, code, markdown, prose, tables
from ctxeng.text.tokens import PackagedTokenCounter
from ctxeng.trace import Recorder, recording
from ctxeng.types import Segment, Source, Span

COUNTER = PackagedTokenCounter()
TEXTS = {"plain": prose, "markdown": markdown, "code": code, "table": tables}


def segment(text, text_format="plain", uri="notes.md", start=5, **changes):
    where = Source(
        uri=uri, document_id=uri, span=Span(start=start, end=start + len(text)), format=text_format
    )
    values = {
        "text": text,
        "section": "sources",
        "role": "user",
        "tokens": COUNTER.count(text),
        "trust": "document",
        "reason": "rank 1",
        "source": where,
    }
    return Segment(**{**values, **changes})


@st.composite
def segments(draw):
    found = []
    for number in range(draw(st.integers(0, 3))):
        text_format = draw(st.sampled_from(list(TEXTS)))
        text = draw(st.one_of(TEXTS[text_format], any_text))
        uri = f"{number}{draw(st.sampled_from(['.py', '.java', '.md', '']))}"
        start = draw(st.sampled_from([0, 5]))
        text = text.encode("utf-8", "replace").decode()
        found.append(segment(text, text_format, uri, start))
    return found


@settings(deadline=None, max_examples=120)
@given(found=segments(), query=any_text, tokens=st.integers(0, 400))
def test_kept_and_left_out_together_are_the_text_and_keep_the_limit(found, query, tokens):
    made = SentenceCompressor(COUNTER).report(query, found, tokens)
    assert made.tokens == COUNTER.count("".join(one.text for one in made.segments)) <= tokens
    assert sum(one.tokens for one in made.segments) <= tokens
    for whole in found:
        uri, offset = whole.source.uri, whole.source.span.start
        kept = [one.source.span for one in made.segments if one.source.uri == uri]
        out = [row.source.span for row in made.dropped if row.source.uri == uri]
        spans = sorted([*kept, *out], key=lambda span: (span.start, span.end))
        at = offset
        for span in spans:
            assert span.start == at
            at = span.end
        assert at == offset + len(whole.text)
    for one in made.segments:
        (whole,) = (each for each in found if each.source.uri == one.source.uri)
        at = one.source.span.start - whole.source.span.start
        assert whole.text[at : at + len(one.text)] == one.text


def test_what_answers_stays_and_the_rest_says_why_it_went():
    made = SentenceCompressor().report("How long is parental leave?", [segment(PROSE)], 20)
    assert "".join(one.text for one in made.segments).startswith("Parental leave is 20 weeks")
    assert {one.transformation for one in made.segments} == {"selected"}
    assert {row.reason for row in made.dropped} == {"over budget", "alone larger than the room"}
    assert made.dropped[0].label.startswith("It may be split in two parts, cf. the form B-12.")
    assert made.tokens <= 20 < made.tokens_before


def test_what_fits_stays_as_it_is():
    made = SentenceCompressor().report("rotor", SEGMENTS, 5_000)
    assert made.segments == list(SEGMENTS)
    assert made.dropped == []


def test_a_sentence_that_was_kept_is_not_said_twice():
    once = "Expenses above 500 euros are approved by Ines Roth."
    again = segment(f"Intro. {once}  And more.", uri="copy.md")
    made = SentenceCompressor().report("expenses", [segment(once), again], 500)
    assert "".join(one.text for one in made.segments).count("approved") == 1
    assert [row.reason for row in made.dropped] == ["says what notes.md:1 says"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The old pump may be used in hall four.", "The old pump may not be used in hall four."),
        ("It costs 1.5 euros a week and person.", "It costs 15 euros a week and person."),
        ("Pressure must stay < 5 bar in the tank.", "Pressure must stay > 5 bar in the tank."),
        ("Anna pays Bob for the work on site.", "Bob pays Anna for the work on site."),
    ],
)
def test_sentences_that_differ_in_what_they_say_both_stay(one, other):
    made = SentenceCompressor().report("pay", [segment(one), segment(other, uri="b.md")], 500)
    assert len(made.segments) == 2


def test_equal_rows_of_a_table_both_count():
    text = "day | what | euros\nmon | train to Berlin | 50\nmon | train to Berlin | 50\n"
    made = SentenceCompressor().report("train", [segment(text, "table", "t.csv", 0)], 500)
    assert made.segments[0].text == text


def test_of_several_that_say_the_same_the_next_best_comes_after_another_thing():
    texts = ["Rotor one needs oil daily.", "Rotor one needs oil each day.", "Rotor two is blue."]
    kept = SentenceCompressor().compress("rotor", [segment(" ".join(texts))], 16)
    text = "".join(one.text for one in kept)
    assert "blue" in text
    assert text.count("oil") == 1


def test_rows_come_with_their_header_and_only_the_rows_asked_for():
    made = SentenceCompressor().compress("rotor price", [segment(MARKDOWN, "markdown")], 45)
    text = "".join(one.text for one in made)
    assert "| item | price | stock |\n|---|---|---|\n" in text
    assert "| rotor | 30 | 0 |" in text
    assert "hose" not in text
    sheet = SentenceCompressor().compress("Jo", [segment(TABLE, "table", "d.csv", 0)], 18)
    assert "".join(one.text for one in sheet).startswith("# 2024\nname | days\nJo | 7\n")


@settings(deadline=None, max_examples=30)
@given(
    tokens=st.integers(5, 250), query=st.sampled_from(["parental leave", "rotor price", "ring", ""])
)
def test_definitions_are_whole(tokens, query):
    made = SentenceCompressor().compress(query, [segment(CODE, "code", "leave.py")], tokens)
    text = "".join(one.text for one in made)
    tree = ast.parse(CODE)
    for node in [*tree.body, *tree.body[-1].body]:
        if isinstance(node, ast.FunctionDef):
            whole = ast.get_source_segment(CODE, node)
            first = whole.split("\n")[0]
            assert (first in text) == (whole in text)


@pytest.mark.parametrize("tokens", [150, 600])
@pytest.mark.parametrize("file", ["context/page.py", "types/context.py", "replay/diff.py"])
def test_functions_of_real_code_are_whole_and_classes_that_fit(file, tokens):
    text = (Path(ctxeng.__file__).parent / file).read_text("utf-8")
    lines = [0]
    for line in text.split("\n"):
        lines.append(lines[-1] + len(line) + 1)
    made = SentenceCompressor().compress("tokens", [segment(text, "code", "x.py", 0)], tokens)
    kept = [(one.source.span.start, one.source.span.end) for one in made]

    def check(node):
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        start, end = lines[first - 1], lines[node.end_lineno] - 1
        inside = sum(max(0, min(stop, end) - max(begin, start)) for begin, stop in kept)
        whole = text[start:end].rstrip()
        if isinstance(node, ast.ClassDef) and COUNTER.count(whole) > 0.9 * tokens:
            return sum(check(one) for one in node.body if isinstance(one, ast.FunctionDef))
        assert inside == 0 or inside >= len(whole), f"{node.name} was cut"
        return bool(inside)

    nodes = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert sum(check(node) for node in nodes) >= 1


JAVA = """\
/** Boils water. */
public class Kettle {
  private int cups = 4;

  /** Until it sings. */
  public int boil(int minutes) {
    return minutes * cups;

  }

  public void pour() { cups = 0; }
}
"""


def test_of_a_class_that_is_too_large_whole_methods_stay_under_its_head():
    made = SentenceCompressor().compress("how to boil", [segment(JAVA, "code", "K.java")], 60)
    text = "".join(one.text for one in made)
    assert text.startswith("/** Boils water. */\npublic class Kettle {\n")
    assert "    return minutes * cups;\n\n  }" in text
    assert "pour" not in text


def test_code_of_an_unknown_language_is_cut_where_lines_begin_anew():
    text = "on start\n  say hello\n\n  say more\n\non rotor\n  turn it\n\non end\n  say bye\n"
    made = SentenceCompressor().compress("rotor", [segment(text, "code", "x.unknown")], 12)
    assert [one.text for one in made] == ["on rotor\n  turn it\n\n"]


def test_what_is_ours_comes_first_and_whole():
    head = segment("<abc [1] notes>\n", transformation="template", source=None)
    order = segment("Answer from the sources. Cite them.", trust="system", source=None)
    kept = SentenceCompressor().compress("leave", [order, head, segment(PROSE)], 40)
    assert kept[:2] == [order, head]
    tight = SentenceCompressor().compress("leave", [order, head, segment(PROSE)], 12)
    assert [one.text for one in tight if one.trust == "system"] == [order.text]


def test_a_better_ranked_segment_goes_first():
    said = "The rotor is checked. "
    best, other = (
        segment(said + name, uri=name, scores={"fused": score})
        for name, score in (("Alpha wins.", 0.9), ("Beta wins.", 0.3))
    )
    kept = SentenceCompressor().compress("rotor", [other, best], 8)
    assert {one.source.uri for one in kept} == {"Alpha wins."}


def test_a_ratio_is_kept_even_where_there_is_room():
    made = SentenceCompressor(ratio=0.3).report("", SEGMENTS, 10_000)
    assert 0 < made.tokens <= 0.3 * made.tokens_before


def test_without_a_question_the_central_sentences_stay():
    text = "Rotors need oil. A rotor needs oil and care. Cats sleep. The oil of a rotor is thick."
    (kept, *_) = SentenceCompressor().compress("", [segment(text)], 12)
    assert "rotor" in kept.text.lower()
    assert "Cats" not in kept.text


def test_an_embedder_finds_what_terms_miss():
    text = "The physician examines sick people. The train leaves at noon from Porto."
    query = "doctor treating patients"
    kept = SentenceCompressor(embedder=StaticEmbedder()).compress(query, [segment(text)], 10)
    assert [one.text for one in kept] == ["The physician examines sick people. "]


def test_a_text_that_is_no_longer_its_sources_keeps_the_whole_range():
    made = segment(PROSE, transformation="summarised", made_by="m")
    made = made.model_copy(
        update={"source": made.source.model_copy(update={"span": Span(start=0, end=9_000)})}
    )
    for one in SentenceCompressor().compress("leave", [made], 20):
        assert one.source == made.source
        assert (one.transformation, one.made_by) == ("summarised", "m")


@pytest.mark.parametrize("ratio", [0, -1, 1.5, float("nan")])
def test_a_ratio_that_is_none_is_refused(ratio):
    with pytest.raises(ConfigError, match="ratio"):
        SentenceCompressor(ratio=ratio)


def test_a_negative_limit_is_refused():
    with pytest.raises(BudgetError, match="-1"):
        SentenceCompressor().compress("x", SEGMENTS, -1)


def test_the_trace_says_how_much_went():
    recorder = Recorder("test", {})
    with recording(recorder):
        SentenceCompressor().compress("rotor", SEGMENTS, 60)
    (stage,) = recorder.stages
    assert stage["stage"] == "compress"
    assert stage["after"] <= 60 < stage["before"]


def test_half_a_megabyte_is_compressed_in_seconds():
    lines = [f"Rotor {n} of hall {n % 7} is checked every {n % 31} days." for n in range(8_000)]
    begun = time.process_time()
    made = SentenceCompressor().report("rotor 4711", [segment(" ".join(lines))], 4_000)
    assert time.process_time() - begun < 20
    assert any("Rotor 4711 " in one.text for one in made.segments)


def test_an_answer_can_cite_a_source_that_was_cut_in_two():
    text = (
        "Leave is 20 weeks. " + "Nothing of that sort matters here at all. " * 3 + "Rotors cost 30."
    )
    kept = SentenceCompressor().compress("leave weeks rotors cost", [segment(text, number=4)], 16)
    assert [one.number for one in kept] == [4, 4]
    claims, (citation,) = cite("Leave is 20 weeks [4]. Rotors cost 30 [4].", kept, lambda _: 1.0)
    found = [text[c.sources[0].span.start - 5 : c.sources[0].span.end - 5] for c in claims]
    assert found == ["Leave is 20 weeks.", "Rotors cost 30."]
    assert citation.quote == "Leave is 20 weeks. … Rotors cost 30."
    checked = to_check("Rotors cost 30 [4].", kept, lambda _: 1.0)
    assert "Rotors cost 30." in checked[0][1]
