"""The laws of ``Archive``, one function each, for any implementation.

A law is handed a function that makes a fresh archive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ctxeng.context.archive import Archive
from ctxeng.context.compact import compact

Make = Callable[[], Archive]

RECORDS: Sequence[str] = (
    "{}",
    '{"role": "user", "content": "Pump 7 fails at 90 \\u00b0C."}',
    '{"role": "user", "content": "\u4f1a\u8bae\u5ba4\u5728\u4e09\u697c \\ud800 \\u0000"}',
    '{"role": "tool", "tool_call_id": "c1", "content": "' + "a line of a log " * 60_000 + '"}',
)


def what_was_put_comes_back_unchanged(make: Make) -> None:
    archive = make()
    for number, record in enumerate(RECORDS):
        archive.put(f"id-{number}", record)
    for number, record in enumerate(RECORDS):
        assert archive.get(f"id-{number}") == record


def an_id_that_nothing_was_put_under_is_none(make: Make) -> None:
    archive = make()
    assert archive.get("gufano") is None
    archive.put("gufano", RECORDS[0])
    assert archive.get("gufan") is None
    assert archive.get("gufanox") is None


def putting_the_same_twice_is_putting_it_once(make: Make) -> None:
    archive = make()
    for _ in range(2):
        archive.put("gufano", RECORDS[1])
    assert archive.get("gufano") == RECORDS[1]


def what_is_put_last_under_an_id_is_what_it_gives(make: Make) -> None:
    archive = make()
    archive.put("gufano", RECORDS[0])
    archive.put("gufano", RECORDS[1])
    assert archive.get("gufano") == RECORDS[1]


def a_chat_that_was_compacted_is_read_from_it_to_the_letter(make: Make) -> None:
    archive = make()
    said = [f"Pump {n} has the serial SN-{n * 7_919}. " + "All is well. " * 30 for n in range(60)]
    chat = [{"role": role, "content": text} for text in said for role in ("user", "assistant")]
    made = compact(chat, 4_000, archive=archive)
    assert made.report.changed
    assert made.report.lost == 0
    for removed in made.report.removed:
        for name in removed.ids:
            assert made.fetch(name) in said


ARCHIVE_LAWS: Sequence[Callable[[Make], None]] = (
    what_was_put_comes_back_unchanged,
    an_id_that_nothing_was_put_under_is_none,
    putting_the_same_twice_is_putting_it_once,
    what_is_put_last_under_an_id_is_what_it_gives,
    a_chat_that_was_compacted_is_read_from_it_to_the_letter,
)
"""All of them."""
