"""RTF: what shows, in its encodings, with headings, tables and notes."""

import pytest

from ctxeng.loading import load_bytes
from ctxeng.loading.richtext import rtf_as_markdown

HEAD = (
    rb"{\rtf1\ansi\ansicpg1252\deff0"
    rb"{\fonttbl{\f0 Arial;}{\f1\fcharset128 Mincho;}{\f2\fcharset204 Arial;}}"
)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (rb"plain", "plain"),
        (rb"a\par b\line c", "a\n\nb\nc"),
        (rb"{\b bold} and {\i not}", "bold and not"),
        (rb"na\'efve", "naïve"),
        (rb"\u8364 ?", "€"),
        (rb"\u8364?5", "€5"),
        (rb"\uc0\u8364 5", "€5"),
        (rb"\u-10179?\u-8694?", "😊"),
        (rb"\u55357?", "\ufffd"),
        (rb"{\f1 \'93\'fa\'96\'7b}", "日本"),
        (rb"{\f2 \'cc\'e8\'f0}", "Мир"),
        (rb"\{braces\} \\ \~ a\_b a\-c", "{braces} \\   a-b ac"),
        (rb"\lquote x\rquote  \emdash", "‘x’ —"),
        (rb"{\*\unknown hidden}shown", "shown"),
        (rb"{\pict 0123abcd}shown", "shown"),
        (rb"\bin4 \}{}shown", "shown"),
        (rb"{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}", "link"),
        (rb"body{\footnote {\super 1} note}.{\header Top\par}", "body.\n\n1 note\n\nTop"),
        (rb"text{\*\annotation a remark}", "text\n\na remark"),
        (rb"{\*\shpinst{\sp{\sn x}{\sv y}}{\shptxt box}}", "box"),
        (b"a split\r\n word", "a split word"),
    ],
)
def test_control_words_show_as_what_they_mean(source, shown):
    assert rtf_as_markdown(HEAD + source + b"}") == shown


def test_headings_come_from_styles_and_outline_levels():
    styles = rb"{\stylesheet{\s0 Normal;}{\s2\sbasedon0 heading 2;}}"
    body = rb"\pard\s2 Oil\par\pard\s0 It glows.\par\pard\outlinelevel0 Lamp\par}"
    assert rtf_as_markdown(HEAD + styles + body) == "## Oil\n\nIt glows.\n\n# Lamp"


def test_tables_are_rows():
    rows = rb"\pard\intbl City\cell Litres\cell\row\pard\intbl Porto\par old\cell 12\cell\row"
    assert rtf_as_markdown(HEAD + rows + rb"\pard after\par}") == (
        "| City | Litres |\n| --- | --- |\n| Porto old | 12 |\n\nafter"
    )


def test_the_title_is_that_of_the_properties():
    (document,) = load_bytes(HEAD + rb"{\info{\title The Lamp}{\author Ada}}It glows.}", "a.rtf")
    assert (document.title, document.text) == ("The Lamp", "It glows.")


def test_text_is_the_same_however_braces_and_lines_break():
    assert rtf_as_markdown(HEAD + b"{{{one}} two}}}}} three") == "one two three"
    assert rtf_as_markdown(HEAD + b"{{{one two") == "one two"
