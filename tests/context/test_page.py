"""The page of a context shows all that is in it, and nothing of what it shows can act."""

import io
import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ctxeng.context.page import NAMED, context_page
from ctxeng.context.page_style import COLOURS
from ctxeng.types import Carried, Context, Dropped, SectionUse, Segment, Source, Span, ToolCall
from tests.context.chromium import Chromium, find

BROWSER = find()
HOSTILE = [
    "<script>document.title = 'run'</script>",
    '"><img src=https://example.com/x onerror="document.title=\'run\'">',
    "' onmouseover='document.title=1' autofocus onfocus='document.title=2",
    "</span></div></main></body></html><h1>outside</h1>",
    "</title></style><style>*{display:none}</style>",
    "<!-- <![CDATA[ ]]> --!> <?php ?>",
    "&lt;b&gt; &amp;amp; &#60;script&#62; &#x3c;",
    "\u202egnp.exe\u2066 \u200b\ufeff\u00ad\x00\x1b[31m\x7f\r\x85\u2028",
    "\ud800 half, \udbff\udfff, \uffff \ufdd0 \U000e0041",
    "<svg/onload=alert(1)> <iframe srcdoc='<script>1</script>'> <base href=//evil>",
    "javascript:alert(1) data:text/html,<script>1</script>",
    "{{7*7}} ${7*7} %s {0}",
    "שלום עולם 日本語 ünïcode 👩‍👩‍👧 x = a < b && c > d",
    "\n\n  leading and trailing white space \t\n",
]
ALLOWED = set(
    """html head meta title style body header main section h1 h2 h3 p ul li i a b small br div span
    table tr th td svg rect details summary""".split()  # noqa: SIM905
)


