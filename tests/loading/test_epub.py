"""EPUB: chapters in the order of the spine."""

from family_samples import epub, xhtml

from ctxeng.loading import load_bytes


def test_chapters_are_parts_in_the_order_of_the_spine():
    data = epub(
        xhtml("<h1>Oil</h1><p>It glows.</p>"), xhtml("<nav>contents</nav>"), xhtml("<p>End</p>"),
        title="The Lamp",
    )  # fmt: skip
    (document,) = load_bytes(data, "a.epub")
    assert document.title == "The Lamp"
    assert document.text == "# Oil\n\nIt glows.\n\nEnd"
    assert [part.label for part in document.parts] == ["chapter 1", "chapter 3"]


def test_files_may_lie_at_the_top_and_be_missing():
    data = epub(xhtml("<p>one</p>"), xhtml("<p>two</p>"), folder="")
    assert load_bytes(data, "a.epub")[0].text == "one\n\ntwo"
    missing = data.replace(b"c 0.xhtml", b"c 9.xhtml")
    assert load_bytes(missing, "a.epub")[0].text == "two"
