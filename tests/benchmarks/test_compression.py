from benchmarks import compression
from benchmarks.compression import COUNTER, Prompt, first_tokens, ours, prompts, tf_idf
from benchmarks.data import ChunkingSet, Question, Reference
from ctxeng.context.compress import SentenceCompressor

TEXT = (
    "The office opens at eight. Coffee is free in every kitchen. Pets are welcome on Fridays. "
    "Parental leave is twenty weeks, fully paid. The archive is closed on Mondays. "
)
START = TEXT.index("Parental")
GOLD = Reference(START, START + 43, TEXT[START : START + 43])
LITTLE = ChunkingSet("little", {"d": TEXT}, [Question("How long is parental leave?", "d", [GOLD])])


def test_each_contender_keeps_the_limit_and_ours_the_gold_sentence():
    (prompt,) = prompts(LITTLE)
    for compress in (ours(SentenceCompressor(COUNTER)), first_tokens, tf_idf):
        places = compress(prompt, 0, 20)
        assert sum(COUNTER.count(TEXT[start:end]) for _, start, end in places) <= 22
    assert prompt.kept(ours(SentenceCompressor(COUNTER))(prompt, 0, 20)) == 1.0
    assert prompt.kept(tf_idf(prompt, 0, 20)) == 1.0
    assert prompt.kept(first_tokens(prompt, 0, 20)) == 0.0


def test_a_question_whose_gold_was_not_found_is_left_out(monkeypatch):
    monkeypatch.setattr(compression, "PASSAGES", 0)
    assert prompts(LITTLE) == []


def test_pieces_of_others_are_found_again_in_their_passage():
    (prompt,) = prompts(LITTLE)
    assert compression._located(prompt, 0, GOLD.text) == (0, START, START + 43)
    assert compression._located(prompt, 0, "not in there") is None
    assert isinstance(prompt, Prompt)