class Reader(HTMLParser):
    """What stands in the page: elements, and the texts of the segments and cards."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.elements = []
        self.segments, self.cards, self.cells = [], [], []
        self._open = []
        self.feed(page)
        self.close()
        assert not self._open, "every element is closed"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in {"meta", "br"}:
            return
        kind = (dict(attributes).get("class") or "").split(" ")[0]
        self._open.append((tag, kind))
        lists = {"segment": self.segments, "card": self.cards}
        if kind in lists:
            lists[kind].append("")
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        kinds = [kind for _, kind in self._open]
        if "segment" in kinds:
            self.segments[-1] += data
        if "card" in kinds:
            self.cards[-1] += data
        if "td" in [tag for tag, _ in self._open]:
            self.cells[-1] += data


def source(uri="notes.md", start=0, length=9):
    return Source(uri=uri, document_id=uri, span=Span(start=start, end=start + length))


def segment(text, **changes):
    values = {
        "text": text,
        "section": "sources",
        "role": "user",
        "tokens": 7,
        "trust": "document",
        "reason": "rank 1",
        "source": source(),
        "number": 1,
        "scores": {"fused": 0.5},
    }
    return Segment(**{**values, **changes})


def context(segments, **changes):
    values = {
        "query": "How long?",
        "segments": segments,
        "tokens": sum(one.tokens for one in segments),
        "budget": 100,
        "tokenizer": "llama-2",
    }
    return Context(**{**values, **changes})


def hostile():
    """Every text in every place that a page shows."""
    segments, dropped = [], []
    for number, text in enumerate(HOSTILE):
        whole = Source(
            uri=f"{text}/{number}",
            document_id="d",
            span=Span(start=0, end=len(text)),
            title=text,
            part=text if number % 2 else "",
            heading_path=(text, text),
        )
        call = ToolCall(id=text, name=text)
        one = segment(
            text,
            section=text,
            reason=text,
            source=whole,
            number=number,
            made_by=text,
            notes=(text,),
            scores={text: float("nan")},
            turn=number // 3,
            carries=Carried(tool_calls=(call,), tool_call_id=text),
        )
        segments.append(one)
        out = Dropped(source=whole, tokens=3, score=0.1, reason=text, section=text, label=text)
        dropped.append(out)
    everything = " ".join(HOSTILE)
    use = SectionUse(name=everything, role="user", minimum=1, maximum=5, given=9, used=7)
    return context(
        segments,
        query=everything,
        tokenizer=everything,
        plan=everything,
        dropped=dropped,
        sections=(use,),
        reserved={everything: 5},
    )


def as_shown(text):
    """What stands in the page for a text: unseen characters by their number."""
    return "".join(f"U+{ord(c):04X}" if re.fullmatch(UNSEEN, c) else c for c in text)


UNSEEN = (
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)


def harmless(page):
    """Only elements that show; no handler, no address but those inside the page."""
    read = Reader(page)
    for tag, attributes in read.elements:
        assert tag in ALLOWED, tag
        for name, value in attributes.items():
            assert not name.startswith("on"), name
            assert name not in {"style", "src", "srcdoc", "action", "target", "xlink:href"}, name
            if name == "href":
                assert re.fullmatch(r"#s\d+", value)
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    described = [a["aria-describedby"] for _, a in read.elements if "aria-describedby" in a]
    assert set(described) <= set(ids)
    return read


def test_nothing_that_is_shown_can_act():
    built = hostile()
    page = context_page(built)
    read = harmless(page)
    assert read.segments == [as_shown(text) for text in HOSTILE]
    assert not re.search(UNSEEN, page), "what cannot be seen is shown by its number"
    page.encode("utf-8")
    assert page.count("<style>") == page.count("</style>") == 1
    assert page.count("<h1>") == 1


@settings(deadline=None, max_examples=60)
@given(
    texts=st.lists(st.text(st.characters(), max_size=80), min_size=1, max_size=5),
    name=st.text(st.characters(), max_size=40),
)
def test_any_text_is_shown_whole_and_escaped(texts, name):
    segments = [segment(text, source=source(name + str(n))) for n, text in enumerate(texts)]
    dropped = [Dropped(tokens=1, score=0.0, reason=name, label=name)]
    read = harmless(context_page(context(segments, query=name, dropped=dropped)))
    assert read.segments == [as_shown(text) for text in texts]


def test_every_piece_says_where_it_comes_from_and_why():
    built = context(
        [
            segment("Ours.\n", transformation="template", source=None, number=None, trust="system"),
            segment("Twenty weeks.", source=source("leave.md", 40, 13), scores={"worth": 0.25}),
            segment("Short.", transformation="summarised", made_by="small-model", trust="web"),
        ]
    )
    template, quoted, summary = Reader(context_page(built)).cards
    assert "template" in template
    assert "range" not in template
    for fact in ("leave.md:1", "characters 40 to 53", "verbatim", "document", "rank 1"):
        assert fact in quoted
    assert "worth 0.250" in quoted
    assert "summarised by small-model" in summary


def test_what_was_left_out_is_below_with_its_reason():
    rows = [
        Dropped(source=source("big.md", 10, 90), tokens=50, score=0.4, reason="over budget"),
        Dropped(tokens=9, score=0.1, reason="says what others say", label="An old note"),
    ]
    cells = Reader(context_page(context([segment("x")], dropped=rows))).cells
    for said in ("big.md:1", "10 to 100", "over budget", "An old note", "says what others say"):
        assert said in cells


def test_sources_have_a_colour_each_and_their_names_lose_the_folder_that_all_share():
    uris = [f"/home/ines/notes/{n}.md" for n in range(COLOURS + 1)]
    page = context_page(context([segment("x", source=source(uri)) for uri in uris]))
    read = Reader(page)
    kinds = [a["class"].split()[1] for _, a in read.elements if "segment" in a.get("class", "")]
    assert kinds == [*(f"c{n}" for n in range(COLOURS)), "c0"]
    assert '<a href="#s3">3.md</a>' in page
    assert "Sources are in /home/ines/notes/" in page


@pytest.mark.parametrize("uris", [["a.md"], ["a.md", "b.md"], ["/a", "/b/c"], ["ab/x", "ac/y"], []])
def test_names_that_share_no_folder_stay_whole(uris):
    segments = [segment("x", source=source(uri)) for uri in uris] or [segment("y", source=None)]
    page = context_page(context(segments))
    assert all(f">{uri}</a>" in page for uri in uris)


def test_bars_never_leave_their_picture():
    uses = [SectionUse(name="sources", role="user", minimum=0, maximum=9, given=200, used=150)]
    over = context([segment("x", tokens=150)], sections=uses, reserved={"reply": 60})
    for _, attributes in Reader(context_page(over)).elements:
        if "x" in attributes:
            assert 0 <= float(attributes["x"]) + float(attributes["width"]) <= 1000.1
    empty = context([], tokens=0, budget=0)
    assert "Nothing: all candidates" in context_page(empty)


def test_of_many_sources_the_legend_names_some_and_folds_the_others():
    page = context_page(context([segment("x", source=source(f"{n}.md")) for n in range(200)]))
    named, folded = page.split("<details>")
    assert named.count("</a>") == NAMED
    assert folded.split("</details>")[0].count("</a>") == 200 - NAMED
    assert f"and {200 - NAMED} more sources" in folded


def test_calls_and_files_are_shown_where_the_model_gets_them():
    call = ToolCall(id="c1", name="read_file", arguments={"path": "<leave>.md"})
    piece = segment("", source=None, number=None, carries=Carried(tool_calls=(call,)))
    uses = [SectionUse(name="sources", role="user", minimum=0, maximum=None, given=40, used=30)]
    page = context_page(context([piece], sections=uses))
    assert "call read_file {&quot;path&quot;: &quot;&lt;leave&gt;.md&quot;}</span>" in page
    assert "calls, files and what goes around messages: 23 tokens" in page


def test_the_same_context_gives_the_same_bytes():
    assert context_page(hostile()) == context_page(hostile())


def test_a_megabyte_is_shown_in_seconds():
    text = "<b>&\u202e word " * 70_000
    begun = time.process_time()
    page = context_page(context([segment(text), segment("x" * 1_000_000)], query=text))
    assert time.process_time() - begun < 5
    assert page.count("&lt;b&gt;&amp;") >= 70_000
    assert len(page) < 8_000_000


def test_the_policy_of_the_page_forbids_all_but_its_own_style():
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', context_page(hostile()))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


# -- in a real browser ------------------------------------------------------------------------

needs_browser = pytest.mark.skipif(
    BROWSER is None,
    reason="no Chromium is installed (Debian: apt-get install chromium); CTXENG_BROWSER names one",
)


@pytest.fixture(scope="module")
def browser():
    with Chromium(BROWSER) as one:
        yield one


@pytest.fixture
def opened(browser, tmp_path):
    def show(built, **look):
        browser.look(**look)
        file = tmp_path / "page.html"
        file.write_text(context_page(built), "utf-8")
        browser.open(file)
        return browser

    return show


TEXTS = "[...document.querySelectorAll('.segment')].map(e => e.textContent)"
VISIBLE = (
    "[...document.querySelectorAll('.card')].filter(e => getComputedStyle(e).display != 'none')"
    ".map(e => e.id)"
)


@needs_browser
def test_a_browser_shows_hostile_texts_as_texts(opened):
    page = opened(hostile())
    assert page.ask(TEXTS) == [as_shown(text) for text in HOSTILE]
    assert page.requested() == []
    assert page.complaints() == [], "the page's own style fits its policy"
    assert page.ask("document.title").startswith("Context: <script>")
    assert page.ask("document.querySelectorAll('script, img, iframe, base, h1 ~ h1').length") == 0
    assert page.ask("document.body.children.length") == 2  # header and main: nothing broke out


@needs_browser
def test_a_browser_would_refuse_to_run_what_broke_out(browser, tmp_path):
    """The policy is in force: a page with a script put into it stays as it is."""
    file = tmp_path / "broken.html"
    script = "<script>document.title = 'run'</script><img src=x onerror=\"document.title='run'\">"
    file.write_text(context_page(context([segment("x")])).replace("</main>", script), "utf-8")
    browser.open(file)
    assert browser.ask("document.title") == "Context: How long?"
    assert any("Content Security Policy" in str(one) for one in browser.complaints())


def three():
    return context(
        [
            segment("Ours. ", transformation="template", source=None, number=None),
            segment("First. ", source=source("a.md")),
            segment("Second.", source=source("b.md")),
        ],
        dropped=[Dropped(source=source("c.md"), tokens=5, score=0.1, reason="over budget")],
    )


@needs_browser
def test_the_mouse_shows_where_a_piece_comes_from(opened):
    page = opened(three())
    assert page.ask(VISIBLE) == []
    page.move_to("#s1")
    assert page.ask(VISIBLE) == ["p1"]
    page.move_to("#s2")
    assert page.ask(VISIBLE) == ["p2"]
    page.move_to("h1")
    assert page.ask(VISIBLE) == []


@needs_browser
def test_the_keyboard_reaches_every_piece(opened):
    page = opened(three())
    page.move_to("h1")
    reached = []
    while "s2" not in reached:
        assert len(reached) < 12
        page.press("Tab")
        focused = page.ask("document.activeElement.id")
        if focused:
            assert page.ask(VISIBLE) == [focused.replace("s", "p")]
            assert page.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        reached.append(focused)
    assert [one for one in reached if one] == ["s0", "s1", "s2"]


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_on_its_ground(opened, scheme):
    """Contrast of at least 4.5 to 1 (WCAG 2.1, 1.4.3), for every colour of a source."""
    sources = [segment(f"Text {n}. ", source=source(f"{n}.md")) for n in range(COLOURS)]
    page = opened(context([*three().segments, *sources]), scheme=scheme)
    page.ask("document.querySelector('.segment').focus()")
    worst = page.ask(CONTRAST)
    assert worst[0] >= 4.5, worst


CONTRAST = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = color => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = c => {
    const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const [r, g, b] = c.map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const found = rgb(getComputedStyle(e).backgroundColor);
      if (found[3] == 255) return found;
    }
    return [255, 255, 255];
  };
  let worst = [99, ''];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < worst[0]) worst = [ratio, e.tagName + '.' + e.className + ': ' + e.textContent];
  }
  return worst;
})()
"""


@needs_browser
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_never_wider_than_its_window(opened, width):
    long = "x" * 3_000
    built = context([segment(long, source=source("/a/" + long))], query=long)
    page = opened(built, width=width)
    assert page.ask("document.documentElement.scrollWidth") <= width


@needs_browser
def test_the_page_looks_like_something(opened):
    """A picture of it holds the colours of both sources, and light and dark differ."""
    for scheme, ground in (("light", (251, 251, 250)), ("dark", (22, 24, 27))):
        page = opened(three(), width=600, height=900, scheme=scheme)
        found = colours_of(page.picture())
        assert max(found, key=found.get) == ground
        tints = page.ask(TINTS)
        assert len(set(tints)) == 2
        for tint in tints:
            assert found[tuple(map(int, re.findall(r"\d+", tint)))] > 100


TINTS = "['#s1', '#s2'].map(s => getComputedStyle(document.querySelector(s)).backgroundColor)"


def colours_of(png):
    """How often each colour occurs."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    return {colour: count for count, colour in picture.getcolors(1 << 20)}
