"""What the lexical index counts."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.testing.strategies import prose
from ctxeng.text.terms import MAX_WORD, identifier, identifiers, terms

any_text = st.one_of(st.text(max_size=200), prose)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("getUserName", ["getusername", "get", "user", "name"]),
        ("HTTPServer", ["httpserver", "http", "server"]),
        ("parseJSON5File", ["parsejson5file", "pars", "json", "5", "file"]),
        ("user_name2", ["user_name2", "user", "name", "2"]),
        ("__init__", ["init"]),
        ("MAX_DEPTH", ["max_depth", "max", "depth"]),
        ("x86_64", ["x86_64", "x", "86", "64"]),
        ("v2", ["v2", "v", "2"]),
    ],
)
def test_identifiers_are_kept_whole_and_split(text, expected):
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The pumps are running", ["pump", "run"]),
        ("of the and is", []),
        ("The THE the", []),
        ("pump, pump; PUMP!", ["pump"] * 3),
        ("2026 3.14", ["2026", "3", "14"]),
        ("naïve café Straße", ["naiv", "cafe", "strass"]),
        ("ﬁne ½ Ⅳ ｗｉｄｅ", ["fine", "1", "2", "iv", "wide"]),
        ("", []),
        (" \n\t__ --- !?", []),
    ],
)
def test_words_are_folded_and_stemmed_and_stop_words_left_out(text, expected):
    assert terms(text) == expected


def test_hindi_marks_stay_with_their_letters():
    assert terms("की राजधानी") == ["क", "राजधान"]
    assert terms("मुंबई") == ["मुंब"]


@pytest.mark.parametrize(
    "forms",
    [
        "собрание собрания собранием",
        "συνάντηση συναντήσεις συνάντησης",
        "اجتماع الاجتماع",
        "घर घरों",
    ],
)
def test_words_of_other_scripts_are_stemmed_too(forms):
    assert len(set(terms(forms))) == 1


def test_scripts_without_spaces_give_pairs_and_triples():
    assert terms("北京") == ["北京"]
    assert terms("京") == ["京"]
    assert terms("中国的首都") == ["中国", "国的", "的首", "首都", "中国的", "国的首", "的首都"]
    assert terms("ไทย") == ["ไท", "ทย", "ไทย"]
    assert {"版本", "2"} <= set(terms("版本2です"))


@pytest.mark.parametrize(
    "script", ["ประเทศไทยมีเมืองหลวงชื่อ", "中国的首都是北京在哪里呢", "スーパーマーケット"]
)
def test_a_run_without_spaces_is_read_to_its_end(script):
    run = script * 20
    assert len(run) > MAX_WORD
    assert terms(run)[: len(script) - 1] == terms(script)[: len(script) - 1]
    assert set(terms(script)) <= set(terms("x" * 500 + run))
    assert len(terms(run)) == 2 * len(run) - 3


def test_a_spaced_word_has_a_bounded_length():
    assert terms("a" * 10_000) == terms("a" * MAX_WORD)
    assert max(map(len, terms("Ab" * 5_000))) <= MAX_WORD
    assert terms("begin " + "z" * 10_000 + " finish")[-1] == "finish"


def test_accents_go_from_latin_letters_only():
    assert terms("Ñandú") == ["nandu"]
    assert terms("Йод") == ["йод"]
    assert terms("Йод") != terms("Иод")


@given(text=any_text)
def test_no_term_is_empty_or_holds_white_space(text):
    for term in terms(text):
        assert term
        assert not any(c.isspace() for c in term)
        assert term.split() == [term]


@given(text=any_text)
def test_the_same_text_in_another_form_has_the_same_terms(text):
    for form in ("NFC", "NFD"):
        assert terms(unicodedata.normalize(form, text)) == terms(text)


@given(text=st.text(st.sampled_from("abcXYZ019_- "), max_size=80))
def test_ascii_case_decides_only_where_identifiers_split(text):
    assert set(terms(text.lower())) <= set(terms(text)) | set(terms(text.upper()))


@given(text=any_text, other=any_text)
def test_terms_of_a_joined_text_are_the_joined_terms(text, other):
    """So a query's word finds its document's whatever stands around it."""
    assert terms(f"{text}\n{other}") == terms(text) + terms(other)


def test_identifiers_are_compared_without_case_and_outer_underscores():
    assert identifier("__getItem_") == "getitem"
    asked = "what does _getItem() of HTTPServer do, and getitem, at x?"
    assert identifiers(asked) == ["getitem", "httpserver"]
