"""Bytes become text in the encoding that they have, whatever it is called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxeng.errors import LoadError
from ctxeng.loading.decoding import decoded, encoding_of_code_page, forced, in_encoding

TEXTS = {
    "german": "Die Prüfung der Geräte erfolgt jährlich; größere Änderungen sind zu melden.",
    "french": "L'été dernier, l'équipe a présenté les résultats. Où êtes-vous allés ?",
    "spanish": "El año pasado la señora Núñez pidió más información sobre el código.",
    "polish": "Zażółć gęślą jaźń. Proszę o przesłanie dokumentów do końca tygodnia.",
    "turkish": "Çalışanlar iş güvenliği kurallarına uymak zorundadır. İzin iki hafta önce.",
    "russian": "Сотрудники обязаны соблюдать правила внутреннего распорядка и охраны труда.",
    "greek": "Οι εργαζόμενοι πρέπει να τηρούν τους κανόνες ασφαλείας στον χώρο εργασίας.",
    "hebrew": "העובדים חייבים לציית לכללי הבטיחות במקום העבודה.",
    "japanese": "社員は就業規則を守らなければならない。休暇は二週間前までに申請してください。",
    "chinese": "员工必须遵守公司的规章制度。请假申请应提前两周提交给主管批准。",
    "taiwanese": "員工必須遵守公司的規章制度。請假申請應提前兩週提交給主管批准。",
    "korean": "직원은 회사의 규정을 준수해야 합니다. 휴가 신청은 이 주 전에 제출해 주십시오.",
}
LEGACY = [
    ("german", "latin-1"), ("german", "cp1252"), ("french", "cp1252"), ("spanish", "latin-1"),
    ("polish", "cp1250"), ("polish", "iso8859-2"), ("turkish", "cp1254"), ("russian", "cp1251"),
    ("russian", "koi8-r"), ("russian", "cp866"), ("greek", "cp1253"), ("hebrew", "cp1255"),
    ("japanese", "shift_jis"), ("japanese", "euc_jp"), ("japanese", "iso2022_jp"),
    ("chinese", "gbk"), ("chinese", "gb18030"), ("taiwanese", "big5"), ("korean", "euc_kr"),
]  # fmt: skip
UNICODE = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize(("language", "encoding"), LEGACY)
@pytest.mark.parametrize("times", [1, 30])
def test_the_encodings_of_the_languages_are_found(language, encoding, times):
    text = f"{TEXTS[language]}\n" * times
    assert decoded(text.encode(encoding), "a.txt") == text


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("encoding", UNICODE)
def test_unicode_is_found_with_a_mark_and_without(language, encoding):
    text = f"{TEXTS[language]}\n12 45\n"
    assert decoded(text.encode(encoding), "a.txt") == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=["Cc"])))
def test_utf_8_is_always_itself(text):
    data = text.encode()
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")) and not text.startswith("\ufeff"):
        assert decoded(data, "a.txt") == text


@given(st.binary(max_size=400))
def test_any_bytes_are_text_or_a_load_error(data):
    try:
        text = decoded(data, "a.txt")
    except LoadError as error:
        assert error.uri == "a.txt"
    else:
        assert "\0" not in text
        assert "\r" not in text
    assert isinstance(forced(data), str)


def test_damaged_utf_8_keeps_its_other_characters():
    data = (TEXTS["french"] * 20).encode().replace("é".encode(), b"\xe9", 1)
    text = decoded(data, "a.txt")
    assert text.count("\ufffd") == 1
    assert text.count("é") == (TEXTS["french"] * 20).count("é") - 1


def test_a_rare_accent_in_long_latin_1_text_is_kept():
    text = "The lamp glows all night in the hall. " * 200 + "Café."
    assert decoded(text.encode("latin-1"), "a.txt") == text


@pytest.mark.parametrize("name", ["punycode", "idna", "no-such", "base64", "rot13"])
def test_names_that_are_no_encoding_of_text_are_none(name):
    assert in_encoding(b"abc-def", name) is None


def test_code_pages_of_windows_have_names():
    assert [encoding_of_code_page(n) for n in (1252, 950, 65001, 28592, 20866, 99999)] == [
        "cp1252", "cp950", "utf-8", "iso8859-2", "koi8-r", "cp1252",
    ]  # fmt: skip
