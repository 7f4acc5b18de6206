"""HTML: the main text as Markdown, in any encoding, without what only serves the page."""

import pytest

from ctxeng.loading import load_bytes
from ctxeng.loading.html import html_as_markdown


def markdown(body):
    return html_as_markdown(f"<body>{body}</body>")[1]


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<h1>A</h1><h3>B <em>c</em></h3>", "# A\n\n### B c"),
        ("<p>one\n two<br>three</p>four", "one two\nthree\n\nfour"),
        ("<p>H<sub>2</sub>O <b>is</b>&nbsp;wet&amp;cold</p>", "H2O is wet&cold"),
        ("<ul><li>a<li>b<ul><li>c</ul><li>d</ul>", "- a\n- b\n  - c\n- d"),
        ("<ol><li><p>a</p></li><li>b</li></ol>", "1. a\n2. b"),
        ("<dl><dt>lamp<dd>glows</dl>", "lamp\n\nglows"),
        ("<pre>a\n  b</pre>", "```\na\n  b\n```"),
        ("<pre>a ``` b</pre>", "~~~\na ``` b\n~~~"),
        ('<a href="x">link</a> <img src=y alt="a lamp"> end', "link a lamp end"),
        ("a<script>no()</script>b<style>no</style>c<!-- no -->d", "abcd"),
        ("<nav>menu</nav><div role=navigation>menu</div><button>go</button>text", "text"),
        ("<p hidden>x</p><span aria-hidden=true>x</span>text", "text"),
        ("<noscript>x</noscript><template>x</template><svg><text>x</text></svg>text", "text"),
        ("<details><summary>more</summary>inside</details>", "more\n\ninside"),
        ("<p>not closed <b>bold <i>both</p> after", "not closed bold both\n\nafter"),
        ("5 < 6 & 7 > 6", "5 < 6 & 7 > 6"),
    ],
)
def test_blocks_stand_apart_and_words_stay_whole(html, shown):
    assert markdown(html) == shown


def test_tables_are_rows_and_spans_leave_what_they_cover_empty():
    html = (
        "<table><caption>Oil</caption><thead><tr><th>City<th colspan=2>Litres</thead>"
        "<tr><td rowspan=2>Porto<td>1<td><p>a</p><p>b</p><tr><td>2<td>c<tr><td><td><td></table>"
    )
    assert markdown(html) == (
        "Oil\n\n| City | Litres | |\n| --- | --- |\n| Porto | 1 | a b |\n| | 2 | c |"
    )


def test_a_table_that_lays_out_a_page_is_read_as_a_page():
    html = "<table><tr><td><h2>Oil</h2>It glows.<table><tr><td>a<td>b</table></table>"
    assert markdown(html) == "## Oil\n\nIt glows.\n\n| a | b |\n| --- | --- |"


def test_the_main_element_is_the_page_where_it_holds_most_of_it():
    around = "<header>Site</header>{}<footer>Imprint</footer>"
    words = "The lamp glows all night. " * 3
    assert markdown(around.format(f"<main>{words}</main>")) == words.strip()
    assert markdown(around.format(f"<div role=main>{words}</div>")) == words.strip()
    assert "Imprint" in markdown(around.format("<main>x</main>"))
    assert "Imprint" in markdown(around.format(f"<main>{words}</main><main>{words}</main>"))


def test_the_title_is_not_part_of_the_text():
    (document,) = load_bytes(b"<title> The\n Lamp </title><p>glows", "a.html")
    assert (document.title, document.text, document.format) == ("The Lamp", "glows", "markdown")


WORDS = "Öl für die Lämpchen – жир"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (f"<p>{WORDS}".encode(), WORDS),
        (f"<p>{WORDS}".encode("utf-16"), WORDS),
        (f"<p>{WORDS}".encode("utf-8-sig"), WORDS),
        ("<meta charset=windows-1251><p>жир".encode("cp1251"), "жир"),
        ("<meta content='text/html; charset=iso-8859-1'><p>“Öl”".encode("cp1252"), "“Öl”"),
        ("<meta charset='utf-8'><p>für Öle und Lämpchen".encode("cp1252"), "für Öle und Lämpchen"),
        ("<meta charset=no-such><p>Öl".encode(), "Öl"),
        ("<meta charset=utf-16><p>Öl".encode(), "Öl"),
        ('<?xml version="1.0" encoding="shift_jis"?><html><p>灯油'.encode("cp932"), "灯油"),
    ],
)  # fmt: skip
def test_the_encoding_is_that_which_fits(data, text):
    (document,) = load_bytes(data, "a.html")
    assert document.text == text


def test_xhtml_may_close_what_html_must_not():
    page = (
        '<?xml version="1.0"?><!DOCTYPE html PUBLIC "x" "y"><html xmlns="http://www.w3.org/1999/'
        'xhtml"><head><title/><script src="x"/></head><body><p>one&nbsp;two &copy; &amp; &unknown;'
        '</p><a id="x"/><p>three</p></body></html>'
    )
    text = html_as_markdown(page)[1]
    assert text.startswith("one two © &")
    assert text.endswith("three")


def test_a_page_that_says_xhtml_and_is_not_is_read_as_browsers_do():
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><p>one<br>two<p>three</html>'
    assert html_as_markdown(page)[1] == "one\ntwo\n\nthree"
