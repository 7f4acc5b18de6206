"""Bytes as text, in the encoding that they turn out to have."""

from __future__ import annotations

import codecs
import re
import unicodedata

from ctxeng.errors import LoadError, SkippedError

SAMPLE = 64_000
BAD_SHARE = 0.02
"""Text may hold this share of bytes that its encoding does not know."""
FEW = 0.25
"""What is written in Latin letters has at most this share of letters outside ASCII."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_AS_BROWSERS = {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030"}
_NO_CHARSETS = frozenset({"punycode", "idna", "undefined", "unicode_escape", "raw_unicode_escape"})
"""Codecs of Python that no text is in; some take time that grows with the square."""
_CODE_PAGES = {
    1200: "utf-16-le", 10000: "mac_roman", 20127: "ascii", 20866: "koi8-r", 21866: "koi8-u",
    50220: "iso2022_jp", 51932: "euc_jp", 51949: "euc_kr", 54936: "gb18030", 65001: "utf-8",
}  # fmt: skip
_CONTROLS = bytes(code for code in range(32) if code not in (7, 8, 9, 10, 12, 13, 27))
_HIGH = bytes(range(128, 256))
_LETTERS = [bytes([code]) for code in range(128) if chr(code).isalpha()]
_KANA, _HANGUL = re.compile("[\u3041-\u30ff]"), re.compile("[\uac00-\ud7a3]")
_COMMON_HAN = re.compile("[的一是不了在人有他这這中大来來上国國个個到说說们們为為时時会會要以公司]")
_SYMBOL_IN_WORD = re.compile(
    r"(?<=[a-zA-Z])[^\w\s\x00-\x7f–—‘’“”…•·«»°®™©]|[¿¡¢£¤¥¦§¨¬¯´¸±²³¹¼½¾¶](?=[a-z])"
    r"|(?<=[a-z])[«»](?=[a-z])"
)
_TURKISH, _ICELANDIC = frozenset("ýþðÝÞÐ"), frozenset("æáíúóÆÁÍÚÓ")
_ONE_BYTE = [
    "cp1250", "iso8859_2", "cp1251", "koi8_r", "cp866", "cp1253", "cp1254", "cp1255", "cp1256",
    "cp1257", "cp1258", "cp874", "mac_roman", "mac_cyrillic", "cp1252",
]  # fmt: skip


def decoded(data: bytes, uri: str) -> str:
    """The bytes as text, line ends as ``\\n``.

    Raises:
        LoadError: they are no text in any encoding that can be told.
    """
    text = data.decode(_encoding(data, uri), "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")


def in_encoding(data: bytes, name: str) -> str | None:
    """The text in the encoding that somebody names; None where there is none such or it is not."""
    try:
        codec = codecs.lookup(name).name
        if codec.replace("-", "_") in _NO_CHARSETS:
            return None
        text = data.decode(_AS_BROWSERS.get(codec, codec))
    except (LookupError, ValueError):
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")


def forced(data: bytes) -> str:
    """As ``decoded``; what is no text comes as Latin-1, for what is around it is worth reading."""
    try:
        return decoded(data, "")
    except LoadError:
        return data.decode("latin-1").replace("\x00", "")


def encoding_of_code_page(number: int) -> str:
    """Of a Windows code page; Western where it is none that is known."""
    name = _CODE_PAGES.get(number, f"cp{number}")
    if 28591 <= number <= 28605:
        name = f"iso8859_{number - 28590}"
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "cp1252"


def _encoding(data: bytes, uri: str) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    sample = data[:SAMPLE]
    if 0 in sample and (encoding := _utf_16(sample)):
        return encoding
    if _control_share(sample) > BAD_SHARE:
        raise SkippedError(
            uri, "is binary, of no kind that can be read", "Leave it out with --exclude"
        )
    if b"\x1b$" in sample and _decodes(sample, "iso2022_jp"):
        return "iso2022_jp"
    if _is_utf_8(data):
        return "utf-8"
    letters = sum(map(sample.count, _LETTERS))
    high = len(sample) - len(sample.translate(None, _HIGH))
    if high <= FEW * (letters + high):
        return _western(sample) or _likeliest(sample, uri)
    return _east_asian(sample) or _likeliest(sample, uri)


def _control_share(sample: bytes) -> float:
    return 1 - len(sample.translate(None, _CONTROLS)) / len(sample) if sample else 0.0


def _decodes(sample: bytes, encoding: str) -> str:
    """The sample, which may end inside a character; empty where it is not of that encoding."""
    try:
        return codecs.getincrementaldecoder(encoding)("strict").decode(sample)
    except (UnicodeDecodeError, LookupError):
        return ""


def _utf_16(sample: bytes) -> str:
    """Without a mark at its beginning: by the spaces, line ends and digits on the right side."""
    found: dict[str, int] = {}
    for encoding in ("utf-16-le", "utf-16-be"):
        text = _decodes(sample, encoding)
        strange = sum(unicodedata.category(character) in {"Cc", "Cn", "Co"} for character in text)
        strange -= sum(map(text.count, "\n\r\t\f"))
        if text and strange <= BAD_SHARE / 2 * len(text):
            found[encoding] = sum(map(text.count, " \n0123456789.,。、，"))
    best = max(found, key=lambda encoding: found[encoding], default="")
    return best if best and found[best] > BAD_SHARE * len(sample) / 2 else ""


def _is_utf_8(data: bytes) -> bool:
    """Also where a few bytes of it are damaged."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        bad = text.count("\ufffd")
        others = len(text) - len(text.encode("ascii", "ignore")) - bad
        return bad <= BAD_SHARE * len(text) and bad * 2 <= others
    return True


def _western(sample: bytes) -> str:
    """Windows-1252, or its Turkish sibling, where it makes letters inside words."""
    text = sample.decode("cp1252", "replace")
    outside = len(text) - len(text.encode("ascii", "ignore"))
    if "\ufffd" in text or len(_SYMBOL_IN_WORD.findall(text)) > 0.05 * outside:
        return ""
    present = set(text)
    return "cp1254" if present & _TURKISH and not present & _ICELANDIC else "cp1252"


def _east_asian(sample: bytes) -> str:
    """By what only one of the languages has: kana, Hangul, the commonest Chinese characters."""
    for encoding, mark, least in (
        ("euc_jp", _KANA, 0.15),
        ("cp932", _KANA, 0.15),
        ("cp949", _HANGUL, 0.75),
        ("gb18030", _COMMON_HAN, 0.05),
        ("cp950", _COMMON_HAN, 0.05),
    ):
        text = _decodes(sample, encoding)
        outside = len(text) - len(text.encode("ascii", "ignore"))
        if outside and len(mark.findall(text)) >= least * outside:
            return encoding
    return ""


def _likeliest(sample: bytes, uri: str) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_ONE_BYTE).best() or from_bytes(sample).best()
    if best is None:
        raise LoadError(uri, "is in no encoding that can be told", "Save it as UTF-8")
    if best.encoding == "cp1250":  # its sibling of ISO has other places for ą, ś and ź
        strange = {
            name: len(_SYMBOL_IN_WORD.findall(sample.decode(name, "replace")))
            for name in ("cp1250", "iso8859_2")
        }
        return min(strange, key=lambda name: strange[name])
    return best.encoding
