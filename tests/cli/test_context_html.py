"""``ctxeng context --html`` writes one page beside, or in the place of, what it prints."""

import pytest


def test_the_page_is_written_and_the_prompt_is_not_printed(ctxeng, indexed, place):
    ran = ctxeng("context", "How long is parental leave?", "--html", "prompt.html")
    assert ran.code == 0
    assert ran.out.startswith("prompt.html: ")
    page = (place / "prompt.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "Every parent may take 20 weeks of parental leave." in page
    assert "handbook/leave.md" in page


def test_with_json_both_come(ctxeng, indexed, place):
    ran = ctxeng("context", "parental leave", "--html", "p.html", "--json")
    assert ran.value["text"].endswith("parental leave")
    assert (place / "p.html").exists()


@pytest.mark.parametrize("file", ["nowhere/p.html", "handbook"])
def test_a_file_that_cannot_be_written_is_a_plain_error(ctxeng, indexed, file):
    ran = ctxeng("context", "parental leave", "--html", file)
    assert ran.code == 2
    assert file in ran.err
    assert "Traceback" not in ran.err
